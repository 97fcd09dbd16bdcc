/// @file
/// Segment files: header, geometry, meta rows of vector segments, and the footer of sealed ones.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include <vectolith/format/checksum.h>
#include <vectolith/format/features.h>
#include <vectolith/format/ids.h>
#include <vectolith/format/key.h>
#include <vectolith/format/model_spec.h>
#include <vectolith/format/result.h>

namespace vectolith::format {

inline constexpr std::array<char, 8> kSegmentMagic = {'V', 'L', 'I', 'T', 'H', 'S', 'E', 'G'};
inline constexpr std::array<char, 8> kFooterMagic = {'V', 'L', 'I', 'T', 'H', 'F', 'T', 'R'};
inline constexpr std::size_t kSegmentHeaderBytes = 4'096;
inline constexpr std::uint64_t kRegionAlignment = 4'096;
inline constexpr std::uint64_t kMatrixAlignment = 65'536;
/// Files below this size align their matrix to kRegionAlignment only.
inline constexpr std::uint64_t kMatrixAlignedFileBytesMin = 1'048'576;
inline constexpr std::uint64_t kSegmentFileBytesMin = 65'536;
inline constexpr std::uint64_t kSegmentFileBytesMax = std::uint64_t{1} << 40;
inline constexpr std::uint32_t kSegmentRowsMax = 1U << 20;     ///< Rows, or 64-byte units of records.
inline constexpr std::uint64_t kMatrixBlockBytes = 1'048'576;  ///< One footer sum per this many bytes.

/// What a segment holds. Persistent values; 0 is invalid.
enum class SegmentKind : std::uint32_t { kVector = 1, kRecord = 2 };
/// Eviction group at birth. Persistent values.
enum class SegmentGroup : std::uint16_t { kNone = 0, kProbation = 1, kMain = 2 };

/// Where the regions of a segment lie. For records, "matrix" is the data region and there is no meta.
struct SegmentGeometry {
  std::uint32_t row_bytes = 0;  ///< Vector bytes; 64 for records.
  std::uint32_t row_capacity = 0;
  std::uint64_t meta_offset = 0;  ///< 0 for records.
  std::uint64_t meta_bytes = 0;   ///< 0 for records.
  std::uint64_t matrix_offset = 0;
  std::uint64_t matrix_bytes = 0;  ///< A multiple of 4 KiB, at least row_capacity * row_bytes.
  std::uint64_t footer_offset = 0;
  std::uint64_t footer_bytes = 0;
  std::uint64_t file_bytes = 0;

  friend bool operator==(const SegmentGeometry&, const SegmentGeometry&) = default;
};

/// The geometry with the most rows that fits into `file_bytes` (rounded down to 4 KiB).
/// Where kSegmentRowsMax binds, the result's `file_bytes` is smaller than asked: go by the result.
/// Errors: kInvalidArgument if the file is outside [64 KiB, 1 TiB] or holds no row.
Result<SegmentGeometry> vector_geometry(std::uint64_t file_bytes, std::uint32_t row_bytes);
Result<SegmentGeometry> record_geometry(std::uint64_t file_bytes);

/// First 4 KiB of every segment file. Written and made durable before the first row.
struct SegmentHeader {
  std::array<char, 8> magic = kSegmentMagic;
  std::uint16_t version_major = kVersionMajor;
  std::uint16_t version_minor = kVersionMinor;
  std::uint32_t header_bytes = kSegmentHeaderBytes;
  std::uint32_t compat = 0;
  std::uint32_t ro_compat = 0;
  std::uint32_t incompat = 0;
  SegmentKind kind{};
  Uuid store_uuid;
  Uuid segment_uuid;   ///< Random, fresh for every life of the file: seeds every sum in it.
  Uuid previous_uuid;  ///< The life before, if the file was recycled; else nil.
  SegmentId segment_id;
  FamilyId family_id;
  std::uint32_t dim = 0;  ///< 0 for records.
  Dtype dtype{};          ///< 0 for records.
  Metric metric{};        ///< 0 for records.
  std::uint16_t unit_norm = 0;
  SegmentGroup group = SegmentGroup::kNone;
  std::uint32_t row_bytes = 0;
  std::uint32_t row_capacity = 0;
  std::uint64_t meta_offset = 0;
  std::uint64_t meta_bytes = 0;
  std::uint64_t matrix_offset = 0;
  std::uint64_t matrix_bytes = 0;
  std::uint64_t footer_offset = 0;
  std::uint64_t footer_bytes = 0;
  std::uint64_t file_bytes = 0;
  std::uint64_t created_at_s = 0;
  ManifestVersion manifest_version;  ///< Last durable manifest frame when the header was written.
  Fingerprint fingerprint;           ///< Of the family's model spec; nil for records.
  std::uint32_t lane = 0;
  std::uint32_t spec_bytes = 0;           ///< Length of the encoded model spec in `spec`.
  std::array<std::byte, 816> reserved{};  ///< Zero; a reader rejects other values.
  std::array<std::byte, kModelSpecBytesMax> spec{};
  std::array<std::byte, 1'016> reserved1{};  ///< Zero; a reader rejects other values.
  std::uint64_t checksum = 0;                ///< XXH3-64 over bytes [0, 4088).

  [[nodiscard]] SegmentGeometry geometry() const noexcept;
  void set_geometry(const SegmentGeometry& geometry) noexcept;
  /// Sets all that tells of the vectors: dim, dtype, metric, unit_norm, fingerprint and the spec itself.
  void set_spec(const ModelSpec& model);
};
static_assert(sizeof(SegmentHeader) == kSegmentHeaderBytes);
static_assert(std::has_unique_object_representations_v<SegmentHeader>);

/// Fills in the checksum and returns the 4,096 bytes.
std::array<std::byte, kSegmentHeaderBytes> encode_segment_header(SegmentHeader header);
/// Errors: kCorruption (magic, sum, reserved bytes, regions that overlap, leave the file or overflow,
/// a spec that does not decode or disagrees with dim, dtype, metric, row_bytes or fingerprint);
/// kUnsupported (major version, incompatible features).
Result<SegmentHeader> decode_segment_header(std::span<const std::byte> bytes);
/// The model spec in a vector segment's header.
Result<ModelSpec> segment_spec(const SegmentHeader& header);

/// Flags of a meta row or record. Unknown bits are rejected.
enum RowFlags : std::uint16_t {
  kRowBatchBegin = 1U << 0,  ///< `lag_or_count` holds the row count of the batch.
  kRowBatchEnd = 1U << 1,
  kRowNormalised = 1U << 2,  ///< The vector's L2 norm was 1 within tolerance at put.
  kRowBackfilled = 1U << 3,
  kRowBatchMember = 1U << 4,  ///< One of a batch: counts above the watermark only if all of them are valid.
  kRowFlagsKnown = 0x1F,
};
inline constexpr std::uint16_t kLagUnknown = 65'535;
inline constexpr std::uint32_t kBatchRowsMax = 65'535;

/// The 64 bytes that describe one vector. Bytes 0..47 have the same layout in RecordHeader.
struct MetaRow {
  Key key;                               ///< Content digest, scope, chunker.
  std::uint64_t sequence_and_build = 0;  ///< Low 48 bits sequence, high 16 bits embedder build.
  std::uint32_t created_at_s = 0;        ///< Seconds since 1970.
  std::uint16_t flags = 0;
  std::uint16_t lag_or_count = 0;  ///< Durable lag in rows (saturating), or a batch's row count.
  std::uint32_t vector_sum = 0;    ///< Low 32 bits of XXH3-64 of the vector, seeded by position.
  std::uint32_t row_sum = 0;       ///< Low 32 bits of XXH3-64 of bytes 0..59, seeded by position.

  [[nodiscard]] Sequence sequence() const noexcept { return Sequence(sequence_and_build & kSequenceMax); }
  [[nodiscard]] BuildId build() const noexcept {
    return BuildId(static_cast<std::uint16_t>(sequence_and_build >> 48));
  }
  void set_sequence_and_build(Sequence sequence, BuildId build) noexcept {
    sequence_and_build = sequence.value | (std::uint64_t{build.value} << 48);
  }
};
static_assert(sizeof(MetaRow) == 64);
static_assert(std::has_unique_object_representations_v<MetaRow>);

/// Low 32 bits of XXH3-64(vector, position_seed(life, row)).
std::uint32_t vector_sum(const Uuid& life, RowIndex row, std::span<const std::byte> vector) noexcept;
/// Low 32 bits of XXH3-64(bytes 0..59 of `meta`, position_seed(life, row)).
std::uint32_t row_sum(const Uuid& life, RowIndex row, const MetaRow& meta) noexcept;

/// What the 64 bytes at a row's place are, before its vector is looked at.
enum class RowState : std::uint8_t {
  kValid,    ///< The row sum holds, flags are known, the sequence is not 0.
  kZero,     ///< All zero: never written.
  kStale,    ///< Valid under `previous` life: a recycled row that was never overwritten.
  kInvalid,  ///< Torn, damaged or foreign.
};
RowState classify_row(const MetaRow& meta, const Uuid& life, const Uuid& previous, RowIndex row) noexcept;

/// Rows [first, last] of a segment that are not valid and stay so for ever.
struct RowRange {
  std::uint32_t first = 0;
  std::uint32_t last = 0;  ///< Inclusive.
  friend bool operator==(const RowRange&, const RowRange&) = default;
};

/// One entry of the interned tables: a store-wide number and what it stands for.
struct InternedEntry {
  enum class Table : std::uint16_t { kScope = 1, kChunker = 2, kBuild = 3 };
  Table table{};
  std::uint32_t id = 0;
  std::uint32_t version = 0;  ///< Chunker version; 0 for the other tables.
  std::string name;
  friend bool operator==(const InternedEntry&, const InternedEntry&) = default;
};

/// The last region of a sealed segment.
struct SegmentFooter {
  Uuid segment_uuid;
  std::uint32_t row_count = 0;  ///< Rows (units) in use, valid or not; later ones were never written.
  Sequence first_sequence;
  Sequence last_sequence;
  std::uint64_t meta_sum = 0;  ///< XXH3-64 of the meta column's first row_count rows; 0 for records.
  /// XXH3-64 of each MiB of the matrix's first row_count * row_bytes bytes (the last one shorter).
  std::vector<std::uint64_t> block_sums;
  std::vector<RowRange> invalid;        ///< Ascending, disjoint, below row_count.
  std::vector<InternedEntry> interned;  ///< Entries that rows of this segment use.
  bool interned_complete = true;        ///< False if they did not all fit into the region.
  friend bool operator==(const SegmentFooter&, const SegmentFooter&) = default;
};

/// Encoded footer, at most `region_bytes` long: interned entries that do not fit are left out and
/// `interned_complete` is cleared. Errors: kLimit if even without them it does not fit.
Result<std::vector<std::byte>> encode_segment_footer(const SegmentFooter& footer, std::uint64_t region_bytes);
/// Errors: kNotFound if the region starts with zeros (not sealed); kCorruption otherwise.
Result<SegmentFooter> decode_segment_footer(std::span<const std::byte> region, const SegmentHeader& header);

}  // namespace vectolith::format
