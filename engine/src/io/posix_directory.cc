/// @file
/// An open directory; names are resolved beneath its descriptor only.
#include "io/posix_directory.h"

#include <cerrno>
#include <cstdio>
#include <memory>
#include <utility>

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io/posix_file.h"
#include "io/system_error.h"

namespace vectolith::engine {
namespace {

constexpr mode_t kFileMode = 0600;
constexpr mode_t kDirectoryMode = 0700;
constexpr int kDirectoryFlags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

int flags_of(OpenMode mode) {
  switch (mode) {
    case OpenMode::kReadOnly: return O_RDONLY;
    case OpenMode::kReadDirect: return O_RDONLY | O_DIRECT;
    case OpenMode::kReadWrite: return O_RDWR;
    case OpenMode::kCreateNew: return O_RDWR | O_CREAT | O_EXCL;
    case OpenMode::kOpenOrCreate: break;
  }
  return O_RDWR | O_CREAT;
}

std::unexpected<Error> not_a_regular_file(int system_errno, const std::string& path) {
  return fail_errno_as(ErrorCode::kInvalidArgument, system_errno, "not a regular file", path);
}

std::unexpected<Error> fail_name(int error, std::string_view action, const std::string& path) {
  if (error == ENOENT) return fail_errno_as(ErrorCode::kNotFound, error, "no such file", path);
  if (error == EEXIST) return fail_errno_as(ErrorCode::kExists, error, "the name is taken", path);
  return fail_errno(error, action, path);
}

std::unexpected<Error> fail_open(int error, const std::string& path) {
  // ELOOP: a symlink. EISDIR, ENXIO, ENODEV: a directory, a socket, a device.
  const bool other_kind = error == ELOOP || error == EISDIR || error == ENXIO || error == ENODEV;
  if (other_kind) return not_a_regular_file(error, path);
  return fail_name(error, "open", path);
}

int retry_open(auto&& call) {
  for (unsigned retries = 0;; ++retries) {
    const long fd = call();
    if (fd >= 0) return static_cast<int>(fd);
    const int error = errno;
    // EAGAIN: openat2 could not rule out that a rename raced with the resolution.
    if (!is_transient(error) || retries == kTransientRetriesMax) return -error;
    pause_before_retry(error == EINTR ? 0 : retries);
  }
}

Result<UniqueFd> open_directory_fd(const std::string& path) {
  const int fd = retry_open([&] { return ::open(path.c_str(), kDirectoryFlags); });
  if (fd >= 0) return UniqueFd(fd);
  if (fd == -ENOENT) return fail_errno_as(ErrorCode::kNotFound, ENOENT, "no such directory", path);
  if (fd == -ENOTDIR) return fail_errno_as(ErrorCode::kInvalidArgument, ENOTDIR, "not a directory", path);
  return fail_errno(-fd, "open (directory)", path);
}

std::string parent_of(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  const auto slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

/// Gives a directory that we made the bits that a strict umask took; others' are left as they are.
Result<void> undo_umask(const std::string& path) {
  // O_PATH needs no permission on the directory itself, and what it opened can't be exchanged any more.
  const UniqueFd made(
      retry_open([&] { return ::open(path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC); }));
  struct stat status{};
  if (!made.valid() || ::fstat(made.get(), &status) != 0) return {};  // Then opening it says why.
  if ((status.st_mode & kDirectoryMode) == kDirectoryMode || status.st_uid != ::geteuid()) return {};
  const std::string through_fd = "/proc/self/fd/" + std::to_string(made.get());
  if (::chmod(through_fd.c_str(), kDirectoryMode) != 0) return fail_errno(errno, "chmod", path);
  return {};
}

Result<void> create_directory(const std::string& path, IoCounterCells& cells) {
  if (::mkdir(path.c_str(), kDirectoryMode) == 0) {
    VECTOLITH_TRY(undo_umask(path));
  } else if (errno != EEXIST) {
    const int error = errno;
    if (error == ENOENT) return fail_errno_as(ErrorCode::kNotFound, error, "no parent directory", path);
    if (error == ENOTDIR) {
      return fail_errno_as(ErrorCode::kInvalidArgument, error, "the parent is no directory", path);
    }
    return fail_errno(error, "mkdir", path);
  }
  // Without this a power cut could take the whole directory, with everything that was synced in it.
  const std::string parent = parent_of(path);
  VECTOLITH_TRY_ASSIGN(const UniqueFd fd, open_directory_fd(parent));
  if (::fsync(fd.get()) != 0) return fail_errno(errno, "fsync (directory)", parent);
  IoCounterCells::add(cells.directory_syncs, 1);
  return {};
}

/// O_NONBLOCK only keeps the open itself from waiting at a FIFO; io_uring would take it for "do not wait".
int clear_nonblock(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) != 0) return errno;
  return 0;
}

}  // namespace

Result<void> check_name(std::string_view name) {
  const bool plain = !name.empty() && name != "." && name != ".." &&
                     name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
  if (plain) return {};
  return std::unexpected(
      Error(ErrorCode::kInvalidArgument, "not a plain file name").with_found(std::string(name)));
}

int open_beneath(int directory_fd, const std::string& name, int flags) {
  const auto creation_mode = (flags & O_CREAT) != 0 ? kFileMode : 0;
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags);
  how.mode = creation_mode;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  const int fd =
      retry_open([&] { return ::syscall(SYS_openat2, directory_fd, name.c_str(), &how, sizeof how); });
  if (fd != -ENOSYS && fd != -EPERM) return fd;
  return retry_open([&] { return ::openat(directory_fd, name.c_str(), flags | O_NOFOLLOW, creation_mode); });
}

Result<std::unique_ptr<Directory>> PosixDirectory::open_path(const std::string& path, bool create,
                                                             IoCounterCells& cells) {
  if (path.empty() || path.find('\0') != std::string::npos) {
    return fail(ErrorCode::kInvalidArgument, "not a directory path");
  }
  auto fd = open_directory_fd(path);
  if (!fd.has_value() && fd.error().code() == ErrorCode::kNotFound && create) {
    VECTOLITH_TRY(create_directory(path, cells));
    fd = open_directory_fd(path);
  }
  if (!fd.has_value()) return std::unexpected(std::move(fd).error());
  return std::make_unique<PosixDirectory>(*std::move(fd), path, cells);
}

PosixDirectory::PosixDirectory(UniqueFd fd, std::string path, IoCounterCells& cells)
    : fd_(std::move(fd)), cells_(cells) {
  path_ = std::move(path);
}

std::string PosixDirectory::path_of(std::string_view name) const { return path_ + "/" + std::string(name); }

Result<std::unique_ptr<File>> PosixDirectory::open(std::string_view name, OpenMode mode) {
  VECTOLITH_TRY(check_name(name));
  // Before a file is made: refused memory must not leave one behind.
  auto opened = std::make_unique<PosixFile>(path_of(name), cells_);
  const std::string& path = opened->path();
  int flags = flags_of(mode) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  UniqueFd file(open_beneath(fd(), std::string(name), flags));
  // Some file systems (tmpfs of old, FUSE) have no way past the page cache.
  if (mode == OpenMode::kReadDirect && file.get() == -EINVAL) {
    flags &= ~O_DIRECT;
    file = UniqueFd(open_beneath(fd(), std::string(name), flags));
  }
  if (!file.valid()) return fail_open(-file.release(), path);
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) return fail_errno(errno, "fstat", path);
  if (!S_ISREG(status.st_mode)) return not_a_regular_file(0, path);
  // A strict umask would leave a store that its own owner cannot open again. Only what is new is empty.
  const bool new_and_narrow =
      (flags & O_CREAT) != 0 && status.st_size == 0 && (status.st_mode & kFileMode) != kFileMode;
  if (new_and_narrow && ::fchmod(file.get(), kFileMode) != 0) return fail_errno(errno, "fchmod", path);
  if (const int error = clear_nonblock(file.get()); error != 0) return fail_errno(error, "fcntl", path);
  const std::uint32_t alignment = (flags & O_DIRECT) != 0 ? direct_alignment_of(file.get()) : 1;
  opened->adopt(std::move(file), alignment);
  return opened;
}

Result<void> PosixDirectory::rename(std::string_view from, std::string_view to) {
  VECTOLITH_TRY(check_name(from));
  VECTOLITH_TRY(check_name(to));
  if (::renameat(fd(), std::string(from).c_str(), fd(), std::string(to).c_str()) == 0) return {};
  return fail_name(errno, "rename", path_of(from));
}

Result<void> PosixDirectory::unlink(std::string_view name) {
  VECTOLITH_TRY(check_name(name));
  if (::unlinkat(fd(), std::string(name).c_str(), 0) == 0) return {};
  return fail_name(errno, "unlink", path_of(name));
}

Result<std::vector<std::string>> PosixDirectory::list() const {
  // A descriptor of its own: the position of fd_ would be shared between threads.
  UniqueFd own(retry_open([&] { return ::openat(fd(), ".", kDirectoryFlags); }));
  if (!own.valid()) return fail_errno(-own.release(), "open (directory)", path_);
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(own.get()), ::closedir);
  if (stream == nullptr) return fail_errno(errno, "fdopendir", path_);
  static_cast<void>(own.release());  // Now the stream's.
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(stream.get());
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) return fail_errno(errno, "readdir", path_);
  return names;
}

Result<void> PosixDirectory::sync() {
  IoCounterCells::add(cells_.directory_syncs, 1);
  if (::fsync(fd()) != 0) return fail_errno(errno, "fsync (directory)", path_);
  return {};
}

Result<std::uint64_t> PosixDirectory::free_bytes() const {
  struct statvfs status{};
  if (::fstatvfs(fd(), &status) != 0) return fail_errno(errno, "fstatvfs", path_);
  return static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize;
}

}  // namespace vectolith::engine
