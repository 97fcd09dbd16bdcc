/// @file
/// Journal rows count in their slot and journal only.
#include <vectolith/format/journal.h>

#include <functional>

#include <gtest/gtest.h>

#include <vectolith/format/segment.h>

#include "format/damage.h"
#include "format/format_samples.h"

namespace vectolith::format {
namespace {

const Uuid kJournal = samples::uuid(0x40);
constexpr std::uint32_t kIndex = 5;

JournalRow sealed(JournalRow row) {
  seal_journal_row(row, kJournal, kIndex);
  return row;
}
JournalRow erase() {
  return sealed(JournalRow::erase(samples::key(1), FamilyId(3), Sequence(700), ManifestVersion(41)));
}
JournalRow watermark() {
  return sealed(
      JournalRow::watermark(SegmentId(0x1122'3344'5566'7788), 9'000, Sequence(701), ManifestVersion(41)));
}
JournalRowState state(const JournalRow& row) { return classify_journal_row(row, kJournal, kIndex); }

TEST(JournalHeader, ReturnsWhatWasEncoded) {
  const auto header = decode_journal_header(encode_journal_header(samples::journal_header()));
  ASSERT_TRUE(header.has_value()) << header.error().to_string();
  EXPECT_EQ(header->journal_uuid, kJournal);
  EXPECT_EQ(header->journal_id, JournalId(11));
  EXPECT_EQ(header->row_capacity, 1'024U);
  EXPECT_EQ(header->manifest_version, ManifestVersion(41));
}

TEST(JournalHeader, HasRoomForRows) {
  auto header = samples::journal_header();
  header.row_capacity = 0;
  EXPECT_EQ(code_of(decode_journal_header(encode_journal_header(header))), ErrorCode::kCorruption);
}

TEST(JournalRow, AnEraseKeepsItsFields) {
  const auto row = erase();
  EXPECT_EQ(state(row), JournalRowState::kValid);
  EXPECT_EQ(row.kind(), JournalKind::kErase);
  EXPECT_EQ(row.key, samples::key(1));
  EXPECT_EQ(row.family, FamilyId(3));
  EXPECT_EQ(row.sequence(), Sequence(700));
  EXPECT_EQ(row.manifest_version, 41U);
}

TEST(JournalRow, AWatermarkKeepsSegmentAndRows) {
  const auto row = watermark();
  EXPECT_EQ(state(row), JournalRowState::kValid);
  EXPECT_EQ(row.kind(), JournalKind::kWatermark);
  EXPECT_EQ(row.watermark_segment(), SegmentId(0x1122'3344'5566'7788));
  EXPECT_EQ(row.watermark_rows(), 9'000U);
  EXPECT_EQ(row.sequence(), Sequence(701));
}

TEST(JournalRow, TheLargestSequenceDoesNotTouchTheKind) {
  const auto row = JournalRow::erase(samples::key(1), FamilyId(1), Sequence(kSequenceMax), {});
  EXPECT_EQ(row.sequence(), Sequence(kSequenceMax));
  EXPECT_EQ(row.kind(), JournalKind::kErase);
}

TEST(ClassifyJournalRow, RejectsEveryFlippedBit) {
  for (auto row : {erase(), watermark()}) {
    auto* bytes = reinterpret_cast<unsigned char*>(&row);
    for (std::size_t i = 0; i < sizeof(row); ++i) {
      for (unsigned bit = 0; bit < 8; ++bit) {
        bytes[i] = static_cast<unsigned char>(bytes[i] ^ (1U << bit));
        ASSERT_EQ(state(row), JournalRowState::kInvalid) << i << ", " << bit;
        bytes[i] = static_cast<unsigned char>(bytes[i] ^ (1U << bit));
      }
    }
  }
}

TEST(ClassifyJournalRow, RejectsARowInAnotherSlotOrJournal) {
  for (std::uint32_t index = 0; index < 1'000; ++index) {
    if (index == kIndex) continue;
    ASSERT_EQ(classify_journal_row(erase(), kJournal, index), JournalRowState::kInvalid) << index;
  }
  EXPECT_EQ(classify_journal_row(erase(), samples::uuid(0x41), kIndex), JournalRowState::kInvalid);
}

TEST(ClassifyJournalRow, TakesZerosForNeverWritten) {
  EXPECT_EQ(state(JournalRow{}), JournalRowState::kZero);
}

TEST(ClassifyJournalRow, RejectsIllegalFieldsUnderAGoodSum) {
  const auto changed = [](JournalRow row, const std::function<void(JournalRow&)>& change) {
    change(row);
    return state(sealed(row));
  };
  const auto set_kind = [](std::uint64_t kind) {
    return [kind](JournalRow& row) { row.sequence_and_kind = row.sequence().value | kind << 48; };
  };
  EXPECT_EQ(changed(erase(), set_kind(0)), JournalRowState::kInvalid);
  EXPECT_EQ(changed(erase(), set_kind(3)), JournalRowState::kInvalid);
  EXPECT_EQ(changed(erase(), [](auto& row) { row.family = FamilyId(0); }), JournalRowState::kInvalid);
  EXPECT_EQ(changed(erase(), [](auto& row) { row.sequence_and_kind &= ~kSequenceMax; }),
            JournalRowState::kInvalid);
  EXPECT_EQ(changed(watermark(), [](auto& row) { row.family = FamilyId(1); }), JournalRowState::kInvalid);
  EXPECT_EQ(changed(watermark(), [](auto& row) { row.key.digest.bytes[12] = std::byte{1}; }),
            JournalRowState::kInvalid);
  EXPECT_EQ(changed(watermark(), [](auto& row) { row.key.chunker = ChunkerId(1); }),
            JournalRowState::kInvalid);
  EXPECT_EQ(state(sealed(JournalRow::watermark(SegmentId(1), kSegmentRowsMax + 1, Sequence(1), {}))),
            JournalRowState::kInvalid);
  EXPECT_EQ(state(sealed(JournalRow::watermark(SegmentId(1), kSegmentRowsMax, Sequence(1), {}))),
            JournalRowState::kValid);
}

}  // namespace
}  // namespace vectolith::format
