/// @file
/// Footers: round trips, room for invalid ranges, and no damage or lie accepted.
#include <cstring>
#include <functional>
#include <random>

#include <gtest/gtest.h>

#include <vectolith/format/bytes.h>
#include <vectolith/format/checksum.h>
#include <vectolith/format/segment.h>

#include "format/damage.h"
#include "format/format_samples.h"
#include "support/random_seed.h"

namespace vectolith::format {
namespace {

using Table = InternedEntry::Table;
constexpr std::size_t kHeadBytes = 80;
const SegmentHeader kHeader = samples::vector_header();

const auto kDecode = [](std::span<const std::byte> region) { return decode_segment_footer(region, kHeader); };

std::vector<std::byte> encoded(const SegmentFooter& footer = samples::footer()) {
  return encode_segment_footer(footer, kHeader.footer_bytes).value();
}

/// The sum as docs/format.md has it, computed by a second hand.
std::vector<std::byte> resummed(std::vector<std::byte> bytes) {
  const std::uint64_t sum =
      checksum64(std::span(bytes).subspan(16), position_seed(kHeader.segment_uuid, ~std::uint64_t{0}));
  std::memcpy(bytes.data() + 8, &sum, sizeof(sum));
  return bytes;
}

template <class T>
std::vector<std::byte> with(std::size_t offset, T value) {
  auto bytes = encoded();
  std::memcpy(bytes.data() + offset, &value, sizeof(value));
  return resummed(std::move(bytes));
}

ErrorCode refusal(const SegmentFooter& footer, const SegmentHeader& header = kHeader) {
  const auto decoded = decode_segment_footer(encoded(footer), header);
  return decoded.has_value() ? ErrorCode{} : decoded.error().code();
}

SegmentFooter changed(const std::function<void(SegmentFooter&)>& change) {
  auto footer = samples::footer();
  change(footer);
  return footer;
}

TEST(SegmentFooter, ReadsBackInARegionWithAnythingBehindIt) {
  const auto bytes = encoded();
  EXPECT_EQ(kDecode(bytes).value(), samples::footer());
  auto region = bytes;
  region.resize(kHeader.footer_bytes, std::byte{0xEE});
  EXPECT_EQ(kDecode(region).value(), samples::footer());
}

TEST(SegmentFooter, RoundTripsForRandomContents) {
  std::mt19937_64 random(vectolith::testing::random_seed());
  for (int round = 0; round < 500; ++round) {
    SegmentFooter footer;
    footer.segment_uuid = kHeader.segment_uuid;
    footer.row_count = static_cast<std::uint32_t>(random() % (kHeader.row_capacity + 1));
    footer.first_sequence = Sequence(random() % 1'000);
    footer.last_sequence = Sequence(footer.first_sequence.value + random() % 1'000);
    footer.meta_sum = random();
    if (footer.row_count > 0) footer.block_sums = {random()};
    for (std::uint32_t row = 0; row + 3 < footer.row_count;
         row += 4 + static_cast<std::uint32_t>(random() % 50)) {
      footer.invalid.push_back({row, row + static_cast<std::uint32_t>(random() % 4)});
    }
    for (std::uint32_t id = 0; id < random() % 5; ++id)
      footer.interned.push_back({Table::kChunker, id, 1, "name"});
    const auto decoded = kDecode(encoded(footer));
    ASSERT_TRUE(decoded.has_value()) << decoded.error().to_string();
    ASSERT_EQ(*decoded, footer);
  }
}

TEST(DecodeSegmentFooter, TakesZerosForNotSealed) {
  EXPECT_EQ(code_of(kDecode(std::vector<std::byte>(4'096))), ErrorCode::kNotFound);
}

TEST(DecodeSegmentFooter, TreatsEveryTruncationAsCorruption) {
  testing::expect_every_truncation_fails(encoded(), kDecode);
}

TEST(DecodeSegmentFooter, TreatsEveryFlippedBitAsCorruption) {
  testing::expect_every_bit_flip_fails(encoded(), kDecode);
}

TEST(DecodeSegmentFooter, RejectsTheFooterOfAnotherLife) {
  EXPECT_EQ(refusal(changed([](auto& f) { f.segment_uuid = kHeader.previous_uuid; })),
            ErrorCode::kCorruption);
  EXPECT_EQ(code_of(kDecode(with(16, samples::uuid(0x99)))), ErrorCode::kCorruption);
}

TEST(DecodeSegmentFooter, RejectsFieldsOutOfRangeUnderAGoodSum) {
  const std::function<void(SegmentFooter&)> changes[] = {
      [](auto& f) { f.row_count = kHeader.row_capacity + 1; },
      [](auto& f) { f.row_count = 0; },
      [](auto& f) { f.first_sequence = Sequence(600); },
      [](auto& f) { f.last_sequence = Sequence(kSequenceMax + 1); },
      [](auto& f) { f.block_sums.clear(); },
      [](auto& f) { f.block_sums.push_back(1); },
      [](auto& f) { f.invalid = {{5, 4}}; },
      [](auto& f) { f.invalid = {{5, 9}, {9, 10}}; },
      [](auto& f) { f.invalid = {{10, 10}, {3, 3}}; },
      [](auto& f) { f.invalid = {{99, 100}}; },
      [](auto& f) { f.invalid = {{0, 0xFFFF'FFFF}}; },
      [](auto& f) { f.interned[0].table = Table{}; },
      [](auto& f) { f.interned[0].table = Table{4}; },
      [](auto& f) { f.interned[0].version = 1; },
      [](auto& f) { f.interned[2].id = 65'536; },
  };
  for (std::size_t i = 0; i < std::size(changes); ++i) {
    EXPECT_EQ(refusal(changed(changes[i])), ErrorCode::kCorruption) << "change " << i;
  }
}

TEST(DecodeSegmentFooter, RejectsCountsThatOverflowWithoutAllocating) {
  for (const std::size_t offset : {64U, 68U, 72U}) {
    for (const std::uint32_t count : {0xFFFF'FFFFU, 0x2000'0000U, 0x4000'0001U}) {
      EXPECT_EQ(code_of(kDecode(with(offset, count))), ErrorCode::kCorruption) << offset;
    }
  }
  EXPECT_EQ(code_of(kDecode(with(76, std::uint32_t{2}))), ErrorCode::kCorruption) << "unknown flag";
  EXPECT_EQ(code_of(kDecode(with(32, std::uint32_t{79}))), ErrorCode::kCorruption) << "shorter than its head";
  EXPECT_EQ(code_of(kDecode(with(32, ~std::uint32_t{0}))), ErrorCode::kCorruption)
      << "longer than its region";
}

TEST(DecodeSegmentFooter, RejectsOneEntryMoreOrLessThanThereIs) {
  EXPECT_EQ(code_of(kDecode(with(72, std::uint32_t{2}))), ErrorCode::kCorruption);
  EXPECT_EQ(code_of(kDecode(with(72, std::uint32_t{4}))), ErrorCode::kCorruption);
}

TEST(DecodeSegmentFooter, ARecordSegmentHasNoMetaSum) {
  auto footer = samples::footer();
  EXPECT_EQ(refusal(footer, samples::record_header()), ErrorCode::kCorruption);
  footer.meta_sum = 0;
  EXPECT_EQ(refusal(footer, samples::record_header()), ErrorCode{});
}

TEST(EncodeSegmentFooter, LeavesOutInternedEntriesThatDoNotFitAndSaysSo) {
  auto footer = samples::footer();
  footer.interned.clear();
  for (std::uint32_t id = 1; id <= 500; ++id)
    footer.interned.push_back({Table::kScope, id, 0, "a tenant's name"});
  const auto bytes = encode_segment_footer(footer, 4'096);
  ASSERT_TRUE(bytes.has_value());
  EXPECT_LE(bytes->size(), 4'096U);
  const auto decoded = kDecode(*bytes);
  ASSERT_TRUE(decoded.has_value()) << decoded.error().to_string();
  EXPECT_FALSE(decoded->interned_complete);
  EXPECT_GT(decoded->interned.size(), 100U);
  EXPECT_EQ(decoded->invalid, footer.invalid);
}

TEST(EncodeSegmentFooter, KeepsAnIncompleteTableIncomplete) {
  auto footer = samples::footer();
  footer.interned_complete = false;
  EXPECT_FALSE(kDecode(encoded(footer))->interned_complete);
}

TEST(EncodeSegmentFooter, EverySegmentHasRoomForTwoHundredAndFiftySixRanges) {
  for (const std::uint64_t file_bytes :
       {std::uint64_t{1} << 16, std::uint64_t{1} << 20, std::uint64_t{1} << 28, std::uint64_t{1} << 36,
        std::uint64_t{1} << 40}) {
    const auto geometry =
        vector_geometry(file_bytes, 16'384).value_or(vector_geometry(file_bytes, 128).value());
    const std::uint64_t used = std::uint64_t{geometry.row_capacity} * geometry.row_bytes;
    SegmentFooter footer = samples::footer();
    footer.block_sums.assign((used + kMatrixBlockBytes - 1) / kMatrixBlockBytes, 1);
    footer.invalid.assign(256, {1, 1});
    EXPECT_TRUE(encode_segment_footer(footer, geometry.footer_bytes).has_value()) << file_bytes;
  }
}

TEST(EncodeSegmentFooter, ReportsRangesThatDoNotFitAsALimit) {
  auto footer = samples::footer();
  const std::size_t fitting = (4'096 - kHeadBytes - 8) / sizeof(RowRange);
  footer.invalid.assign(fitting, {1, 1});
  EXPECT_TRUE(encode_segment_footer(footer, 4'096).has_value());
  footer.invalid.push_back({1, 1});
  EXPECT_EQ(code_of(encode_segment_footer(footer, 4'096)), ErrorCode::kLimit);
  EXPECT_EQ(code_of(encode_segment_footer(footer, 0)), ErrorCode::kLimit);
}

}  // namespace
}  // namespace vectolith::format
