/// @file
/// Journals: every row's sum, holes, and what rows say of segments and manifest.
#include "verify/fsck_journal.h"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include <vectolith/format/file_name.h>
#include <vectolith/format/journal.h>

namespace vectolith::engine {
namespace {

using Severity = Finding::Severity;
using Kind = Finding::Kind;
using format::JournalRow;
using format::JournalRowState;
using format::kJournalHeaderBytes;

constexpr std::uint32_t kRowsPerRead = 65'536;

class JournalCheck {
 public:
  JournalCheck(FsckContext& context, const JournalEntry& entry, const File& file, bool is_newest)
      : context_(context), findings_(context.findings), entry_(entry), file_(file) {
    const auto& clean = context.state->clean_close();
    const bool is_growing = is_newest && context.online;
    is_settled_ = !is_newest || (clean.has_value() && !is_growing);
    if (is_newest && clean && !is_growing) rows_expected_ = clean->journal_rows;
  }

  void run() {
    std::array<std::byte, kJournalHeaderBytes> bytes{};
    if (!findings_.read(file_, 0, bytes)) return;
    const auto header = format::decode_journal_header(bytes);
    if (!header) return findings_.add(Severity::kDamage, Kind::kAcknowledgedDamage, at(0), header.error());
    if (!check_header(*header)) return;
    const std::uint64_t size = findings_.size_of(file_);
    const std::uint64_t room =
        size < kJournalHeaderBytes ? 0 : (size - kJournalHeaderBytes) / sizeof(JournalRow);
    if (room < header->row_capacity || size != entry_.file_bytes) {
      findings_.damage(size < entry_.file_bytes ? Kind::kMissing : Kind::kContradiction, at(size),
                       "the journal has another size than the manifest or its header says",
                       std::to_string(entry_.file_bytes) + " bytes", std::to_string(size) + " bytes");
    }
    rows_in_file_ = static_cast<std::uint32_t>(std::min<std::uint64_t>(room, header->row_capacity));
    check_rows();
    const std::uint64_t rows_end = offset_of(rows_in_file_);
    if (size > rows_end) findings_.expect_zeros(file_, rows_end, size - rows_end, "padding of the journal");
  }

 private:
  [[nodiscard]] Place at(std::uint64_t offset) const { return {file_.path(), offset}; }
  static std::uint64_t offset_of(std::uint64_t row) { return kJournalHeaderBytes + row * sizeof(JournalRow); }

  bool check_header(const format::JournalHeader& header) {
    context_.check_version(at(0), header.manifest_version);
    if (header.store_uuid == context_.store_uuid && header.journal_uuid == entry_.uuid &&
        header.journal_id == entry_.id) {
      return true;
    }
    findings_.damage(
        header.journal_uuid == entry_.uuid ? Kind::kContradiction : Kind::kStaleEpoch, at(0),
        "the journal's header disagrees with the manifest",
        "journal " + std::to_string(entry_.id.value) + " " + to_text(entry_.uuid),
        "journal " + std::to_string(header.journal_id.value) + " " + to_text(header.journal_uuid));
    return false;
  }

  void check_rows() {
    std::vector<JournalRow> rows(std::min(rows_in_file_, kRowsPerRead));
    for (std::uint32_t first = 0; first < rows_in_file_; first += kRowsPerRead) {
      const auto piece = std::span(rows).first(std::min(rows_in_file_ - first, kRowsPerRead));
      findings_.read(file_, offset_of(first), std::as_writable_bytes(piece));
      for (std::uint32_t i = 0; i < piece.size(); ++i) check_row(first + i, piece[i]);
    }
    if (rows_expected_ && *rows_expected_ > rows_found_) {
      findings_.damage(Kind::kAcknowledgedDamage, at(offset_of(rows_found_)),
                       "rows of a cleanly closed journal are gone", std::to_string(*rows_expected_) + " rows",
                       std::to_string(rows_found_) + " rows");
    }
  }

  void check_row(std::uint32_t index, const JournalRow& row) {
    switch (format::classify_journal_row(row, entry_.uuid, index)) {
      case JournalRowState::kZero: return;
      case JournalRowState::kInvalid:
        // Before an unclean end the last rows may be torn, in any order; elsewhere each was durable.
        report(index,
               is_settled_ ? "a damaged journal row: an erase may be forgotten"
                           : "an unfinished or damaged journal row",
               "a row whose sum holds here", "another sum");
        rows_found_ = index + 1;
        return;
      case JournalRowState::kValid: break;
    }
    if (index > rows_found_) {
      report(rows_found_, "journal rows are missing before a valid one", "valid rows",
             std::to_string(index - rows_found_) + " rows of zeros");
    }
    rows_found_ = index + 1;
    if (rows_expected_ && index >= *rows_expected_) {
      findings_.warning(Kind::kContradiction, at(offset_of(index)),
                        "a journal row behind those that a clean close counted",
                        std::to_string(*rows_expected_) + " rows", "row " + std::to_string(index));
    }
    check_contents(index, row);
  }

  void report(std::uint32_t row, const char* what, std::string expected, std::string found) {
    const Place place = at(offset_of(row));
    if (is_settled_)
      return findings_.damage(Kind::kAcknowledgedDamage, place, what, std::move(expected), std::move(found));
    context_.add_unfinished(place, what, std::move(expected), std::move(found));
  }

  void check_contents(std::uint32_t index, const JournalRow& row) {
    const Place place = at(offset_of(index));
    const std::uint64_t version = context_.version.value;
    // Rows keep 32 bits of a version; the nearest number with these bits is meant.
    const auto ahead = static_cast<std::int32_t>(row.manifest_version - static_cast<std::uint32_t>(version));
    if (ahead > 0)
      context_.check_version(place, ManifestVersion(version + static_cast<std::uint32_t>(ahead)));
    if (row.kind() == format::JournalKind::kWatermark) {
      auto& watermark = context_.watermarks[row.watermark_segment()];
      watermark = std::max(watermark, row.watermark_rows());
      return;
    }
    if (!context_.is_reserved(row.sequence())) {
      findings_.damage(Kind::kContradiction, place, "a sequence that was never reserved",
                       "below " + std::to_string(context_.state->sequences_until().value),
                       std::to_string(row.sequence().value));
    }
    if (!context_.online && row.family >= context_.state->next_ids().family) {
      findings_.damage(Kind::kContradiction, place, "an erase in a family that never was",
                       "an id below " + std::to_string(context_.state->next_ids().family.value),
                       std::to_string(row.family.value));
    }
  }

  FsckContext& context_;
  FsckFindings& findings_;
  const JournalEntry& entry_;
  const File& file_;
  bool is_settled_ = false;  ///< Every row was durable before the manifest went on.
  std::optional<std::uint32_t> rows_expected_;
  std::uint32_t rows_in_file_ = 0;
  std::uint32_t rows_found_ = 0;
};

}  // namespace

void check_journal(FsckContext& context, const JournalEntry& entry, bool is_newest) {
  const auto file = context.open(format::journal_name(entry.id));
  if (file == nullptr) return;
  JournalCheck(context, entry, *file, is_newest).run();
  context.findings.finish_file(context.findings.size_of(*file));
}

}  // namespace vectolith::engine
