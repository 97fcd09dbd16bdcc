/// @file
/// Names of a store's files read back, and everything else is foreign.
#include <vectolith/format/file_name.h>

#include <limits>

#include <gtest/gtest.h>

namespace vectolith::format {
namespace {

using Kind = ParsedName::Kind;

void expect_name(const std::string& name, Kind kind, std::uint64_t number) {
  const auto parsed = parse_name(name);
  ASSERT_TRUE(parsed.has_value()) << name;
  EXPECT_EQ(parsed->kind, kind) << name;
  EXPECT_EQ(parsed->number, number) << name;
}

TEST(FileName, AreWrittenAsDocumented) {
  EXPECT_EQ(manifest_name(0), "MANIFEST-0");
  EXPECT_EQ(manifest_name(1), "MANIFEST-1");
  EXPECT_EQ(segment_name(SegmentId(1)), "0000000000000001.vls");
  EXPECT_EQ(journal_name(JournalId(0xABCDEF)), "0000000000abcdef.vlj");
  EXPECT_EQ(pool_name(16), "0000000000000010.pool");
}

TEST(ParseName, ReadsBackEveryNameThatIsWritten) {
  for (const std::uint64_t number : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{0x0123'4567'89AB'CDEF},
                                     std::numeric_limits<std::uint64_t>::max()}) {
    expect_name(segment_name(SegmentId(number)), Kind::kSegment, number);
    expect_name(journal_name(JournalId(number)), Kind::kJournal, number);
    expect_name(pool_name(number), Kind::kPool, number);
  }
  expect_name(manifest_name(0), Kind::kManifest, 0);
  expect_name(manifest_name(1), Kind::kManifest, 1);
  expect_name("STORE", Kind::kSuperblock, 0);
  expect_name("STORE.tmp", Kind::kSuperblockTemporary, 0);
  expect_name("LOCK", Kind::kLock, 0);
  expect_name("CONTROL", Kind::kControlSocket, 0);
}

TEST(ParseName, TreatsEverythingElseAsForeign) {
  for (const std::string_view foreign : {"",
                                         ".",
                                         "..",
                                         "store",
                                         "STORE ",
                                         "STORE2",
                                         "MANIFEST-",
                                         "MANIFEST-2",
                                         "MANIFEST-00",
                                         "1.vls",
                                         ".vls",
                                         "000000000000001.vls",
                                         "00000000000000001.vls",
                                         "0000000000000001.VLS",
                                         "0000000000000001.vls~",
                                         "0000000000000001.vls.bak",
                                         "000000000000000A.vls",
                                         "000000000000000g.vls",
                                         "000000000000000x1.vls",
                                         "0000000000000001",
                                         "0000000000000001.",
                                         "+000000000000001.vls",
                                         " 000000000000001.vlj"}) {
    EXPECT_FALSE(parse_name(foreign).has_value()) << '"' << foreign << '"';
  }
}

}  // namespace
}  // namespace vectolith::format
