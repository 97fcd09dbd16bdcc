/// @file
/// Promises of Snapshot: a frozen view, from which erased keys vanish at once.
#include <vectolith/store.h>

#include "store_fixture.h"

namespace vectolith::testing {
namespace {

using SnapshotOf = StoreTest;

TEST_F(SnapshotOf, AStoreStaysAsItWasWhileRowsAreReplacedAndAdded) {
  open();
  auto f = family();
  for (std::uint64_t i = 0; i < 50; ++i) put(f, i);
  const auto snapshot = store_->snapshot();
  ASSERT_TRUE(snapshot.has_value());
  for (std::uint64_t i = 0; i < 50; i += 2) put(f, i, 1, {.replace = true});
  for (std::uint64_t i = 0; i < 50; i += 4) put(f, i, 2, {.replace = true});
  put(f, 99);
  for (std::uint64_t i = 0; i < 50; ++i) {
    const auto then = snapshot->get(f, key_of(i));
    ASSERT_TRUE(then.has_value() && then->has_value()) << i;
    EXPECT_TRUE(same_bytes(***then, vector_of(i)));
    expect_holds(f, i, i % 4 == 0 ? 2 : i % 2 == 0 ? 1 : 0);
  }
  EXPECT_FALSE((*snapshot->get(f, key_of(99))).has_value());
  std::uint64_t rows = 0;
  const auto views = snapshot->segments(f);
  for (const auto& view : *views) rows += view.live_rows;
  EXPECT_EQ(rows, 50U);
}

TEST_F(SnapshotOf, AStoreForgetsErasedKeysAtOnce) {
  open();
  auto f = family();
  for (std::uint64_t i = 0; i < 10; ++i) put(f, i);
  const auto snapshot = store_->snapshot();
  put(f, 3, 1, {.replace = true});
  ASSERT_TRUE(f.erase(key_of(3)).has_value());
  ASSERT_TRUE(f.erase(key_of(4)).has_value());
  put(f, 4, 7);
  EXPECT_FALSE((*snapshot->get(f, key_of(3))).has_value());
  EXPECT_FALSE((*snapshot->get(f, key_of(4))).has_value()) << "neither the erased row nor the one put later";
  std::uint64_t rows = 0;
  const auto views = snapshot->segments(f);
  for (const auto& view : *views) rows += view.live_rows;
  EXPECT_EQ(rows, 8U);
}

TEST_F(SnapshotOf, AStoreRefusesFamiliesYoungerThanItself) {
  open();
  const auto snapshot = store_->snapshot();
  auto f = family();
  EXPECT_EQ(snapshot->get(f, key_of(1)).error().code(), ErrorCode::kWrongFamily);
  EXPECT_EQ(snapshot->segments(f).error().code(), ErrorCode::kWrongFamily);
}

}  // namespace
}  // namespace vectolith::testing
