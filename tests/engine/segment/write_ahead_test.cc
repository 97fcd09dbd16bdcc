/// @file
/// Promises of writing ahead: zeros go to free rows alone, and a barrier afterwards has nothing to convert.
#include <algorithm>
#include <cstddef>
#include <memory_resource>
#include <span>
#include <vector>

#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <vectolith/format/segment.h>

#include "engine/store/store_fixture.h"
#include "segment/mapped_segment.h"

namespace vectolith::testing {
namespace {

using engine::MappedSegment;

constexpr std::byte kMark{0xA5};

class WriteAhead : public StoreTest {
 protected:
  void make_segment() {
    const auto geometry = format::vector_geometry(2 << 20, small_spec().vector_bytes());
    ASSERT_TRUE(geometry.has_value());
    format::SegmentHeader header;
    header.kind = format::SegmentKind::kVector;
    header.segment_id = SegmentId(7);
    header.set_spec(small_spec());
    header.set_geometry(*geometry);
    posix_ = *environment_->open_directory(directory_.path(), true);
    segment_ = *MappedSegment::create(*posix_, header, *std::pmr::get_default_resource());
  }
  void mark(std::uint64_t offset, std::uint64_t bytes) {
    ASSERT_TRUE(segment_->file().write_at(offset, std::vector<std::byte>(bytes, kMark)).has_value());
  }
  [[nodiscard]] bool holds(std::uint64_t offset, std::uint64_t bytes, std::byte expected) const {
    const auto shown = segment_->mapping().bytes().subspan(offset, bytes);
    return std::ranges::all_of(shown, [=](std::byte byte) { return byte == expected; });
  }
  /// Bytes of the file that lie in extents which are allocated but were never written.
  [[nodiscard]] std::uint64_t unwritten_bytes() const {
    constexpr unsigned kExtents = 64;
    std::vector<std::byte> memory(sizeof(fiemap) + kExtents * sizeof(fiemap_extent));
    auto* const map = reinterpret_cast<fiemap*>(memory.data());
    map->fm_length = FIEMAP_MAX_OFFSET;
    map->fm_flags = FIEMAP_FLAG_SYNC;
    map->fm_extent_count = kExtents;
    const int fd = ::open(segment_->path().c_str(), O_RDONLY | O_CLOEXEC);
    const int result = ::ioctl(fd, FS_IOC_FIEMAP, map);
    ::close(fd);
    if (result != 0) return UINT64_MAX;
    std::uint64_t sum = 0;
    for (unsigned i = 0; i < map->fm_mapped_extents; ++i) {
      if ((map->fm_extents[i].fe_flags & FIEMAP_EXTENT_UNWRITTEN) != 0) sum += map->fm_extents[i].fe_length;
    }
    return sum;
  }

  std::unique_ptr<engine::Directory> posix_;
  std::shared_ptr<MappedSegment> segment_;
};

TEST_F(WriteAhead, TouchesNeitherTheRowsBeforeNorWhatLiesBehindTheLast) {
  make_segment();
  const auto& header = segment_->header();
  constexpr std::uint32_t kUsed = 5;
  mark(segment_->vector_offset(0), kUsed * header.row_bytes);
  mark(segment_->meta_offset(0), kUsed * 64);
  mark(header.footer_offset, 4'096);
  for (std::uint32_t row = kUsed; row < segment_->capacity(); ++row) segment_->write_ahead(row);
  segment_->write_ahead(segment_->capacity());
  EXPECT_TRUE(holds(segment_->vector_offset(0), kUsed * header.row_bytes, kMark));
  EXPECT_TRUE(holds(segment_->meta_offset(0), kUsed * 64, kMark));
  EXPECT_TRUE(holds(header.footer_offset, 4'096, kMark));
  const std::uint64_t free_rows = segment_->capacity() - kUsed;
  EXPECT_TRUE(holds(segment_->vector_offset(kUsed), free_rows * header.row_bytes, std::byte{0}));
  EXPECT_TRUE(holds(segment_->meta_offset(kUsed), free_rows * 64, std::byte{0}));
}

TEST_F(WriteAhead, LeavesWrittenExtentsForTheRowsThatFollow) {
  make_segment();
  const std::uint64_t before = unwritten_bytes();
  if (before == UINT64_MAX || before == 0)
    GTEST_SKIP() << "this file system tells nothing of unwritten extents";
  segment_->write_ahead(0);
  EXPECT_LE(unwritten_bytes() + (512 << 10), before);
}

TEST_F(WriteAhead, IsDoneBySmallDurableCommitsAndNotByOthers) {
  open();
  auto f = family();
  const auto bytes_of = [&](std::uint64_t number, Durability level) {
    const auto before = store_->stats().bytes_written;
    put(f, number, 0, {.durability = level});
    return store_->stats().bytes_written - before;
  };
  const std::uint64_t ahead = 64 << 10;  // The segment is small, and so is what lies behind its first rows.
  EXPECT_LT(bytes_of(1, Durability::kBuffered), ahead);
  EXPECT_GT(bytes_of(2, Durability::kDurable), ahead);
  EXPECT_LT(bytes_of(3, Durability::kDurable), ahead) << "what was written ahead is written into";
  expect_holds(f, 1);
  expect_holds(f, 3);
}

}  // namespace
}  // namespace vectolith::testing
