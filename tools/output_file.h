/// @file
/// A file that a verb writes: it gets its name only when it is complete.
#pragma once

#include <cstddef>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <vectolith/format/result.h>

namespace vectolith::tools {

/// An output file, written as "PATH.partial" and renamed by `finish`. Removed if it is never finished.
class OutputFile {
 public:
  /// Errors: kIo, kNoSpace.
  static Result<OutputFile> create(const std::string& path);
  OutputFile(OutputFile&&) noexcept = default;
  OutputFile& operator=(OutputFile&&) noexcept = delete;
  ~OutputFile();

  Result<void> write(std::span<const std::byte> bytes);
  Result<void> write(std::string_view text) { return write(std::as_bytes(std::span(text))); }
  /// Makes the contents durable and gives the file its name, replacing one that has it.
  Result<void> finish();

 private:
  struct Closer {
    void operator()(std::FILE* stream) const noexcept { (void)std::fclose(stream); }
  };
  OutputFile(std::string path, std::FILE* stream) : path_(std::move(path)), stream_(stream) {}
  [[nodiscard]] std::string partial_path() const { return path_ + ".partial"; }

  std::string path_;
  std::unique_ptr<std::FILE, Closer> stream_;
};

}  // namespace vectolith::tools
