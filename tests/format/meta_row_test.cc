/// @file
/// A meta row is valid in its slot, its file and its life only.
#include <cstring>

#include <gtest/gtest.h>

#include <vectolith/format/segment.h>

#include "format/format_samples.h"

namespace vectolith::format {
namespace {

const Uuid kLife = samples::uuid(0x20);
const Uuid kPrevious = samples::uuid(0x30);
const Uuid kOther = samples::uuid(0x90);
constexpr RowIndex kRow(12);

MetaRow resummed(MetaRow meta) {
  meta.row_sum = row_sum(kLife, kRow, meta);
  return meta;
}

TEST(ClassifyRow, AcceptsTheRowInItsPlace) {
  EXPECT_EQ(classify_row(samples::meta_row(12, kLife), kLife, kPrevious, kRow), RowState::kValid);
}

TEST(ClassifyRow, RejectsTheRowInEveryOtherSlot) {
  const auto meta = samples::meta_row(12, kLife);
  for (std::uint32_t row = 0; row < 1'000; ++row) {
    if (row == kRow.value) continue;
    ASSERT_EQ(classify_row(meta, kLife, kPrevious, RowIndex(row)), RowState::kInvalid) << row;
  }
}

TEST(ClassifyRow, RejectsTheRowOfAnotherFile) {
  EXPECT_EQ(classify_row(samples::meta_row(12, kOther), kLife, kPrevious, kRow), RowState::kInvalid);
}

TEST(ClassifyRow, TellsARecycledRowThatWasNeverOverwritten) {
  const auto stale = samples::meta_row(12, kPrevious);
  EXPECT_EQ(classify_row(stale, kLife, kPrevious, kRow), RowState::kStale);
  EXPECT_EQ(classify_row(stale, kLife, kPrevious, RowIndex(13)), RowState::kInvalid);
  EXPECT_EQ(classify_row(stale, kLife, Uuid{}, kRow), RowState::kInvalid);
}

TEST(ClassifyRow, ANilPreviousLifeMakesNothingStale) {
  EXPECT_EQ(classify_row(samples::meta_row(12, Uuid{}), kLife, Uuid{}, kRow), RowState::kInvalid);
}

TEST(ClassifyRow, TakesZerosForNeverWritten) {
  for (std::uint32_t row = 0; row < 1'000; ++row) {
    ASSERT_EQ(classify_row(MetaRow{}, kLife, kPrevious, RowIndex(row)), RowState::kZero);
  }
}

TEST(ClassifyRow, RejectsEveryFlippedBitAndEveryTornRow) {
  auto meta = samples::meta_row(12, kLife);
  auto* bytes = reinterpret_cast<unsigned char*>(&meta);
  for (std::size_t i = 0; i < sizeof(meta); ++i) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      bytes[i] = static_cast<unsigned char>(bytes[i] ^ (1U << bit));
      ASSERT_EQ(classify_row(meta, kLife, kPrevious, kRow), RowState::kInvalid) << i << ", " << bit;
      bytes[i] = static_cast<unsigned char>(bytes[i] ^ (1U << bit));
    }
  }
  for (std::size_t written = 1; written < sizeof(meta); ++written) {
    MetaRow torn;
    std::memcpy(&torn, &meta, written);
    if (std::memcmp(&torn, &meta, sizeof(meta)) == 0) continue;
    ASSERT_NE(classify_row(torn, kLife, kPrevious, kRow), RowState::kValid) << written;
  }
}

TEST(ClassifyRow, RejectsUnknownFlagsAndSequenceZeroUnderAGoodSum) {
  auto meta = samples::meta_row(12, kLife);
  meta.flags = kRowFlagsKnown;
  EXPECT_EQ(classify_row(resummed(meta), kLife, kPrevious, kRow), RowState::kValid);
  for (unsigned bit = 5; bit < 16; ++bit) {
    meta.flags = static_cast<std::uint16_t>(1U << bit);
    EXPECT_EQ(classify_row(resummed(meta), kLife, kPrevious, kRow), RowState::kInvalid) << bit;
  }
  meta.flags = 0;
  meta.set_sequence_and_build(Sequence(0), BuildId(9));
  EXPECT_EQ(classify_row(resummed(meta), kLife, kPrevious, kRow), RowState::kInvalid);
}

TEST(MetaRow, SequenceAndBuildShareTheirWordWithoutTouching) {
  MetaRow meta;
  meta.set_sequence_and_build(Sequence(kSequenceMax), BuildId(0));
  EXPECT_EQ(meta.sequence(), Sequence(kSequenceMax));
  EXPECT_EQ(meta.build(), BuildId(0));
  meta.set_sequence_and_build(Sequence(1), BuildId(65'535));
  EXPECT_EQ(meta.sequence(), Sequence(1));
  EXPECT_EQ(meta.build(), BuildId(65'535));
}

TEST(VectorSum, ChangesWithEveryBitWithTheRowAndWithTheLife) {
  auto vector = samples::vector(12);
  const auto sum = vector_sum(kLife, kRow, vector);
  EXPECT_NE(sum, vector_sum(kLife, RowIndex(13), vector));
  EXPECT_NE(sum, vector_sum(kPrevious, kRow, vector));
  for (std::size_t i = 0; i < vector.size(); ++i) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      vector[i] ^= static_cast<std::byte>(1U << bit);
      ASSERT_NE(sum, vector_sum(kLife, kRow, vector)) << i;
      vector[i] ^= static_cast<std::byte>(1U << bit);
    }
  }
}

TEST(VectorSum, OfAZeroVectorIsNotZeroByHabit) {
  const std::vector<std::byte> zeros(128);
  int zero_sums = 0;
  for (std::uint32_t row = 0; row < 1'000; ++row)
    zero_sums += vector_sum(kLife, RowIndex(row), zeros) == 0 ? 1 : 0;
  EXPECT_EQ(zero_sums, 0);
}

}  // namespace
}  // namespace vectolith::format
