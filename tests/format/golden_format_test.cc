/// @file
/// Files written by version 1.0 decode to the values that were put into them, for ever.
#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

#include "format/format_samples.h"
#include "format/golden_files.h"

namespace vectolith::format {
namespace {

std::filesystem::path golden_directory() {
#ifdef VECTOLITH_SOURCE_DIR
  const std::filesystem::path source = VECTOLITH_SOURCE_DIR;
#else
  const char* directory = std::getenv("VECTOLITH_SOURCE_DIR");
  const std::filesystem::path source = directory == nullptr ? "." : directory;
#endif
  return source / "tests" / "golden" / "v1" / "format";
}

std::vector<std::byte> golden(const std::string& name) {
  std::ifstream file(golden_directory() / name, std::ios::binary);
  EXPECT_TRUE(file.is_open()) << name;
  const std::vector<char> text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

/// The UUID whose bytes count up from `first`, spelled out here so that the samples can't drift along.
Uuid counting(unsigned first) {
  Uuid uuid;
  for (auto& byte : uuid.bytes) byte = static_cast<std::byte>(first++);
  return uuid;
}

template <class Struct>
Struct load(std::span<const std::byte> bytes, std::size_t offset) {
  Struct value;
  std::memcpy(&value, bytes.subspan(offset, sizeof(value)).data(), sizeof(value));
  return value;
}

std::string digest_hex(const std::string& first_digits) {
  return first_digits + std::string(64 - first_digits.size(), '0');
}

TEST(GoldenV1, Superblock) {
  const auto superblock = decode_superblock(golden("superblock.bin"));
  ASSERT_TRUE(superblock.has_value()) << superblock.error().to_string();
  EXPECT_EQ(superblock->version_major, 1);
  EXPECT_EQ(superblock->version_minor, 0);
  EXPECT_EQ(superblock->store_uuid, counting(0x10));
  EXPECT_EQ(superblock->created_at_s, 1'750'000'000U);
}

TEST(GoldenV1, SegmentHeadersOfAllSixDtypes) {
  struct Expected {
    const char* name;
    Dtype dtype;
    std::uint32_t row_bytes;
    bool unit_norm;
  };
  const Expected all[] = {{"f32", Dtype::kF32, 128, true},  {"f16", Dtype::kF16, 64, true},
                          {"bf16", Dtype::kBf16, 64, true}, {"i8", Dtype::kI8, 32, false},
                          {"u8", Dtype::kU8, 32, false},    {"b1", Dtype::kB1, 4, false}};
  for (const auto& expected : all) {
    const auto header =
        decode_segment_header(golden(std::string("segment_header_") + expected.name + ".bin"));
    ASSERT_TRUE(header.has_value()) << expected.name << ": " << header.error().to_string();
    EXPECT_EQ(header->kind, SegmentKind::kVector);
    EXPECT_EQ(header->dtype, expected.dtype);
    EXPECT_EQ(header->row_bytes, expected.row_bytes);
    EXPECT_EQ(header->dim, 32U);
    EXPECT_EQ(header->metric, Metric::kCosine);
    EXPECT_EQ(header->unit_norm, expected.unit_norm ? 1 : 0);
    const auto spec = segment_spec(*header).value();
    EXPECT_EQ(spec.model, "sample-embedder");
    EXPECT_EQ(spec.dtype, expected.dtype);
  }
}

TEST(GoldenV1, SegmentHeaderFieldsAndRegions) {
  const auto header = decode_segment_header(golden("segment_header_f32.bin")).value();
  EXPECT_EQ(header.store_uuid, counting(0x10));
  EXPECT_EQ(header.segment_uuid, counting(0x20));
  EXPECT_EQ(header.previous_uuid, counting(0x30));
  EXPECT_EQ(header.segment_id, SegmentId(7));
  EXPECT_EQ(header.family_id, FamilyId(3));
  EXPECT_EQ(header.group, SegmentGroup::kProbation);
  EXPECT_EQ(header.created_at_s, 1'750'000'000U);
  EXPECT_EQ(header.manifest_version, ManifestVersion(41));
  EXPECT_EQ(header.lane, 2U);
  EXPECT_EQ(header.row_capacity, 288U);
  EXPECT_EQ(header.meta_offset, 4'096U);
  EXPECT_EQ(header.meta_bytes, 20'480U);
  EXPECT_EQ(header.matrix_offset, 24'576U);
  EXPECT_EQ(header.matrix_bytes, 36'864U);
  EXPECT_EQ(header.footer_offset, 61'440U);
  EXPECT_EQ(header.footer_bytes, 4'096U);
  EXPECT_EQ(header.file_bytes, 65'536U);
}

TEST(GoldenV1, RecordSegmentHeader) {
  const auto header = decode_segment_header(golden("segment_header_record.bin"));
  ASSERT_TRUE(header.has_value()) << header.error().to_string();
  EXPECT_EQ(header->kind, SegmentKind::kRecord);
  EXPECT_EQ(header->row_bytes, 64U);
  EXPECT_EQ(header->row_capacity, 896U);
  EXPECT_EQ(header->matrix_offset, 4'096U);
  EXPECT_EQ(header->footer_offset, 61'440U);
}

TEST(GoldenV1, ModelSpec) {
  const auto spec = decode_model_spec(golden("model_spec.bin"));
  ASSERT_TRUE(spec.has_value()) << spec.error().to_string();
  EXPECT_EQ(spec->model, "sample-embedder");
  EXPECT_EQ(spec->revision, "r1");
  EXPECT_EQ(spec->parameters, "pooling=mean");
  EXPECT_EQ(spec->role, Role::kDocument);
  EXPECT_EQ(spec->dim, 32U);
  EXPECT_EQ(spec->dtype, Dtype::kF32);
  EXPECT_EQ(spec->metric, Metric::kCosine);
  EXPECT_TRUE(spec->unit_norm);
  EXPECT_EQ(fingerprint(*spec), decode_segment_header(golden("segment_header_f32.bin"))->fingerprint);
}

TEST(GoldenV1, MetaRowsAndTheirVectors) {
  const auto rows = golden("meta_rows.bin");
  const auto vectors = golden("vectors.bin");
  ASSERT_EQ(rows.size(), 10 * sizeof(MetaRow));
  ASSERT_EQ(vectors.size(), 8U * 128);
  for (std::uint32_t row = 0; row < 8; ++row) {
    const auto meta = load<MetaRow>(rows, row * sizeof(MetaRow));
    ASSERT_EQ(classify_row(meta, counting(0x20), counting(0x30), RowIndex(row)), RowState::kValid) << row;
    EXPECT_EQ(meta.key.digest, Digest::from_number(1'000 + row));
    EXPECT_EQ(meta.key.scope, ScopeId(5));
    EXPECT_EQ(meta.key.chunker, ChunkerId(6));
    EXPECT_EQ(meta.sequence(), Sequence(500 + row));
    EXPECT_EQ(meta.build(), BuildId(9));
    EXPECT_EQ(meta.created_at_s, 1'750'000'000 + row);
    EXPECT_EQ(meta.flags, kRowNormalised);
    EXPECT_EQ(meta.lag_or_count, 4);
    const auto vector = std::span(vectors).subspan(row * 128, 128);
    EXPECT_EQ(meta.vector_sum, vector_sum(counting(0x20), RowIndex(row), vector));
    EXPECT_EQ(std::to_integer<unsigned>(vector[1]), row * 31 + 1);
  }
  const auto state = [&](std::uint32_t row) {
    return classify_row(load<MetaRow>(rows, row * sizeof(MetaRow)), counting(0x20), counting(0x30),
                        RowIndex(row));
  };
  EXPECT_EQ(state(8), RowState::kZero);
  EXPECT_EQ(state(9), RowState::kStale);
}

TEST(GoldenV1, Footer) {
  using Table = InternedEntry::Table;
  const auto header = decode_segment_header(golden("segment_header_f32.bin")).value();
  const auto footer = decode_segment_footer(golden("footer.bin"), header);
  ASSERT_TRUE(footer.has_value()) << footer.error().to_string();
  EXPECT_EQ(footer->segment_uuid, counting(0x20));
  EXPECT_EQ(footer->row_count, 100U);
  EXPECT_EQ(footer->first_sequence, Sequence(500));
  EXPECT_EQ(footer->last_sequence, Sequence(599));
  EXPECT_EQ(footer->meta_sum, 0x0123'4567'89AB'CDEFU);
  EXPECT_EQ(footer->block_sums, std::vector<std::uint64_t>{0xFEDC'BA98'7654'3210U});
  EXPECT_EQ(footer->invalid, (std::vector<RowRange>{{3, 3}, {10, 19}}));
  EXPECT_EQ(footer->interned, (std::vector<InternedEntry>{{Table::kScope, 5, 0, "tenant-a"},
                                                          {Table::kChunker, 6, 2, "sentences"},
                                                          {Table::kBuild, 9, 0, "embedder-2025-06"}}));
  EXPECT_TRUE(footer->interned_complete);
}

TEST(GoldenV1, Records) {
  const auto bytes = golden("records.bin");
  const auto at = [&](std::uint32_t unit) {
    return decode_record(std::span(bytes).subspan(std::size_t{unit} * 64), counting(0x20), RowIndex(unit));
  };
  const auto stored = at(0);
  ASSERT_TRUE(stored.has_value()) << stored.error().to_string();
  EXPECT_EQ(stored->header.key.digest.to_hex(), digest_hex("4d"));
  EXPECT_EQ(stored->header.sequence(), Sequence(900));
  EXPECT_EQ(stored->header.flags(), kRowBatchBegin | kRowBatchEnd);
  EXPECT_EQ(stored->header.created_at_ms, 1'750'000'000'123U);
  EXPECT_EQ(stored->prefix.flags, 0);
  EXPECT_EQ(stored->prefix.lag_or_count, 1);
  const auto text = record_payload(*stored).value();
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(text.data()), text.size()),
            "the quick brown fox jumps over the lazy dog; the q");
  const auto zstd = at(stored->units());
  ASSERT_TRUE(zstd.has_value()) << zstd.error().to_string();
  EXPECT_EQ(zstd->prefix.flags, kRecordZstd);
  EXPECT_EQ(record_payload(*zstd).value(), samples::text(2'000));
  EXPECT_EQ(at(stored->units() + zstd->units()).error().code(), ErrorCode::kNotFound);
}

TEST(GoldenV1, Journal) {
  const auto bytes = golden("journal.bin");
  const auto header = decode_journal_header(bytes);
  ASSERT_TRUE(header.has_value()) << header.error().to_string();
  EXPECT_EQ(header->journal_uuid, counting(0x40));
  EXPECT_EQ(header->journal_id, JournalId(11));
  EXPECT_EQ(header->row_capacity, 1'024U);
  const auto row = [&](std::uint32_t index) {
    return load<JournalRow>(bytes, 4'096 + index * sizeof(JournalRow));
  };
  const auto state = [&](std::uint32_t index) {
    return classify_journal_row(row(index), counting(0x40), index);
  };
  ASSERT_EQ(state(0), JournalRowState::kValid);
  EXPECT_EQ(row(0).kind(), JournalKind::kErase);
  EXPECT_EQ(row(0).key.digest.to_hex(), digest_hex("01"));
  EXPECT_EQ(row(0).family, FamilyId(3));
  EXPECT_EQ(row(0).sequence(), Sequence(700));
  ASSERT_EQ(state(1), JournalRowState::kValid);
  EXPECT_EQ(row(1).kind(), JournalKind::kWatermark);
  EXPECT_EQ(row(1).watermark_segment(), SegmentId(7));
  EXPECT_EQ(row(1).watermark_rows(), 90U);
  EXPECT_EQ(state(2), JournalRowState::kZero);
}

/// The frame with every edit in the golden manifest.
void expect_every_edit(const std::vector<Edit>& edits) {
  ASSERT_EQ(edits.size(), 13U);
  EXPECT_EQ(std::get<ReserveSequences>(edits[0]).until, Sequence(16'777'216));
  EXPECT_EQ(std::get<DefineInterned>(edits[1]).entry,
            (InternedEntry{InternedEntry::Table::kChunker, 6, 2, "sentences"}));
  const auto& family = std::get<CreateFamily>(edits[2]);
  EXPECT_EQ(family.family, FamilyId(3));
  EXPECT_EQ(family.kind, SegmentKind::kVector);
  EXPECT_EQ(family.name, "docs");
  EXPECT_EQ(family.spec, golden("model_spec.bin"));
  EXPECT_EQ(family.segment_bytes_target, 67'108'864U);
  EXPECT_EQ(std::get<DropFamily>(edits[3]).family, FamilyId(2));
  EXPECT_EQ(edits[4], Edit(AddSegment{SegmentId(7), FamilyId(3), counting(0x20), 1'048'576}));
  EXPECT_EQ(edits[5], Edit(SuspendSegment{SegmentId(7), 90}));
  EXPECT_EQ(edits[6], Edit(FreezeSegment{SegmentId(8), 50, 40, {{41, 42}, {49, 49}}}));
  EXPECT_EQ(edits[7], Edit(SealSegment{SegmentId(9), 100, Sequence(500), Sequence(599), {{3, 3}}}));
  EXPECT_EQ(edits[8], Edit(RemoveSegment{SegmentId(6)}));
  EXPECT_EQ(edits[9], Edit(AddJournal{JournalId(11), counting(0x40), 69'632}));
  EXPECT_EQ(edits[10], Edit(RemoveJournal{JournalId(10)}));
  EXPECT_EQ(edits[11], Edit(CleanClose{Sequence(600), 12}));
  EXPECT_EQ(edits[12], Edit(NextIds{SegmentId(10), FamilyId(4), JournalId(12)}));
}

TEST(GoldenV1, Manifest) {
  const auto bytes = golden("manifest.bin");
  const auto header = decode_manifest_header(bytes);
  ASSERT_TRUE(header.has_value()) << header.error().to_string();
  EXPECT_EQ(header->life, counting(0x50));
  EXPECT_EQ(header->snapshot_version, ManifestVersion(42));
  EXPECT_EQ(header->file_bytes, 262'144U);
  std::uint64_t offset = 4'096;
  std::vector<Frame> frames;
  while (true) {
    auto frame = decode_frame(std::span(bytes).subspan(offset), header->life, offset);
    if (!frame.has_value()) {
      EXPECT_EQ(frame.error().code(), ErrorCode::kNotFound) << frame.error().to_string();
      break;
    }
    offset += frame->frame_bytes;
    frames.push_back(std::move(*frame));
  }
  ASSERT_EQ(frames.size(), 3U);
  EXPECT_EQ(frames[0].frame_bytes, header->snapshot_bytes);
  for (std::uint64_t i = 0; i < 3; ++i) EXPECT_EQ(frames[i].version, ManifestVersion(42 + i));
  EXPECT_EQ(frames[0].edits.size(), 2U);
  expect_every_edit(frames[1].edits);
  EXPECT_TRUE(frames[2].edits.empty());
}

TEST(GoldenV1, ThisVersionStillWritesTheSameBytes) {
  const auto files = samples::golden_files();
  std::size_t found = 0;
  for (const auto& entry : std::filesystem::directory_iterator(golden_directory())) {
    const auto name = entry.path().filename().string();
    ASSERT_TRUE(files.contains(name)) << name << " is not made by make_golden_format";
    ++found;
    // Another zstd may compress otherwise; what it wrote must read back, which GoldenV1.Records checks.
    EXPECT_TRUE(name == "records.bin" || golden(name) == files.at(name)) << name;
  }
  EXPECT_EQ(found, files.size());
}

}  // namespace
}  // namespace vectolith::format
