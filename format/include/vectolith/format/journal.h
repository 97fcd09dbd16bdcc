/// @file
/// Journal files: a 4 KiB header, then 64-byte checksummed rows for deaths and watermarks.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include <vectolith/format/checksum.h>
#include <vectolith/format/features.h>
#include <vectolith/format/ids.h>
#include <vectolith/format/key.h>
#include <vectolith/format/result.h>

namespace vectolith::format {

inline constexpr std::array<char, 8> kJournalMagic = {'V', 'L', 'I', 'T', 'H', 'J', 'R', 'N'};
inline constexpr std::size_t kJournalHeaderBytes = 4'096;

/// First 4 KiB of a journal file.
struct JournalHeader {
  std::array<char, 8> magic = kJournalMagic;
  std::uint16_t version_major = kVersionMajor;
  std::uint16_t version_minor = kVersionMinor;
  std::uint32_t header_bytes = kJournalHeaderBytes;
  std::uint32_t compat = 0;
  std::uint32_t ro_compat = 0;
  std::uint32_t incompat = 0;
  std::uint32_t row_capacity = 0;
  Uuid store_uuid;
  Uuid journal_uuid;  ///< Seeds every row sum.
  JournalId journal_id;
  ManifestVersion manifest_version;
  std::array<std::byte, 4'008> reserved{};  ///< Zero; a reader rejects other values.
  std::uint64_t checksum = 0;               ///< XXH3-64 over bytes [0, 4088).
};
static_assert(sizeof(JournalHeader) == kJournalHeaderBytes);
static_assert(std::has_unique_object_representations_v<JournalHeader>);

/// What a journal row says. Persistent values; 0 is invalid.
enum class JournalKind : std::uint16_t {
  kErase = 1,      ///< The key's versions below `sequence` in `family` are dead.
  kWatermark = 2,  ///< Rows below `digest[8..12)` of segment `digest[0..8)` are durable.
};

/// One 64-byte journal row.
struct JournalRow {
  std::uint64_t checksum = 0;  ///< XXH3-64 over bytes [8, 64), seeded by position_seed(journal, row).
  Key key;                     ///< Of the erased row; for a watermark see JournalKind.
  std::uint64_t sequence_and_kind = 0;  ///< Low 48 bits sequence, high 16 bits JournalKind.
  FamilyId family;
  std::uint32_t manifest_version = 0;  ///< Low 32 bits of the last durable manifest frame's number.

  [[nodiscard]] Sequence sequence() const noexcept { return Sequence(sequence_and_kind & kSequenceMax); }
  [[nodiscard]] JournalKind kind() const noexcept {
    return static_cast<JournalKind>(sequence_and_kind >> 48);
  }

  static JournalRow erase(const Key& key, FamilyId family, Sequence sequence,
                          ManifestVersion version) noexcept;
  static JournalRow watermark(SegmentId segment, std::uint32_t rows_durable, Sequence sequence,
                              ManifestVersion version) noexcept;
  /// Precondition for both: kind() == kWatermark.
  [[nodiscard]] SegmentId watermark_segment() const noexcept;
  [[nodiscard]] std::uint32_t watermark_rows() const noexcept;
};
static_assert(sizeof(JournalRow) == 64);
static_assert(std::has_unique_object_representations_v<JournalRow>);

std::array<std::byte, kJournalHeaderBytes> encode_journal_header(JournalHeader header);
/// Errors: kCorruption, kUnsupported, as for segment headers.
Result<JournalHeader> decode_journal_header(std::span<const std::byte> bytes);
/// Fills in the checksum for its place.
void seal_journal_row(JournalRow& row, const Uuid& journal, std::uint32_t index) noexcept;
/// A row read back: valid, all zero (never written), or damaged.
enum class JournalRowState : std::uint8_t { kValid, kZero, kInvalid };
JournalRowState classify_journal_row(const JournalRow& row, const Uuid& journal,
                                     std::uint32_t index) noexcept;

}  // namespace vectolith::format
