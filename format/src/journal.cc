/// @file
/// Journal headers and rows.
#include <vectolith/format/journal.h>

#include <cstring>
#include <utility>

#include <vectolith/format/segment.h>

#include "decode_checks.h"

namespace vectolith::format {
namespace {

/// Where a watermark keeps its values inside the digest; the digest's rest is reserved.
constexpr std::size_t kWatermarkRowsOffset = sizeof(std::uint64_t);
constexpr std::size_t kWatermarkBytes = kWatermarkRowsOffset + sizeof(std::uint32_t);

std::uint64_t journal_row_sum(const JournalRow& row, const Uuid& journal, std::uint32_t index) noexcept {
  return checksum64(bytes_of(row).subspan<sizeof(row.checksum)>(), position_seed(journal, index));
}

std::uint64_t sequence_and_kind(Sequence sequence, JournalKind kind) noexcept {
  return (sequence.value & kSequenceMax) | std::uint64_t{std::to_underlying(kind)} << 48;
}

bool is_legal(const JournalRow& row) noexcept {
  switch (row.kind()) {
    case JournalKind::kErase: return row.sequence().value != 0 && row.family.value != 0;
    case JournalKind::kWatermark:
      return row.family.value == 0 && row.watermark_rows() <= kSegmentRowsMax &&
             all_zero(bytes_of(row.key).subspan(kWatermarkBytes));
  }
  return false;
}

}  // namespace

JournalRow JournalRow::erase(const Key& key, FamilyId family, Sequence sequence,
                             ManifestVersion version) noexcept {
  return {.checksum = 0,
          .key = key,
          .sequence_and_kind = format::sequence_and_kind(sequence, JournalKind::kErase),
          .family = family,
          .manifest_version = static_cast<std::uint32_t>(version.value)};
}

JournalRow JournalRow::watermark(SegmentId segment, std::uint32_t rows_durable, Sequence sequence,
                                 ManifestVersion version) noexcept {
  JournalRow row{.checksum = 0,
                 .key = {.digest = Digest::from_number(segment.value)},
                 .sequence_and_kind = format::sequence_and_kind(sequence, JournalKind::kWatermark),
                 .family = FamilyId{},
                 .manifest_version = static_cast<std::uint32_t>(version.value)};
  std::memcpy(row.key.digest.bytes.data() + kWatermarkRowsOffset, &rows_durable, sizeof(rows_durable));
  return row;
}

SegmentId JournalRow::watermark_segment() const noexcept {
  SegmentId segment;
  std::memcpy(&segment.value, key.digest.bytes.data(), sizeof(segment.value));
  return segment;
}

std::uint32_t JournalRow::watermark_rows() const noexcept {
  std::uint32_t rows = 0;
  std::memcpy(&rows, key.digest.bytes.data() + kWatermarkRowsOffset, sizeof(rows));
  return rows;
}

std::array<std::byte, kJournalHeaderBytes> encode_journal_header(JournalHeader header) {
  return encode_header(header);
}

Result<JournalHeader> decode_journal_header(std::span<const std::byte> bytes) {
  constexpr std::string_view kWhat = "journal header";
  VECTOLITH_TRY_ASSIGN(const auto header, decode_header<JournalHeader>(bytes, kJournalMagic, kWhat));
  if (header.header_bytes != kJournalHeaderBytes) {
    return corrupt("journal header: wrong size", offsetof(JournalHeader, header_bytes), kJournalHeaderBytes,
                   header.header_bytes);
  }
  if (header.row_capacity == 0) {
    return corrupt("journal header: no room for rows", offsetof(JournalHeader, row_capacity), "not 0", "0");
  }
  VECTOLITH_TRY(check_reserved(header.reserved, kWhat, offsetof(JournalHeader, reserved)));
  return header;
}

void seal_journal_row(JournalRow& row, const Uuid& journal, std::uint32_t index) noexcept {
  row.checksum = journal_row_sum(row, journal, index);
}

JournalRowState classify_journal_row(const JournalRow& row, const Uuid& journal,
                                     std::uint32_t index) noexcept {
  if (all_zero(bytes_of(row))) return JournalRowState::kZero;  // First: most rows of a journal are.
  const bool holds = row.checksum == journal_row_sum(row, journal, index);
  return holds && is_legal(row) ? JournalRowState::kValid : JournalRowState::kInvalid;
}

}  // namespace vectolith::format
