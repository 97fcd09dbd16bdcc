/// @file
/// Disks that are really full: tmpfs, ext4 and xfs.
///
/// The story: a write-ahead log or a temporary manifest needs space to free space, and a full disk then can
/// neither be read nor emptied. Here puts are refused and everything else goes on.
#include <thread>

#include <fcntl.h>
#include <unistd.h>

#include <vectolith/verify.h>

#include "engine/store/store_fixture.h"
#include "test_mounts.h"

namespace vectolith::testing {
namespace {

constexpr std::uint32_t kFullDim = 256;

class FullDisk : public ::testing::TestWithParam<SmallDisk::Kind> {
 protected:
  void SetUp() override {
    if (const auto reason = enter_private_mounts(); !reason.empty()) GTEST_SKIP() << "SKIPPED: " << reason;
    disk_ = std::make_unique<SmallDisk>(GetParam(), directory_.path());
    if (!disk_->missing().empty()) GTEST_SKIP() << "SKIPPED: " << disk_->missing();
    // A foreign file takes what a store need not fill row by row.
    if (disk_->free_bytes() > (12U << 20)) take_space(disk_->free_bytes() - (12U << 20));
    open();
  }

  void take_space(std::uint64_t bytes) {
    const int fd = ::open((disk_->path() / "ballast").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    ASSERT_GE(fd, 0);
    ASSERT_EQ(::posix_fallocate(fd, 0, static_cast<off_t>(bytes)), 0);
    ::close(fd);
  }

  void open() {
    Options options;
    options.create_if_missing = true;
    options.environment = test_environment();
    auto opened = Store::open((disk_->path() / "store").string(), options);
    ASSERT_TRUE(opened.has_value()) << opened.error().to_string();
    store_ = *std::move(opened);
  }
  void close() {
    const auto closed = store_->close();
    ASSERT_TRUE(closed.has_value()) << closed.error().to_string();
    store_.reset();
  }
  Family family(const std::string& name = "f") {
    auto made = store_->family(name, small_spec(kFullDim));
    EXPECT_TRUE(made.has_value()) << made.error().to_string();
    return *made;
  }
  static Result<PutResult> put(Family& family, std::uint64_t number) {
    const auto vector = vector_of(number, 0, kFullDim);
    const auto level = number % 16 == 0 ? Durability::kDurable : Durability::kBuffered;
    return family.put(key_of(number), std::span<const float>(vector), {.durability = level});
  }
  /// Puts from `first` until the disk is full; returns the first number that was refused.
  static std::uint64_t fill(Family& family, std::uint64_t first) {
    for (std::uint64_t number = first;; ++number) {
      const auto done = put(family, number);
      if (done.has_value()) continue;
      EXPECT_EQ(done.error().code(), ErrorCode::kNoSpace) << done.error().to_string();
      return number;
    }
  }
  static void expect_rows(const Family& family, std::uint64_t first, std::uint64_t end) {
    for (std::uint64_t number = first; number < end; ++number) {
      const auto got = family.get(key_of(number));
      ASSERT_TRUE(got.has_value()) << got.error().to_string();
      ASSERT_TRUE(got->has_value()) << "acknowledged row " << number << " is gone";
      ASSERT_TRUE(same_bytes(***got, vector_of(number, 0, kFullDim))) << number;
    }
  }
  void expect_clean() {
    const auto report = fsck((disk_->path() / "store").string());
    ASSERT_TRUE(report.has_value()) << report.error().to_string();
    EXPECT_TRUE(report->clean()) << report->findings.front().what << " in " << report->findings.front().file;
  }

  TempDirectory directory_;
  std::unique_ptr<SmallDisk> disk_;
  std::unique_ptr<Store> store_;
};

TEST_P(FullDisk, RefusesPutsAndLetsGetEraseSyncCloseAndReopenWork) {
  auto f = family();
  const std::uint64_t end = fill(f, 0);
  ASSERT_GT(end, 1000U);
  EXPECT_LT(disk_->free_bytes(), 4U << 20) << "it gave up long before the disk was full";
  expect_rows(f, 0, end);
  for (std::uint64_t number = 0; number < 10; ++number) {
    const auto erased = f.erase(key_of(number), Durability::kDurable);
    ASSERT_TRUE(erased.has_value()) << erased.error().to_string();
    EXPECT_TRUE(erased->existed);
  }
  const auto synced = store_->sync();
  ASSERT_TRUE(synced.has_value()) << synced.error().to_string();
  EXPECT_FALSE(store_->stats().read_only) << "a full disk is no failure of the store";
  close();
  expect_clean();

  open();
  f = family();
  expect_rows(f, 10, end);
  for (std::uint64_t number = 0; number < 10; ++number) {
    EXPECT_FALSE(f.contains(key_of(number)).value_or(true)) << "an erased row came back";
  }
  EXPECT_GE(fill(f, end), end) << "whether it takes some more rows or none, the error is a full disk";
  close();
  expect_clean();
}

TEST_P(FullDisk, TakesPutsAgainInTheSameStoreOnceAFamilyIsDropped) {
  auto old = family("old");
  for (std::uint64_t number = 0; number < 2000; ++number) ASSERT_TRUE(put(old, number).has_value());
  auto f = family();
  const std::uint64_t end = fill(f, 0);
  const auto dropped = store_->drop_family("old");
  ASSERT_TRUE(dropped.has_value()) << dropped.error().to_string();
  // A footer that is being written holds a file of the dropped family a moment longer.
  std::uint64_t number = end;
  while (number < end + 500) {
    const auto done = put(f, number);
    if (done.has_value()) {
      ++number;
      continue;
    }
    ASSERT_EQ(done.error().code(), ErrorCode::kNoSpace) << done.error().to_string();
    ASSERT_EQ(number, end) << "once there was space again, there is";
    std::this_thread::yield();
  }
  close();
  expect_clean();
  open();
  expect_rows(family(), 0, end + 500);
}

TEST_P(FullDisk, TakesPutsAgainInTheSameStoreOnceForeignFilesAreGone) {
  auto f = family();
  take_space(1U << 20);
  const std::uint64_t end = fill(f, 0);
  std::filesystem::remove(disk_->path() / "ballast");
  for (std::uint64_t number = end; number < end + 200; ++number) {
    const auto done = put(f, number);
    ASSERT_TRUE(done.has_value()) << done.error().to_string();
  }
  close();
  expect_clean();
  open();
  expect_rows(family(), 0, end + 200);
}

std::string disk_name(const ::testing::TestParamInfo<SmallDisk::Kind>& kind) {
  switch (kind.param) {
    case SmallDisk::Kind::kTmpfs16M: return "tmpfs";
    case SmallDisk::Kind::kExt4In24M: return "ext4";
    case SmallDisk::Kind::kXfsIn320M: break;
  }
  return "xfs";
}

INSTANTIATE_TEST_SUITE_P(On, FullDisk,
                         ::testing::Values(SmallDisk::Kind::kTmpfs16M, SmallDisk::Kind::kExt4In24M,
                                           SmallDisk::Kind::kXfsIn320M),
                         disk_name);

}  // namespace
}  // namespace vectolith::testing
