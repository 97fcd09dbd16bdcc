/// @file
/// Writes output files through a partial name.
#include "output_file.h"

#include <cerrno>

#include <unistd.h>

namespace vectolith::tools {

namespace {

std::unexpected<Error> write_failure(const std::string& what, const std::string& path) {
  const int cause = errno;
  const auto code = cause == ENOSPC || cause == EDQUOT ? ErrorCode::kNoSpace : ErrorCode::kIo;
  return std::unexpected(Error(code, what).with_file(path).with_errno(cause));
}

}  // namespace

Result<OutputFile> OutputFile::create(const std::string& path) {
  OutputFile file(path, nullptr);
  file.stream_.reset(std::fopen(file.partial_path().c_str(), "wbe"));
  if (file.stream_ == nullptr) return write_failure("cannot create the output file", file.partial_path());
  return file;
}

OutputFile::~OutputFile() {
  if (stream_ != nullptr) (void)std::remove(partial_path().c_str());
}

Result<void> OutputFile::write(std::span<const std::byte> bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), stream_.get()) == bytes.size()) return {};
  return write_failure("cannot write the output file", partial_path());
}

Result<void> OutputFile::finish() {
  if (std::fflush(stream_.get()) != 0 || ::fsync(::fileno(stream_.get())) != 0) {
    return write_failure("cannot write the output file", partial_path());
  }
  if (std::rename(partial_path().c_str(), path_.c_str()) != 0) {
    return write_failure("cannot name the output file", path_);
  }
  stream_.reset();
  return {};
}

}  // namespace vectolith::tools
