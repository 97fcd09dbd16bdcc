/// @file
/// Promise of a cold get: one page fault brings a vector of one page from the disk, and no neighbour with it.
#include <algorithm>
#include <random>
#include <vector>

#include <sys/resource.h>

#include <vectolith/format/file_name.h>

#include "engine/store/store_fixture.h"
#include "support/random_seed.h"

namespace vectolith::testing {
namespace {

constexpr std::uint32_t kPageDim = 1'024;  // One page of f32.
constexpr std::uint64_t kRows = 2'000;
constexpr std::size_t kGets = 100;

class ColdGet : public StoreTest {
 protected:
  /// Takes the matrices of all segments out of the page cache; the metas stay.
  void drop_matrices(const Family& family) {
    const auto directory = *environment_->open_directory(directory_.path(), false);
    const auto views = *family.segments();
    for (const auto& view : views) {
      const auto file = *directory->open(format::segment_name(view.id), engine::OpenMode::kReadOnly);
      std::vector<std::byte> bytes(format::kSegmentHeaderBytes);
      ASSERT_TRUE(file->read_exact(0, bytes).has_value());
      const auto header = *format::decode_segment_header(bytes);
      file->drop_cache(header.matrix_offset, header.matrix_bytes);
    }
  }
  static long major_faults() {
    rusage usage{};
    EXPECT_EQ(getrusage(RUSAGE_THREAD, &usage), 0);
    return usage.ru_majflt;
  }
};

TEST_F(ColdGet, CostsAtMostOneMajorFaultWhenTheMetasAreResident) {
  open();
  auto f = family("f", small_spec(kPageDim));
  for (std::uint64_t i = 0; i < kRows; ++i) put(f, i);
  close();
  {
    open();
    drop_matrices(family("f", small_spec(kPageDim)));
    close();
  }
  open();
  f = family("f", small_spec(kPageDim));

  std::vector<std::uint64_t> numbers(kRows);
  for (std::uint64_t i = 0; i < kRows; ++i) numbers[i] = i;
  std::ranges::shuffle(numbers, std::mt19937_64(random_seed()));
  long faults = 0;
  const auto scope = store_->read_scope();
  for (std::size_t i = 0; i < kGets; ++i) {
    const auto key = key_of(numbers[i]);
    const auto expected = vector_of(numbers[i], 0, kPageDim);
    const long before = major_faults();
    const auto got = f.get(scope, key);
    ASSERT_TRUE(got.has_value()) << got.error().to_string();
    ASSERT_TRUE(got->has_value());
    ASSERT_TRUE(same_bytes(**got, expected)) << "key " << numbers[i];
    const long taken = major_faults() - before;
    EXPECT_LE(taken, 1) << "key " << numbers[i];
    faults += taken;
  }
  if (faults == 0) GTEST_SKIP() << "this file system has no pages that a read could wait for (tmpfs?)";
}

}  // namespace
}  // namespace vectolith::testing
