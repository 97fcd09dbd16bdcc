/// @file
/// Dumps name every field with its value, as far as there are bytes.
#include <vectolith/format/describe.h>

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "format/format_samples.h"

namespace vectolith::format {
namespace {

const StructInfo& info_of(std::string_view name) {
  return *std::ranges::find(struct_table(), name, &StructInfo::name);
}

TEST(StructTable, CoversEveryStructWithoutGapOrOverlap) {
  std::set<std::string_view> names;
  for (const auto& info : struct_table()) {
    names.insert(info.name);
    std::size_t next = 0;
    for (const auto& field : info.fields) {
      EXPECT_EQ(field.offset, next) << info.name << "::" << field.name;
      next += field.bytes;
    }
    EXPECT_EQ(next, info.bytes) << info.name;
  }
  EXPECT_EQ(names.size(), struct_table().size());
  EXPECT_EQ(info_of("MetaRow").bytes, sizeof(MetaRow));
  EXPECT_EQ(info_of("SegmentHeader").bytes, kSegmentHeaderBytes);
}

TEST(Describe, NamesEveryFieldWithItsValue) {
  const auto meta = samples::meta_row(12, samples::uuid(0x20));
  const auto text = describe(info_of("MetaRow"), std::as_bytes(std::span(&meta, 1)));
  EXPECT_NE(text.find("digest = f4030000"), std::string::npos) << text;
  EXPECT_NE(text.find("scope = 5\n"), std::string::npos) << text;
  EXPECT_NE(text.find("chunker = 6\n"), std::string::npos) << text;
  EXPECT_NE(text.find("created_at_s = 1750000012\n"), std::string::npos) << text;
  EXPECT_NE(text.find("flags = 4\n"), std::string::npos) << text;
  EXPECT_EQ(std::ranges::count(text, '\n'), 9);
}

TEST(Describe, ShowsMagicAsTextAndLongZerosAsACount) {
  const auto text = describe(info_of("Superblock"), encode_superblock(samples::superblock()));
  EXPECT_NE(text.find("magic = \"VLITHSTO\"\n"), std::string::npos) << text;
  EXPECT_NE(text.find("reserved1 = 4032 zero bytes\n"), std::string::npos) << text;
  EXPECT_NE(text.find("store_uuid = 101112131415161718191a1b1c1d1e1f\n"), std::string::npos) << text;
}

TEST(Describe, ShowsShortBytesAsFarAsTheyGo) {
  const auto bytes = encode_superblock(samples::superblock());
  const auto& info = info_of("Superblock");
  for (std::size_t length = 0; length < 64; ++length) {
    const std::vector<std::byte> prefix(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length));
    const auto text = describe(info, prefix);
    EXPECT_EQ(std::ranges::count(text, '\n'), 12) << length;
  }
  const auto text = describe(info, std::span(bytes).first(10));
  EXPECT_NE(text.find("version_major = 1\n"), std::string::npos) << text;
  EXPECT_NE(text.find("version_minor = (absent)\n"), std::string::npos) << text;
  EXPECT_NE(describe(info, std::span(bytes).first(9)).find("version_major = 01 (truncated)\n"),
            std::string::npos);
}

TEST(Describe, SurvivesUnprintableBytes) {
  const std::vector<std::byte> bytes(4'096, std::byte{0xFF});
  for (const auto& info : struct_table()) {
    const auto text = describe(info, bytes);
    EXPECT_TRUE(std::ranges::all_of(text, [](char c) { return c == '\n' || (c >= ' ' && c <= '~'); }))
        << info.name;
  }
}

}  // namespace
}  // namespace vectolith::format
