/// @file
/// Pages of a mapped segment that cannot be loaded: an error of the call, not the death of the process.
///
/// The story: an engine that reads through a mapping dies by SIGBUS when the device fails or somebody
/// truncates the file. Rows are loaded by a call that can fail before they are touched for the first time.
#include <vectolith/verify.h>

#include "engine/store/store_fixture.h"
#include "test_mounts.h"

namespace vectolith::testing {
namespace {

constexpr std::uint32_t kWideDim = 1024;  // A row is a page, so each has a first touch of its own.
constexpr std::uint64_t kRows = 200;

class MappedFault : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto reason = enter_private_mounts(); !reason.empty()) GTEST_SKIP() << "SKIPPED: " << reason;
    disk_ = std::make_unique<FaultDisk>(directory_.path());
    if (!disk_->missing().empty()) GTEST_SKIP() << "SKIPPED: " << disk_->missing();
    open();
    auto family = store_->family("f", small_spec(kWideDim));
    ASSERT_TRUE(family.has_value());
    for (std::uint64_t number = 0; number < kRows; ++number) {
      const auto vector = vector_of(number, 0, kWideDim);
      ASSERT_TRUE(family->put(key_of(number), std::span<const float>(vector)).has_value());
    }
    ASSERT_TRUE(store_->close().has_value());
    store_.reset();
    for (const auto& entry : std::filesystem::directory_iterator(path())) {
      const std::string name = entry.path().filename();
      if (name.ends_with(".vls")) segments_.push_back(name);
    }
    ASSERT_FALSE(segments_.empty());
    for (const auto& name : segments_) disk_->tell("evict " + name);
  }

  [[nodiscard]] std::string path() const { return (disk_->path() / "store").string(); }
  Result<std::unique_ptr<Store>> try_open() {
    Options options;
    options.create_if_missing = true;
    options.segment_bytes_initial = 256U << 10;
    options.environment = test_environment();
    return Store::open(path(), options);
  }
  void open() {
    auto opened = try_open();
    ASSERT_TRUE(opened.has_value()) << opened.error().to_string();
    store_ = *std::move(opened);
  }
  Family family() {
    auto found = store_->family("f");
    EXPECT_TRUE(found.has_value());
    return *found;
  }
  /// How many rows answer with their bytes; all others must answer with one of `codes`.
  std::uint64_t read_all(std::initializer_list<ErrorCode> codes) {
    const auto rows = family();
    std::uint64_t whole = 0;
    for (std::uint64_t number = 0; number < kRows; ++number) {
      const auto got = rows.get(key_of(number));
      if (!got.has_value()) {
        EXPECT_TRUE(std::ranges::find(codes, got.error().code()) != codes.end()) << got.error().to_string();
        continue;
      }
      EXPECT_TRUE(got->has_value()) << "row " << number << " became a miss";
      if (!got->has_value()) continue;
      EXPECT_TRUE(same_bytes(***got, vector_of(number, 0, kWideDim))) << number;
      ++whole;
    }
    return whole;
  }

  TempDirectory directory_;
  std::unique_ptr<FaultDisk> disk_;
  std::unique_ptr<Store> store_;
  std::vector<std::string> segments_;
};

TEST_F(MappedFault, OfADeviceIsAnErrorOfTheGetAndGoesAwayWithTheFault) {
  open();
  disk_->tell("fail read 1 1000000000 5 .vls");
  EXPECT_LT(read_all({ErrorCode::kIo}), kRows / 10)
      << "only what was read ahead with the meta columns is in memory";
  disk_->tell("clear");
  EXPECT_EQ(read_all({}), kRows);
  disk_->tell("fail read 1 1000000000 5 .vls");
  EXPECT_EQ(read_all({}), kRows) << "what was touched once needs no device";
}

TEST_F(MappedFault, OfADeviceWhileOpeningIsAnErrorOfOpen) {
  disk_->tell("fail read 1 1000000000 5 .vls");
  const auto opened = try_open();
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().code(), ErrorCode::kIo) << opened.error().to_string();
  disk_->tell("clear");
  open();
  EXPECT_EQ(read_all({}), kRows);
}

TEST_F(MappedFault, OfOneReadInAScanOrAnFsckIsAnErrorToo) {
  open();
  disk_->tell("fail read 1 1000000000 5 .vls");
  const auto scanned = family().for_each([](const VectorView&) { return true; });
  ASSERT_FALSE(scanned.has_value());
  EXPECT_EQ(scanned.error().code(), ErrorCode::kIo) << scanned.error().to_string();
  ASSERT_TRUE(store_->close().has_value());
  for (const auto& name : segments_) disk_->tell("evict " + name);
  const auto report = fsck(path());
  if (report.has_value()) {
    EXPECT_FALSE(report->clean()) << "it could not read the segments and said nothing";
  }
}

// Pages that were loaded before the file shrank cannot be helped, nor can those that the kernel took back and
// cannot load again: no call is made any more, and only a signal handler could catch the fault
// (Mapping::populate).
TEST_F(MappedFault, OfAFileTruncatedUnderAnOpenStoreIsAnErrorOfRowsTouchedLater) {
  open();
  for (const auto& name : segments_) {
    const auto bytes = std::filesystem::file_size(path() + "/" + name);
    // The meta columns were read at open and stay; the matrix behind them loses its second half.
    disk_->tell("truncate " + name + " " + std::to_string(bytes / 2));
  }
  const auto whole = read_all({ErrorCode::kIo, ErrorCode::kCorruption});
  EXPECT_GT(whole, 0U);
  EXPECT_LT(whole, kRows);
}

TEST_F(MappedFault, OfAFileTruncatedBeforeOpenIsCorruptionThatNamesTheFile) {
  disk_->tell("truncate " + segments_.front() + " 8192");
  const auto opened = try_open();
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().code(), ErrorCode::kCorruption) << opened.error().to_string();
  EXPECT_NE(opened.error().to_string().find(segments_.front()), std::string::npos);
}

}  // namespace
}  // namespace vectolith::testing
