/// @file
/// The reader never leaves its span; the writer's output reads back.
#include <vectolith/format/bytes.h>

#include <limits>

#include <gtest/gtest.h>

#include "format/damage.h"

namespace vectolith::format {
namespace {

std::vector<std::byte> sample() {
  Writer writer;
  writer.write(std::uint16_t{0x0102});
  writer.write(std::uint32_t{0xA0B0'C0D0});
  writer.write(std::numeric_limits<std::uint64_t>::max());
  writer.write(Uuid{.bytes = {std::byte{1}, std::byte{2}}});
  writer.write_string("name");
  return std::move(writer).take();
}

Result<std::string> read_sample(std::span<const std::byte> bytes) {
  Reader reader(bytes);
  VECTOLITH_TRY(reader.read<std::uint16_t>());
  VECTOLITH_TRY(reader.read<std::uint32_t>());
  VECTOLITH_TRY(reader.read<std::uint64_t>());
  VECTOLITH_TRY(reader.read_uuid());
  VECTOLITH_TRY_ASSIGN(auto name, reader.read_string());
  VECTOLITH_TRY(reader.expect_end());
  return name;
}

TEST(Writer, WritesLittleEndian) {
  Writer writer;
  writer.write(std::uint32_t{0x0403'0201});
  const std::vector<std::byte> expected = {std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};
  EXPECT_EQ(std::move(writer).take(), expected);
}

TEST(Reader, ReadsBackWhatTheWriterWrote) {
  const auto bytes = sample();
  Reader reader(bytes);
  EXPECT_EQ(*reader.read<std::uint16_t>(), 0x0102);
  EXPECT_EQ(*reader.read<std::uint32_t>(), 0xA0B0'C0D0U);
  EXPECT_EQ(*reader.read<std::uint64_t>(), std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(reader.read_uuid()->bytes[1], std::byte{2});
  EXPECT_EQ(*reader.read_string(), "name");
  EXPECT_TRUE(reader.expect_end().has_value());
  EXPECT_EQ(reader.remaining(), 0U);
}

TEST(Reader, TreatsEveryTruncationAsCorruptionAndSaysWhere) {
  const auto bytes = sample();
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    const std::vector<std::byte> prefix(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length));
    const auto result = read_sample(prefix);
    ASSERT_FALSE(result.has_value()) << length;
    EXPECT_EQ(result.error().code(), ErrorCode::kCorruption);
    EXPECT_LE(result.error().offset().value(), length);
  }
}

TEST(Reader, ReportsBytesAfterTheLastField) {
  auto bytes = sample();
  bytes.push_back(std::byte{0});
  const auto result = read_sample(bytes);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code(), ErrorCode::kCorruption);
  EXPECT_EQ(result.error().offset(), bytes.size() - 1);
}

TEST(Reader, AFailedReadConsumesNothing) {
  const std::vector<std::byte> bytes(3);
  Reader reader(bytes);
  EXPECT_FALSE(reader.read<std::uint32_t>().has_value());
  EXPECT_FALSE(reader.take(std::numeric_limits<std::size_t>::max()).has_value());
  EXPECT_EQ(reader.offset(), 0U);
  EXPECT_TRUE(reader.read<std::uint16_t>().has_value());
}

TEST(Reader, AStringLongerThanItsDataIsCorruption) {
  Writer writer;
  writer.write(std::uint16_t{5});
  writer.write(std::uint32_t{0});
  const auto bytes = std::move(writer).take();
  EXPECT_EQ(code_of(Reader(bytes).read_string()), ErrorCode::kCorruption);
}

TEST(AlignUp, RoundsToTheNextMultiple) {
  EXPECT_EQ(align_up(0, 64), 0U);
  EXPECT_EQ(align_up(1, 64), 64U);
  EXPECT_EQ(align_up(64, 64), 64U);
  EXPECT_EQ(align_up(65, 64), 128U);
}

}  // namespace
}  // namespace vectolith::format
