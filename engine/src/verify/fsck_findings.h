/// @file
/// Collects what fsck finds, and reads files in large pieces while it reports progress.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <vectolith/format/result.h>
#include <vectolith/verify.h>

#include "io/environment.h"
#include "verify/read_pacer.h"

namespace vectolith::engine {

/// Where something was found.
struct Place {
  std::string_view file;
  std::uint64_t offset = 0;
};

/// The report while it grows. Threads: one.
class FsckFindings {
 public:
  /// `pacer` may be null.
  explicit FsckFindings(const FsckOptions& options, ReadPacer* pacer = nullptr)
      : options_(options), pacer_(pacer) {}

  void add(Finding::Severity severity, Finding::Kind kind, Place place, std::string what,
           std::string expected, std::string found);
  void damage(Finding::Kind kind, Place place, std::string what, std::string expected, std::string found) {
    add(Finding::Severity::kDamage, kind, place, std::move(what), std::move(expected), std::move(found));
  }
  void warning(Finding::Kind kind, Place place, std::string what, std::string expected, std::string found) {
    add(Finding::Severity::kWarning, kind, place, std::move(what), std::move(expected), std::move(found));
  }
  void info(Finding::Kind kind, Place place, std::string what, std::string expected, std::string found) {
    add(Finding::Severity::kInfo, kind, place, std::move(what), std::move(expected), std::move(found));
  }
  /// What a decoder said of bytes that start at `start`; its own offset counts from there.
  void add(Finding::Severity severity, Finding::Kind kind, Place start, const Error& error);

  /// Opens for reading and counts the file. Null, and damage, when it is missing or no regular file.
  enum class Missing : std::uint8_t { kReport, kIgnore };
  std::unique_ptr<File> open(Directory& directory, const std::string& name,
                             Missing missing = Missing::kReport);
  /// Reads exactly bytes.size() bytes in pieces of at most 4 MiB. False, and damage, when they are not there;
  /// the rest then holds zeros.
  bool read(const File& file, std::uint64_t offset, std::span<std::byte> bytes);
  /// The file's size; 0, and damage, when it cannot be told.
  std::uint64_t size_of(const File& file);
  /// Warns of the first byte of the range that is not zero.
  void expect_zeros(const File& file, std::uint64_t offset, std::uint64_t bytes, std::string_view what);

  /// Damages so far.
  [[nodiscard]] std::uint64_t damages() const noexcept { return report_.damage; }

  /// Bytes that were read past `read`.
  void count_read(std::uint64_t bytes);
  [[nodiscard]] std::uint64_t bytes_read() const noexcept { return report_.bytes; }
  void count_row() noexcept { ++report_.rows; }
  void count_segment() noexcept { ++report_.segments; }
  /// Files to come hold this many bytes.
  void expect_bytes(std::uint64_t bytes) noexcept { bytes_expected_ += bytes; }
  /// A file of `bytes` bytes is done, whatever part of it was read.
  void finish_file(std::uint64_t bytes);
  [[nodiscard]] FsckReport take() && { return std::move(report_); }

 private:
  void tell();

  const FsckOptions& options_;
  ReadPacer* pacer_;
  FsckReport report_;
  std::uint64_t bytes_expected_ = 0;
  std::uint64_t bytes_of_files_done_ = 0;
  std::uint64_t bytes_of_this_file_ = 0;
  std::uint64_t bytes_untold_ = 0;
};

}  // namespace vectolith::engine
