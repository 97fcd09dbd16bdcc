/// @file
/// A file that a verb reads: positions, sizes and errors that name file and byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <vectolith/format/result.h>

namespace vectolith::tools {

/// An input file. Closed by the destructor.
class InputFile {
 public:
  /// Errors: kNotFound, kIo; kInvalidArgument unless it is a regular file.
  static Result<InputFile> open(const std::string& path);
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&& other) noexcept;
  ~InputFile();

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  /// Size when it was opened.
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  /// Reads up to out.size() bytes; fewer only at the end of the file. Errors: kIo.
  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> out) const;
  /// Reads exactly out.size() bytes. Errors: kIo; kCorruption when the file ends before.
  Result<void> read_exact(std::uint64_t offset, std::span<std::byte> out) const;
  /// The whole file. Errors: kIo; kLimit if it is longer than `bytes_max`.
  Result<std::vector<std::byte>> read_all(std::uint64_t bytes_max) const;

 private:
  InputFile(std::string path, int fd, std::uint64_t size) noexcept;

  std::string path_;
  int fd_ = -1;
  std::uint64_t size_ = 0;
};

/// Everything on standard input. Errors: kIo; kLimit above `bytes_max`.
Result<std::vector<std::byte>> read_standard_input(std::size_t bytes_max);

/// Splits a file into lines. A line without end at the end of the file counts.
class LineReader {
 public:
  static constexpr std::size_t kLineBytesMax = std::size_t{16} << 20;

  explicit LineReader(InputFile file) : file_(std::move(file)) {}
  /// The next line without its end ("\n" or "\r\n"); false at the end of the file.
  /// Errors: kIo; kLimit for a line longer than kLineBytesMax.
  Result<bool> next(std::string& line);
  [[nodiscard]] const InputFile& file() const noexcept { return file_; }
  /// Number of the line that `next` gave last, from 1, and the byte at which it starts.
  [[nodiscard]] std::uint64_t line_number() const noexcept { return line_number_; }
  [[nodiscard]] std::uint64_t line_offset() const noexcept { return line_offset_; }
  /// Bytes consumed.
  [[nodiscard]] std::uint64_t offset() const noexcept { return offset_; }

 private:
  Result<bool> refill();

  InputFile file_;
  std::string buffer_;
  std::size_t buffer_used_ = 0;
  std::uint64_t read_offset_ = 0;
  std::uint64_t offset_ = 0;
  std::uint64_t line_number_ = 0;
  std::uint64_t line_offset_ = 0;
};

}  // namespace vectolith::tools
