/// @file
/// fsck of an open store: damage under the running process is found, named and survived.
#include "control/online_fsck.h"

#include <algorithm>
#include <array>
#include <string>

#include <gtest/gtest.h>

#include <vectolith/format/superblock.h>

#include "engine/control/served_store.h"

namespace vectolith::engine {
namespace {

using testing::served_key;
using testing::served_vector;
using testing::ServedStore;

/// Flips one bit of a file that the store has open.
void damage_file(ServedStore& served, const std::string& name, std::uint64_t offset) {
  const auto file = served.directory().open(name, OpenMode::kReadWrite).value();
  std::array<std::byte, 1> byte;
  ASSERT_TRUE(file->read_exact(offset, byte).has_value());
  byte[0] ^= std::byte{0x10};
  ASSERT_TRUE(file->write_at(offset, byte).has_value());
}

/// Where a vector lies: the name of its file, and the offset of its first byte.
std::pair<std::string, std::uint64_t> place_of(ServedStore& served, std::uint64_t number) {
  const auto row = (*served.vectors().get(served_key(number)).value())->row_id();
  const auto name = format::segment_name(row.segment);
  std::array<std::byte, format::kSegmentHeaderBytes> bytes;
  EXPECT_TRUE(served.directory().open(name, OpenMode::kReadOnly).value()->read_exact(0, bytes).has_value());
  const auto header = format::decode_segment_header(bytes).value();
  return {name, header.matrix_offset + std::uint64_t{row.row.value} * header.row_bytes};
}

void put_record(ServedStore& served, std::uint64_t number, std::string_view text) {
  ASSERT_TRUE(served.records().put(served_key(number), text).has_value());
}

TEST(OnlineFsck, CountsEveryLiveRowOfASoundStore) {
  ServedStore served;
  served.fill(40);
  put_record(served, 1, "a gloss");
  ASSERT_TRUE(served.vectors().erase(served_key(7)).has_value());
  const auto report = fsck_online(served.store(), served.directory());
  ASSERT_TRUE(report.has_value()) << report.error().to_string();
  EXPECT_TRUE(report->clean());
  EXPECT_TRUE(report->findings.empty());
  EXPECT_EQ(report->rows, 40U);
  EXPECT_GE(report->segments, 1U);
  EXPECT_GE(report->bytes, 39U * (64 + served_vector(0).size()));
}

TEST(OnlineFsck, NamesADamagedVectorEvenIfItWasReadBeforeAndChecksTheRest) {
  ServedStore served;
  served.fill(10);
  const auto [name, offset] = place_of(served, 4);
  damage_file(served, name, offset + 100);
  const auto report = fsck_online(served.store(), served.directory()).value();
  EXPECT_EQ(report.damage, 1U);
  EXPECT_EQ(report.rows, 9U);
  ASSERT_EQ(report.findings.size(), 1U);
  EXPECT_EQ(report.findings[0].severity, Finding::Severity::kDamage);
  EXPECT_TRUE(report.findings[0].file.ends_with(name)) << report.findings[0].file;
  EXPECT_EQ(report.findings[0].offset, offset);
  EXPECT_FALSE(report.findings[0].expected.empty());
  EXPECT_NE(report.findings[0].expected, report.findings[0].found);
}

TEST(OnlineFsck, NamesADamagedSegmentHeader) {
  ServedStore served;
  served.fill(3);
  const auto name = place_of(served, 0).first;
  damage_file(served, name, 200);
  const auto report = fsck_online(served.store(), served.directory()).value();
  EXPECT_EQ(report.damage, 1U);
  EXPECT_EQ(report.rows, 3U);
  EXPECT_TRUE(report.findings.at(0).file.ends_with(name));
}

TEST(OnlineFsck, NamesTheDamagedCopyOfTheSuperblock) {
  ServedStore served;
  damage_file(served, std::string(format::kSuperblockName), format::kSuperblockBytes + 50);
  const auto report = fsck_online(served.store(), served.directory()).value();
  EXPECT_EQ(report.damage, 1U);
  EXPECT_TRUE(report.findings.at(0).file.ends_with(format::kSuperblockName));
  EXPECT_GE(report.findings.at(0).offset, format::kSuperblockBytes);
}

TEST(OnlineFsck, SaysWhichRecordIsDamagedAndThatThoseBehindItWereNotChecked) {
  ServedStore served;
  for (std::uint64_t i = 0; i < 3; ++i)
    put_record(served, i, "the gloss with the number " + std::to_string(i));
  const auto names = served.directory().list().value();
  // The only segment there is: the vectors have no row and so no file yet, or one without this text.
  const std::string text = "the gloss with the number 1";
  std::size_t damaged = 0;
  for (const auto& name : names) {
    if (!name.ends_with(".vls")) continue;
    const auto bytes = vectolith::testing::read_file(served.path() + "/" + name);
    const auto wanted = std::as_bytes(std::span(text));
    const auto at = std::ranges::search(bytes, wanted);
    if (at.empty()) continue;
    damage_file(served, name, static_cast<std::uint64_t>(at.begin() - bytes.begin()));
    ++damaged;
  }
  ASSERT_EQ(damaged, 1U);
  const auto report = fsck_online(served.store(), served.directory()).value();
  EXPECT_EQ(report.damage, 1U);
  EXPECT_EQ(report.warnings, 1U);
  EXPECT_EQ(report.rows, 1U);
  ASSERT_EQ(report.findings.size(), 2U);
  EXPECT_NE(report.findings[1].what.find("'records'"), std::string::npos);
}

TEST(OnlineFsck, RunsThroughTheSocketOfAStoreOpenedWithControl) {
  const vectolith::testing::TempDirectory temp;
  Options options;
  options.control = true;
  options.environment = vectolith::testing::test_environment();
  auto store = Store::create(temp.file("store"), options).value();
  ModelSpec spec;
  spec.dim = testing::kServedDim;
  auto family = store->family("vectors", spec).value();
  ASSERT_TRUE(family.put(served_key(1), std::span<const std::byte>(served_vector(1))).has_value());
  auto client = ControlClient::connect(temp.file("store")).value();
  const auto report = client.fsck();
  ASSERT_TRUE(report.has_value()) << report.error().to_string();
  EXPECT_TRUE(report->clean());
  EXPECT_EQ(report->rows, 1U);
  ASSERT_TRUE(store->close().has_value());
  EXPECT_EQ(client.stats().error().code(), ErrorCode::kClosed);
  EXPECT_EQ(ControlClient::connect(temp.file("store")).error().code(), ErrorCode::kNotFound);
}

}  // namespace
}  // namespace vectolith::engine
