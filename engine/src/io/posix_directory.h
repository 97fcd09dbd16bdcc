/// @file
/// An open directory; names are resolved beneath its descriptor only.
#pragma once

#include <string>

#include "io/environment.h"
#include "io/io_counter_cells.h"
#include "io/unique_fd.h"

namespace vectolith::engine {

/// Lifetime: `cells` outlives the directory and its files.
class PosixDirectory final : public Directory {
 public:
  /// Opens `path`, which may itself lead through symlinks: it is the caller's choice, unlike the names
  /// beneath it. A directory that had to be created is made durable in its parent before this returns.
  static Result<std::unique_ptr<Directory>> open_path(const std::string& path, bool create,
                                                      IoCounterCells& cells);

  PosixDirectory(UniqueFd fd, std::string path, IoCounterCells& cells);

  [[nodiscard]] int fd() const noexcept { return fd_.get(); }

  Result<std::unique_ptr<File>> open(std::string_view name, OpenMode mode) override;
  Result<void> rename(std::string_view from, std::string_view to) override;
  Result<void> unlink(std::string_view name) override;
  Result<std::vector<std::string>> list() const override;
  Result<void> sync() override;
  [[nodiscard]] Result<std::uint64_t> free_bytes() const override;

  /// The path of `name` for messages.
  [[nodiscard]] std::string path_of(std::string_view name) const;

 private:
  UniqueFd fd_;
  IoCounterCells& cells_;
};

/// Errors: kInvalidArgument unless `name` is one plain component: not empty, not "." or "..", no '/', no NUL.
Result<void> check_name(std::string_view name);

/// openat2 beneath `directory_fd` that follows no symlink; openat with O_NOFOLLOW where the kernel or a
/// seccomp profile lacks it (`name` has one component, so both refuse the same things).
/// Returns a descriptor or a negative errno.
int open_beneath(int directory_fd, const std::string& name, int flags);

}  // namespace vectolith::engine
