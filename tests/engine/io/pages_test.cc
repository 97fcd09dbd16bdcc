/// @file
/// Anonymous pages are aligned, zeroed and as many as asked for.
#include "io/pages.h"

#include <algorithm>
#include <cstdint>

#include "io_test_support.h"

namespace vectolith::engine::testing {
namespace {

TEST(AnonymousPages, AreZeroedAlignedAndWritableToTheLastByte) {
  const auto environment = must(make_environment(BackendChoice::kSync));
  for (const std::size_t bytes : {std::size_t{1}, page_bytes(), page_bytes() + 1, kHugePageBytes - 1,
                                  kHugePageBytes, kHugePageBytes + 1, 3 * kHugePageBytes + 12'345}) {
    const auto pages = must(environment->allocate_pages(bytes));
    const auto span = pages->bytes();
    ASSERT_EQ(span.size(), bytes);
    const auto address = reinterpret_cast<std::uintptr_t>(span.data());
    EXPECT_EQ(address % (bytes >= kHugePageBytes ? kHugePageBytes : page_bytes()), 0U) << bytes;
    EXPECT_TRUE(std::ranges::all_of(span, [](std::byte b) { return b == std::byte{0}; }));
    std::ranges::fill(span, std::byte{1});
  }
  EXPECT_TRUE(must(environment->allocate_pages(0))->bytes().empty());
}

TEST(AnonymousPages, TooManyAreNoSpace) {
  const auto environment = must(make_environment(BackendChoice::kSync));
  for (const std::size_t bytes : {SIZE_MAX, SIZE_MAX / 2, std::size_t{1} << 50}) {
    const auto pages = environment->allocate_pages(bytes);
    ASSERT_FALSE(pages.has_value()) << bytes;
    EXPECT_EQ(pages.error().code(), ErrorCode::kNoMemory);
  }
}

}  // namespace
}  // namespace vectolith::engine::testing
