/// @file
/// A read-only shared mapping of a whole file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "io/environment.h"
#include "io/unique_fd.h"

namespace vectolith::engine {

class PosixMapping final : public Mapping {
 public:
  /// Maps the first `bytes` bytes of the file. An empty file gives an empty mapping.
  /// Advised for random access: the default advice reads some 2.7 MiB of neighbours for each cold vector.
  static Result<std::unique_ptr<Mapping>> make(int fd, std::uint64_t bytes, const std::string& path);

  explicit PosixMapping(std::string path) noexcept : path_(std::move(path)) {}  ///< Empty.
  ~PosixMapping() override;
  PosixMapping(const PosixMapping&) = delete;
  PosixMapping& operator=(const PosixMapping&) = delete;

  void advise(std::uint64_t offset, std::uint64_t length, MapAdvice advice) noexcept override;
  Result<void> populate(std::uint64_t offset, std::uint64_t length) override;
  Result<void> lock(std::uint64_t offset, std::uint64_t length) override;
  void unlock(std::uint64_t offset, std::uint64_t length) noexcept override;

 private:
  /// Errors: kInvalidArgument for a range beyond the mapping.
  [[nodiscard]] Result<void> check_range(std::string_view action, std::uint64_t offset,
                                         std::uint64_t length) const;
  Result<void> populate_chunk(std::span<const std::byte> pages);
  /// Finds the first page of a chunk that cannot be loaded, for the error's offset.
  [[nodiscard]] std::uint64_t first_bad_offset(std::span<const std::byte> pages) const noexcept;

  std::string path_;
};

/// Starts to read mapped ranges of this process into memory, with one system call for many of them where the
/// kernel has process_madvise.
class ReadAhead {
 public:
  ReadAhead() noexcept;
  void start(std::span<const std::span<const std::byte>> ranges) const noexcept;

 private:
  UniqueFd self_;  ///< A pidfd of this process; invalid where there is none.
};

/// Touches one byte of every page of the page-aligned range without a fault that could kill: the kernel
/// copies them into a pipe and reports EFAULT where a load would raise SIGBUS. For kernels before 5.14, which
/// lack MADV_POPULATE_READ. Returns 0 or a positive errno.
int populate_by_copy(std::span<const std::byte> pages) noexcept;

}  // namespace vectolith::engine
