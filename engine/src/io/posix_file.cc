/// @file
/// A regular file over a descriptor.
#include "io/posix_file.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/pages.h"
#include "io/posix_mapping.h"
#include "io/system_error.h"
#include "io/transfer.h"

namespace vectolith::engine {
namespace {

/// flock does not move data, so an interrupted one may be repeated for ever.
int flock_through_signals(int fd, int operation) {
  while (::flock(fd, operation) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

}  // namespace

PosixFile::PosixFile(std::string path, IoCounterCells& cells) : cells_(cells) { path_ = std::move(path); }

PosixFile::~PosixFile() {
  // The lock belongs to the open file description, which a forked child and a mapping keep alive.
  if (lock_owner_ != 0 && lock_owner_ == ::getpid()) flock_through_signals(fd(), LOCK_UN);
}

Result<struct stat> PosixFile::status() const {
  struct stat status{};
  if (::fstat(fd(), &status) != 0) return fail_errno(errno, "fstat", path_);
  return status;
}

Result<std::uint64_t> PosixFile::size() const {
  VECTOLITH_TRY_ASSIGN(const auto found, status());
  return static_cast<std::uint64_t>(found.st_size);
}

Result<std::uint64_t> PosixFile::allocated_bytes() const {
  constexpr std::uint64_t kStatBlockBytes =
      512;  // Whatever the file system's block size is; see stat(3type).
  VECTOLITH_TRY_ASSIGN(const auto found, status());
  return static_cast<std::uint64_t>(found.st_blocks) * kStatBlockBytes;
}

Result<std::uint64_t> PosixFile::link_count() const {
  VECTOLITH_TRY_ASSIGN(const auto found, status());
  return static_cast<std::uint64_t>(found.st_nlink);
}

Result<void> PosixFile::preallocate(std::uint64_t offset, std::uint64_t length) {
  return allocate(0, offset, length, "fallocate");
}

Result<void> PosixFile::punch(std::uint64_t offset, std::uint64_t length) {
  return allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length, "fallocate (punch hole)");
}

Result<void> PosixFile::allocate(int mode, std::uint64_t offset, std::uint64_t length,
                                 std::string_view action) {
  if (length == 0) return {};  // The kernel calls it EINVAL; for us an empty range is done.
  // tmpfs starts an interrupted fallocate again from the beginning, so a storm of signals could keep it
  // going for ever: hence the bound.
  for (unsigned retries = 0;; ++retries) {
    if (::fallocate(fd(), mode, static_cast<off_t>(offset), static_cast<off_t>(length)) == 0) return {};
    const int error = errno;
    if (!is_transient(error) || retries == kTransientRetriesMax)
      return fail_errno(error, action, path_, offset);
    IoCounterCells::add(cells_.retries, 1);
    pause_before_retry(error == EINTR ? 0 : retries);
  }
}

Result<bool> PosixFile::try_lock(LockMode mode) {
  const int kind = mode == LockMode::kShared ? LOCK_SH : LOCK_EX;
  const int error = flock_through_signals(fd(), kind | LOCK_NB);
  if (error == EWOULDBLOCK) return false;
  if (error != 0) return fail_errno(error, "flock", path_);
  lock_owner_ = ::getpid();
  return true;
}

Result<void> PosixFile::unlock() {
  const int error = flock_through_signals(fd(), LOCK_UN);
  if (error != 0) return fail_errno(error, "flock (unlock)", path_);
  lock_owner_ = 0;
  return {};
}

Result<std::size_t> PosixFile::read_at(std::uint64_t offset, std::span<std::byte> bytes) const {
  IoOperation::Buffer buffer{.data = bytes.data(), .bytes = bytes.size()};
  const auto done = read_fully(fd(), offset, {&buffer, 1}, cells_);
  if (done.error != 0) return fail_errno(done.error, "read", path_, offset + done.bytes);
  return static_cast<std::size_t>(done.bytes);
}

Result<void> PosixFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  // The kernel takes reads and writes through one structure; a write does not change the bytes.
  IoOperation::Buffer buffer{.data = const_cast<std::byte*>(bytes.data()), .bytes = bytes.size()};
  const auto done = write_fully(fd(), offset, {&buffer, 1}, cells_);
  if (done.error != 0) return fail_errno(done.error, "write", path_, offset + done.bytes);
  return {};
}

Result<void> PosixFile::data_sync() {
  const int error = data_sync_once(fd(), cells_);
  if (error != 0) return fail_errno(error, "fdatasync", path_);
  return {};
}

Result<std::unique_ptr<Mapping>> PosixFile::map() const {
  VECTOLITH_TRY_ASSIGN(const auto bytes, size());
  return PosixMapping::make(fd(), bytes, path_);
}

void PosixFile::drop_cache(std::uint64_t offset, std::uint64_t length) const noexcept {
  // Advice: nobody may rely on it, so there is no error to report.
  static_cast<void>(
      ::posix_fadvise(fd(), static_cast<off_t>(offset), static_cast<off_t>(length), POSIX_FADV_DONTNEED));
}

std::uint32_t direct_alignment_of(int fd) noexcept {
#if defined(STATX_DIOALIGN)
  struct statx found{};
  if (::statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &found) == 0 && (found.stx_mask & STATX_DIOALIGN) != 0) {
    const std::uint32_t needed = std::max(found.stx_dio_mem_align, found.stx_dio_offset_align);
    if (needed != 0) return needed;
  }
#endif
  return static_cast<std::uint32_t>(page_bytes());
}

}  // namespace vectolith::engine
