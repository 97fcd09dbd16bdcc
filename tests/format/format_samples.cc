/// @file
/// Fixed, legal values of every struct of the format.
#include "format/format_samples.h"

#include <algorithm>
#include <string_view>

#include <vectolith/format/bytes.h>

namespace vectolith::format::samples {
namespace {

constexpr std::uint64_t kCreatedAtS = 1'750'000'000;

SegmentHeader header_without_rows() {
  SegmentHeader header;
  header.store_uuid = uuid(0x10);
  header.segment_uuid = uuid(0x20);
  header.previous_uuid = uuid(0x30);
  header.segment_id = SegmentId(7);
  header.family_id = FamilyId(3);
  header.group = SegmentGroup::kProbation;
  header.created_at_s = kCreatedAtS;
  header.manifest_version = ManifestVersion(41);
  header.lane = 2;
  return header;
}

}  // namespace

Uuid uuid(std::uint8_t first) {
  Uuid uuid;
  for (std::size_t i = 0; i < uuid.bytes.size(); ++i) uuid.bytes[i] = static_cast<std::byte>(first + i);
  return uuid;
}

ModelSpec spec(Dtype dtype) {
  const bool floating = dtype == Dtype::kF32 || dtype == Dtype::kF16 || dtype == Dtype::kBf16;
  return {.model = "sample-embedder",
          .revision = "r1",
          .parameters = "pooling=mean",
          .role = Role::kDocument,
          .dim = 32,
          .dtype = dtype,
          .metric = Metric::kCosine,
          .unit_norm = floating};
}

Key key(std::uint64_t number) {
  return {.digest = Digest::from_number(number), .scope = ScopeId(5), .chunker = ChunkerId(6)};
}

Superblock superblock() {
  Superblock superblock;
  superblock.store_uuid = uuid(0x10);
  superblock.created_at_s = kCreatedAtS;
  return superblock;
}

SegmentHeader vector_header(Dtype dtype) {
  const auto model = spec(dtype);
  SegmentHeader header = header_without_rows();
  header.kind = SegmentKind::kVector;
  header.set_spec(model);
  header.set_geometry(*vector_geometry(kSegmentFileBytesMin, model.vector_bytes()));
  return header;
}

SegmentHeader record_header() {
  SegmentHeader header = header_without_rows();
  header.kind = SegmentKind::kRecord;
  header.group = SegmentGroup::kNone;
  header.set_geometry(*record_geometry(kSegmentFileBytesMin));
  return header;
}

MetaRow meta_row(std::uint32_t row, const Uuid& life) {
  MetaRow meta;
  meta.key = key(1'000 + row);
  meta.set_sequence_and_build(Sequence(500 + row), BuildId(9));
  meta.created_at_s = static_cast<std::uint32_t>(kCreatedAtS) + row;
  meta.flags = kRowNormalised;
  meta.lag_or_count = 4;
  meta.vector_sum = vector_sum(life, RowIndex(row), vector(row));
  meta.row_sum = row_sum(life, RowIndex(row), meta);
  return meta;
}

std::vector<std::byte> vector(std::uint32_t row) {
  std::vector<std::byte> bytes(spec().vector_bytes());
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(row * 31 + i);
  return bytes;
}

SegmentFooter footer() {
  using Table = InternedEntry::Table;
  return {.segment_uuid = uuid(0x20),
          .row_count = 100,
          .first_sequence = Sequence(500),
          .last_sequence = Sequence(599),
          .meta_sum = 0x0123'4567'89AB'CDEF,
          .block_sums = {0xFEDC'BA98'7654'3210},
          .invalid = {{3, 3}, {10, 19}},
          .interned = {{Table::kScope, 5, 0, "tenant-a"},
                       {Table::kChunker, 6, 2, "sentences"},
                       {Table::kBuild, 9, 0, "embedder-2025-06"}},
          .interned_complete = true};
}

JournalHeader journal_header() {
  JournalHeader header;
  header.row_capacity = 1'024;
  header.store_uuid = uuid(0x10);
  header.journal_uuid = uuid(0x40);
  header.journal_id = JournalId(11);
  header.manifest_version = ManifestVersion(41);
  return header;
}

std::vector<Edit> edits() {
  return {
      ReserveSequences{Sequence(1U << 24)},
      DefineInterned{{InternedEntry::Table::kChunker, 6, 2, "sentences"}},
      CreateFamily{.family = FamilyId(3),
                   .kind = SegmentKind::kVector,
                   .name = "docs",
                   .spec = encode_model_spec(spec()),
                   .segment_bytes_target = 64U << 20},
      DropFamily{FamilyId(2)},
      AddSegment{.segment = SegmentId(7), .family = FamilyId(3), .uuid = uuid(0x20), .file_bytes = 1U << 20},
      SuspendSegment{.segment = SegmentId(7), .row_count = 90},
      FreezeSegment{
          .segment = SegmentId(8), .row_count = 50, .rows_durable = 40, .invalid = {{41, 42}, {49, 49}}},
      SealSegment{.segment = SegmentId(9),
                  .row_count = 100,
                  .first_sequence = Sequence(500),
                  .last_sequence = Sequence(599),
                  .invalid = {{3, 3}}},
      RemoveSegment{SegmentId(6)},
      AddJournal{.journal = JournalId(11), .uuid = uuid(0x40), .file_bytes = 69'632},
      RemoveJournal{JournalId(10)},
      CleanClose{.next_sequence = Sequence(600), .journal_rows = 12},
      NextIds{.segment = SegmentId(10), .family = FamilyId(4), .journal = JournalId(12)},
  };
}

ManifestHeader manifest_header() {
  ManifestHeader header;
  header.store_uuid = uuid(0x10);
  header.life = uuid(0x50);
  header.snapshot_version = ManifestVersion(42);
  header.snapshot_bytes = 64;
  header.file_bytes = kManifestFileBytesMin;
  return header;
}

RecordFields record_fields() {
  return {.key = key(77),
          .sequence = Sequence(900),
          .flags = kRowBatchBegin | kRowBatchEnd,
          .created_at_ms = kCreatedAtS * 1'000 + 123,
          .lag_or_count = 1};
}

std::vector<std::byte> text(std::size_t bytes) {
  constexpr std::string_view kSentence = "the quick brown fox jumps over the lazy dog; ";
  std::vector<std::byte> text(bytes);
  for (std::size_t i = 0; i < bytes; ++i) text[i] = static_cast<std::byte>(kSentence[i % kSentence.size()]);
  return text;
}

std::vector<std::byte> record(std::span<const std::byte> payload, bool compress, const Uuid& life,
                              RowIndex unit) {
  const auto prepared = prepare_payload(payload, compress);
  const auto stored_bytes = static_cast<std::uint32_t>(prepared->bytes().size());
  std::vector<std::byte> bytes(std::size_t{record_units(stored_bytes)} * kRecordAlignment);
  encode_record(record_fields(), *prepared, life, unit, bytes);
  return bytes;
}

}  // namespace vectolith::format::samples
