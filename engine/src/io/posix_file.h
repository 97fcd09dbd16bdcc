/// @file
/// A regular file over a descriptor.
#pragma once

#include <string>
#include <utility>

#include <sys/types.h>

#include "io/environment.h"
#include "io/io_counter_cells.h"
#include "io/unique_fd.h"

struct stat;

namespace vectolith::engine {

/// Lifetime: `cells` outlives the file.
class PosixFile final : public File {
 public:
  /// Without a descriptor: `adopt` gives it one.
  PosixFile(std::string path, IoCounterCells& cells);
  /// Gives its lock back, also where a forked child still has the descriptor; a child itself leaves it alone.
  ~PosixFile() override;
  PosixFile(const PosixFile&) = delete;
  PosixFile& operator=(const PosixFile&) = delete;

  void adopt(UniqueFd fd, std::uint32_t direct_alignment = 1) noexcept {
    fd_ = std::move(fd);
    direct_alignment_ = direct_alignment;
  }
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }

  [[nodiscard]] Result<std::uint64_t> size() const override;
  [[nodiscard]] Result<std::uint64_t> allocated_bytes() const override;
  [[nodiscard]] Result<std::uint64_t> link_count() const override;
  Result<void> preallocate(std::uint64_t offset, std::uint64_t length) override;
  Result<void> punch(std::uint64_t offset, std::uint64_t length) override;
  Result<bool> try_lock(LockMode mode) override;
  Result<void> unlock() override;
  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> bytes) const override;
  Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) override;
  Result<void> data_sync() override;
  Result<std::unique_ptr<Mapping>> map() const override;
  void drop_cache(std::uint64_t offset, std::uint64_t length) const noexcept override;
  [[nodiscard]] std::uint32_t direct_alignment() const noexcept override { return direct_alignment_; }

 private:
  [[nodiscard]] Result<struct stat> status() const;
  Result<void> allocate(int mode, std::uint64_t offset, std::uint64_t length, std::string_view action);

  UniqueFd fd_;
  IoCounterCells& cells_;
  std::uint32_t direct_alignment_ = 1;
  pid_t lock_owner_ = 0;  ///< The process that took the lock; 0 if there is none.
};

/// What reads through a descriptor opened with O_DIRECT must be aligned to; the page size where the kernel
/// (before 6.1) does not say.
std::uint32_t direct_alignment_of(int fd) noexcept;

}  // namespace vectolith::engine
