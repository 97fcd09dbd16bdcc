/// @file
/// A mapping shows the file, and populate turns what would be SIGBUS into an error.
#include "io/posix_mapping.h"

#include <algorithm>
#include <cerrno>

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io/pages.h"
#include "io_test_support.h"
#include "support/page_cache.h"

namespace vectolith::engine::testing {
namespace {

class PosixMappingTest : public ::testing::Test {
 protected:
  std::unique_ptr<File> file_of(std::size_t bytes) {
    auto file = must(directory_->open("f", OpenMode::kOpenOrCreate));
    must(file->write_at(0, std::vector<std::byte>(bytes, std::byte{7})));
    return file;
  }
  void truncate(std::size_t bytes) {
    ASSERT_EQ(::truncate(scratch_.file("f").c_str(), static_cast<off_t>(bytes)), 0);
  }
  void truncated_file_is_an_error();

  TempDirectory scratch_;
  std::unique_ptr<Environment> environment_ = must(make_environment(BackendChoice::kSync));
  std::unique_ptr<Directory> directory_ = must(environment_->open_directory(scratch_.path(), false));
};

constexpr std::size_t kManyBytes = 10'000'123;

TEST_F(PosixMappingTest, ItShowsTheWholeFileAndOutlivesIt) {
  auto file = file_of(kManyBytes);
  const auto mapping = must(file->map());
  must(mapping->populate(0, kManyBytes));
  must(file->write_at(5'000'000, std::vector<std::byte>(3, std::byte{9})));
  file.reset();
  const auto bytes = mapping->bytes();
  ASSERT_EQ(bytes.size(), kManyBytes);
  EXPECT_EQ(std::ranges::count(bytes, std::byte{7}), static_cast<std::ptrdiff_t>(kManyBytes - 3));
  EXPECT_EQ(bytes[5'000'001], std::byte{9});
}

TEST_F(PosixMappingTest, AnEmptyFileGivesAnEmptyMapping) {
  const auto mapping = must(file_of(0)->map());
  EXPECT_TRUE(mapping->bytes().empty());
  must(mapping->populate(0, 0));
  mapping->advise(0, 100, MapAdvice::kWillNeed);
}

TEST_F(PosixMappingTest, PopulateBeyondTheMappingIsAnInvalidArgument) {
  const auto mapping = must(file_of(10'000)->map());
  for (const auto& [offset, length] : std::initializer_list<std::pair<std::uint64_t, std::uint64_t>>{
           {10'001, 0}, {0, 10'001}, {9'999, 2}, {1, ~std::uint64_t{0}}, {~std::uint64_t{0}, 1}}) {
    const auto result = mapping->populate(offset, length);
    ASSERT_FALSE(result.has_value()) << offset << " " << length;
    EXPECT_EQ(result.error().code(), ErrorCode::kInvalidArgument);
  }
  must(mapping->populate(10'000, 0));
  must(mapping->populate(9'999, 1));
}

TEST_F(PosixMappingTest, AdviceOnAnyRangeIsHarmless) {
  const auto mapping = must(file_of(100'000)->map());
  for (const auto advice :
       {MapAdvice::kRandom, MapAdvice::kSequential, MapAdvice::kWillNeed, MapAdvice::kDontNeed}) {
    mapping->advise(0, 100'000, advice);
    mapping->advise(4'097, 1, advice);
    mapping->advise(99'999, ~std::uint64_t{0}, advice);
    mapping->advise(~std::uint64_t{0}, 1, advice);
  }
  EXPECT_EQ(mapping->bytes()[99'999], std::byte{7});
}

void PosixMappingTest::truncated_file_is_an_error() {
  const auto mapping = must(file_of(kManyBytes)->map());
  constexpr std::size_t kLeft = 6'000'000;
  truncate(kLeft);
  const std::size_t first_bad = (kLeft + page_bytes() - 1) / page_bytes() * page_bytes();
  must(mapping->populate(0, first_bad));
  const auto result = mapping->populate(100, kManyBytes - 100);
  ASSERT_FALSE(result.has_value()) << "touching it would be SIGBUS";
  EXPECT_EQ(result.error().code(), ErrorCode::kIo);
  EXPECT_EQ(result.error().offset(), first_bad);
  EXPECT_EQ(result.error().file(), scratch_.file("f"));
}

TEST_F(PosixMappingTest, ATruncatedFileIsAnErrorThatNamesTheFirstLostPage) { truncated_file_is_an_error(); }

TEST_F(PosixMappingTest, TheSameHoldsOnAKernelWithoutPopulateRead) {
  run_in_child([&] {
    // Every madvise is refused, as an old kernel refuses MADV_POPULATE_READ.
    inject_system_calls({{SYS_madvise, {.results = {}, .afterwards = -EINVAL}}});
    truncated_file_is_an_error();
    EXPECT_GT(injected_calls(SYS_madvise), 2);
  });
}

TEST_F(PosixMappingTest, PopulateByCopyLoadsEveryPage) {
  const auto file = file_of(kManyBytes);
  must(file->data_sync());
  file->drop_cache(0, 0);
  const auto mapping = must(file->map());
  EXPECT_EQ(populate_by_copy(mapping->bytes()), 0);
  EXPECT_EQ(vectolith::testing::resident_pages(mapping->bytes()),
            (kManyBytes + page_bytes() - 1) / page_bytes());
}

}  // namespace
}  // namespace vectolith::engine::testing
