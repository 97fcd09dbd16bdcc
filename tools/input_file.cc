/// @file
/// Reads input files with positioned reads, and splits them into lines.
#include "input_file.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vectolith::tools {

namespace {

constexpr std::size_t kChunkBytes = std::size_t{1} << 20;
constexpr std::size_t kGrownBytes = 4'096;

std::unexpected<Error> system_failure(const std::string& what, const std::string& path) {
  const int cause = errno;
  const auto code = cause == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo;
  return std::unexpected(Error(code, what).with_file(path).with_errno(cause));
}

}  // namespace

Result<InputFile> InputFile::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return system_failure("cannot open the input file", path);
  InputFile file(path, fd, 0);
  struct stat status{};
  if (::fstat(fd, &status) != 0) return system_failure("cannot look at the input file", path);
  if (!S_ISREG(status.st_mode)) {
    return std::unexpected(
        Error(ErrorCode::kInvalidArgument, "the input is no regular file").with_file(path));
  }
  file.size_ = static_cast<std::uint64_t>(status.st_size);
  return file;
}

InputFile::InputFile(std::string path, int fd, std::uint64_t size) noexcept
    : path_(std::move(path)), fd_(fd), size_(size) {}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)), size_(other.size_) {}

InputFile& InputFile::operator=(InputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(size_, other.size_);
  return *this;
}

InputFile::~InputFile() {
  if (fd_ >= 0) ::close(fd_);
}

Result<std::size_t> InputFile::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  std::size_t done = 0;
  while (done < out.size()) {
    const auto got = ::pread(fd_, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_failure("cannot read the input file", path_);
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

Result<void> InputFile::read_exact(std::uint64_t offset, std::span<std::byte> out) const {
  VECTOLITH_TRY_ASSIGN(const std::size_t got, read_at(offset, out));
  if (got == out.size()) return {};
  return std::unexpected(
      Error(ErrorCode::kCorruption, "the file is truncated")
          .with_file(path_)
          .with_offset(offset + got)
          .with_expected(std::to_string(out.size()) + " bytes from byte " + std::to_string(offset))
          .with_found(std::to_string(got)));
}

Result<std::vector<std::byte>> InputFile::read_all(std::uint64_t bytes_max) const {
  if (size_ > bytes_max) {
    return std::unexpected(Error(ErrorCode::kLimit, "the file is too long")
                               .with_file(path_)
                               .with_expected("at most " + std::to_string(bytes_max) + " bytes")
                               .with_found(std::to_string(size_)));
  }
  std::vector<std::byte> bytes(static_cast<std::size_t>(size_));
  VECTOLITH_TRY(read_exact(0, bytes));
  return bytes;
}

Result<std::vector<std::byte>> read_standard_input(std::size_t bytes_max) {
  std::vector<std::byte> bytes;
  for (;;) {
    const std::size_t done = bytes.size();
    bytes.resize(std::min(bytes_max + 1, done + kChunkBytes));
    const auto got = ::read(STDIN_FILENO, bytes.data() + done, bytes.size() - done);
    if (got < 0 && errno != EINTR) return system_failure("cannot read standard input", "(stdin)");
    bytes.resize(done + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got == 0) return bytes;
    if (bytes.size() > bytes_max) {
      return fail(ErrorCode::kLimit,
                  "standard input holds more than " + std::to_string(bytes_max) + " bytes");
    }
  }
}

Result<bool> LineReader::refill() {
  buffer_.erase(0, std::exchange(buffer_used_, 0));
  const std::size_t kept = buffer_.size();
  // The rest of a short file, and a little in case it grew: a whole chunk would have to be cleared first.
  const std::uint64_t rest = file_.size() - std::min(file_.size(), read_offset_);
  buffer_.resize(kept + std::clamp<std::uint64_t>(rest, kGrownBytes, kChunkBytes));
  auto got = file_.read_at(read_offset_, std::as_writable_bytes(std::span(buffer_)).subspan(kept));
  buffer_.resize(kept + got.value_or(0));
  if (!got.has_value()) return std::unexpected(std::move(got).error());
  read_offset_ += *got;
  return *got > 0;
}

Result<bool> LineReader::next(std::string& line) {
  std::size_t searched = 0;
  std::size_t end = std::string::npos;
  bool more = true;
  while (more && (end = buffer_.find('\n', buffer_used_ + searched)) == std::string::npos) {
    searched = buffer_.size() - buffer_used_;
    if (searched > kLineBytesMax) break;
    VECTOLITH_TRY_ASSIGN(more, refill());
  }
  const std::size_t length = (end == std::string::npos ? buffer_.size() : end) - buffer_used_;
  if (end == std::string::npos && length == 0) return false;
  ++line_number_;
  line_offset_ = offset_;
  if (length > kLineBytesMax) {
    return std::unexpected(Error(ErrorCode::kLimit, "line " + std::to_string(line_number_) + " is too long")
                               .with_file(file_.path())
                               .with_offset(line_offset_)
                               .with_expected("at most " + std::to_string(kLineBytesMax) + " bytes"));
  }
  line.assign(buffer_, buffer_used_, length);
  const std::size_t consumed = length + (end == std::string::npos ? 0 : 1);
  buffer_used_ += consumed;
  offset_ += consumed;
  if (line.ends_with('\r')) line.pop_back();
  return true;
}

}  // namespace vectolith::tools
