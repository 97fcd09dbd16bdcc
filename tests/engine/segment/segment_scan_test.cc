/// @file
/// Promises of scans: which rows of a segment file count, whatever its rows look like.
#include "segment/segment_scan.h"

#include <cstddef>
#include <string>
#include <vector>

#include <vectolith/format/file_name.h>

#include "engine/store/store_fixture.h"

namespace vectolith::testing {
namespace {

using engine::MappedSegment;
using format::RowRange;

constexpr std::uint32_t kRows = 10;

class SettledScan : public StoreTest {
 protected:
  /// Writes and closes a store whose only segment holds kRows rows, or records of one unit each.
  std::string write_segment(bool records) {
    open();
    if (records) {
      auto family = *store_->record_family("r");
      for (std::uint64_t i = 0; i < kRows; ++i) EXPECT_TRUE(family.put(key_of(i), "").has_value());
    } else {
      auto vectors = family();
      for (std::uint64_t i = 0; i < kRows; ++i) put(vectors, i);
    }
    close();
    return format::segment_name(SegmentId(1));
  }
  std::shared_ptr<MappedSegment> map(std::vector<RowRange> invalid) {
    posix_ = *environment_->open_directory(directory_.path(), false);
    auto segment = *MappedSegment::open(*posix_, SegmentId(1), engine::OpenMode::kReadOnly,
                                        *std::pmr::get_default_resource());
    EXPECT_TRUE(segment->map().has_value());
    segment->invalid = std::move(invalid);
    return segment;
  }
  std::unique_ptr<engine::Directory> posix_;
};

TEST_F(SettledScan, KeepsRowsInvalidThatWereFoundSoBeforeAlsoAtTheEnd) {
  write_segment(false);
  const std::vector<RowRange> invalid = {{2, 3}, {kRows - 2, kRows - 1}};
  const auto segment = map(invalid);
  const auto scan = engine::scan_settled(*segment, kRows, kRows);
  ASSERT_TRUE(scan.has_value()) << scan.error().to_string();
  EXPECT_EQ(scan->row_count, kRows);
  EXPECT_EQ(scan->kept, kRows - 4);
  EXPECT_EQ(scan->invalid, invalid);
  EXPECT_TRUE(scan->damaged.empty());
}

TEST_F(SettledScan, OfRecordsKeepsTheCountAndTheInvalidUnitsAtTheEnd) {
  const auto name = write_segment(true);
  const auto units = [&] {
    const auto segment = map({});
    return engine::scan_unsealed(*segment, 0)->row_count;
  }();
  const std::uint32_t units_each = units / kRows;
  auto bytes = read_file(directory_.file(name));
  format::SegmentHeader header;
  std::memcpy(&header, bytes.data(), sizeof(header));
  bytes[header.matrix_offset + (units - units_each) * 64ULL] ^= std::byte{1};
  write_file(directory_.file(name), bytes);

  const std::vector<RowRange> invalid = {{units - units_each, units - 1}};
  for (const bool known : {false, true}) {
    const auto segment = map(known ? invalid : std::vector<RowRange>());
    const auto scan = engine::scan_settled(*segment, units, units);
    ASSERT_TRUE(scan.has_value()) << scan.error().to_string();
    EXPECT_EQ(scan->row_count, units);
    EXPECT_EQ(scan->kept, kRows - 1);
    EXPECT_EQ(scan->invalid, invalid);
    EXPECT_EQ(scan->damaged.size(), known ? 0U : 1U) << "what is known is not reported again";
  }
}

// The story: a process is killed, the next one opens the store and freezes the segment it finds; before the
// rows are synced and sealed the power fails, and takes some that were never acknowledged durable.
TEST_F(SettledScan, DropsRowsOfAFrozenSegmentThatAPowerCutTookBeforeTheyWereSynced) {
  const auto name = write_segment(false);
  auto bytes = read_file(directory_.file(name));
  const auto segment = map({});
  bytes[segment->vector_offset(7)] ^= std::byte{1};
  std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(segment->meta_offset(8)), 64, std::byte{0});
  write_file(directory_.file(name), bytes);

  const auto frozen = engine::scan_settled(*map({{2, 2}}), kRows, 5);
  ASSERT_TRUE(frozen.has_value()) << frozen.error().to_string();
  EXPECT_EQ(frozen->invalid, (std::vector<RowRange>{{2, 2}, {7, 8}}));
  EXPECT_EQ(frozen->kept, kRows - 3);
  EXPECT_EQ(frozen->row_count, kRows);
  EXPECT_TRUE(frozen->damaged.empty()) << "nothing of it was acknowledged durable";

  const auto durable = engine::scan_settled(*map({}), kRows, kRows);
  ASSERT_TRUE(durable.has_value());
  EXPECT_EQ(durable->damaged, std::vector<std::uint32_t>{8}) << "a vector is looked at when it is first read";
}

TEST_F(SettledScan, OfRecordsDoesNotBringBackWhatWasInvalidOnce) {
  write_segment(true);
  const std::uint32_t units = engine::scan_unsealed(*map({}), 0)->row_count;
  const std::uint32_t units_each = units / kRows;
  const std::vector<RowRange> invalid = {{units_each, 2 * units_each - 1}};
  const auto scan = engine::scan_settled(*map(invalid), units, units);
  ASSERT_TRUE(scan.has_value()) << scan.error().to_string();
  EXPECT_EQ(scan->invalid, invalid);
  EXPECT_EQ(scan->kept, kRows - 1);
  EXPECT_TRUE(scan->damaged.empty());
}

}  // namespace
}  // namespace vectolith::testing
