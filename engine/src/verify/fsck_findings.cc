/// @file
/// Findings, bounded in number, and reads that turn a failing disk into a finding.
#include "verify/fsck_findings.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace vectolith::engine {
namespace {

using Kind = Finding::Kind;

constexpr std::size_t kFindingsMax = 1'000;
constexpr std::uint64_t kFolioBytesMax = 2ULL << 20;  ///< Of the page cache.
constexpr std::size_t kReadBytes = std::size_t{4} << 20;
constexpr std::uint64_t kTellEveryBytes = std::uint64_t{4} << 20;

}  // namespace

void FsckFindings::add(Finding::Severity severity, Finding::Kind kind, Place place, std::string what,
                       std::string expected, std::string found) {
  if (severity == Finding::Severity::kDamage) ++report_.damage;
  if (severity == Finding::Severity::kWarning) ++report_.warnings;
  auto& findings = report_.findings;
  if (findings.size() >= kFindingsMax) {
    // Damage displaces the last information: the list should name what has to be acted upon.
    if (severity != Finding::Severity::kDamage) return;
    const auto lesser = std::find_if(findings.rbegin(), findings.rend(), [](const Finding& finding) {
      return finding.severity != Finding::Severity::kDamage;
    });
    if (lesser == findings.rend()) return;
    findings.erase(std::next(lesser).base());
  }
  findings.push_back({.severity = severity,
                      .kind = kind,
                      .file = std::string(place.file),
                      .offset = place.offset,
                      .what = std::move(what),
                      .expected = std::move(expected),
                      .found = std::move(found)});
}

void FsckFindings::add(Finding::Severity severity, Finding::Kind kind, Place start, const Error& error) {
  start.offset += error.offset().value_or(0);
  const bool has_found = !error.found().empty() || error.system_errno() == 0;
  add(severity, kind, start, error.message(), error.expected().empty() ? "valid bytes" : error.expected(),
      has_found ? (error.found().empty() ? "damage" : error.found())
                : "errno " + std::to_string(error.system_errno()));
}

std::unique_ptr<File> FsckFindings::open(Directory& directory, const std::string& name, Missing missing) {
  auto file = directory.open(name, OpenMode::kReadOnly);
  if (file) {
    ++report_.files;
    return *std::move(file);
  }
  const std::string path = directory.path() + "/" + name;
  if (file.error().code() == ErrorCode::kNotFound) {
    if (missing == Missing::kIgnore) return nullptr;
    damage(Kind::kMissing, {path, 0}, "the file is missing", "a regular file", "nothing");
  } else {
    damage(Kind::kUnreadable, {path, 0}, "the file cannot be opened", "a readable regular file",
           file.error().to_string());
  }
  return nullptr;
}

bool FsckFindings::read(const File& file, std::uint64_t offset, std::span<std::byte> bytes) {
  const std::size_t read_bytes = pacer_ == nullptr ? kReadBytes : pacer_->bytes_at_once();
  while (!bytes.empty()) {
    const auto piece = bytes.first(std::min(bytes.size(), read_bytes));
    const auto read = file.read_at(offset, piece);
    const std::size_t got = read ? *read : 0;
    count_read(got);
    // A scrub goes through everything while others read what is hot: what is mapped stays.
    if (pacer_ != nullptr) {
      const std::uint64_t again = std::min(offset, kFolioBytesMax);  // A folio goes as a whole or not at all.
      file.drop_cache(offset - again, again + got);
    }
    if (got < piece.size()) {
      std::ranges::fill(bytes.subspan(got), std::byte{0});
      if (read) {
        damage(Kind::kMissing, {file.path(), offset + got}, "the file ends too early",
               std::to_string(bytes.size() - got) + " more bytes", "end of file");
      } else {
        damage(Kind::kUnreadable, {file.path(), offset}, "the file cannot be read", "readable bytes",
               read.error().to_string());
      }
      return false;
    }
    offset += got;
    bytes = bytes.subspan(got);
  }
  return true;
}

std::uint64_t FsckFindings::size_of(const File& file) {
  const auto size = file.size();
  if (size) return *size;
  damage(Kind::kUnreadable, {file.path(), 0}, "the file's size cannot be read", "a size",
         size.error().to_string());
  return 0;
}

void FsckFindings::expect_zeros(const File& file, std::uint64_t offset, std::uint64_t bytes,
                                std::string_view what) {
  std::vector<std::byte> buffer(std::min<std::uint64_t>(bytes, kReadBytes));
  while (bytes > 0) {
    const auto piece = std::span(buffer).first(std::min<std::uint64_t>(bytes, buffer.size()));
    if (!read(file, offset, piece)) return;
    const auto found = std::ranges::find_if(piece, [](std::byte b) { return b != std::byte{0}; });
    if (found != piece.end()) {
      warning(Kind::kStrayBytes, {file.path(), offset + static_cast<std::uint64_t>(found - piece.begin())},
              std::string(what) + " is not zero", "0", std::to_string(std::to_integer<unsigned>(*found)));
      return;
    }
    offset += piece.size();
    bytes -= piece.size();
  }
}

void FsckFindings::finish_file(std::uint64_t bytes) {
  bytes_of_files_done_ += bytes;
  bytes_of_this_file_ = 0;
  tell();
}

void FsckFindings::count_read(std::uint64_t bytes) {
  report_.bytes += bytes;
  bytes_of_this_file_ += bytes;
  bytes_untold_ += bytes;
  if (bytes_untold_ >= kTellEveryBytes) tell();
  if (pacer_ != nullptr) pacer_->spend(bytes);
}

void FsckFindings::tell() {
  bytes_untold_ = 0;
  if (!options_.on_progress) return;
  options_.on_progress(std::min(bytes_of_files_done_ + bytes_of_this_file_, bytes_expected_),
                       bytes_expected_);
}

}  // namespace vectolith::engine
