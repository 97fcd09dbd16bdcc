/// @file
/// Who gets the last space of a full disk.
#include <cstdint>
#include <optional>
#include <thread>
#include <utility>

#include "sim_store.h"

namespace vectolith::testing::sim {
namespace {

class LastSpace : public SimStoreTest {
 protected:
  /// Fills a few segments of another family, and then the disk.
  void fill() {
    open();
    auto made = store_->family("old", model_.spec);
    ASSERT_TRUE(made.has_value()) << made.error().to_string();
    old_.emplace(*made);
    for (std::uint64_t key = 0; key < 1'000; ++key)
      ASSERT_TRUE(old_->put(sim_key(key), sim_value(model_, key, 1)).has_value());
    rest();
    disk_.set_capacity(disk_.used_bytes() + (256U << 10));
    while (try_put(next_)) ++next_;
    ASSERT_GT(next_, 500U);
    expect_full();
  }
  void expect_full() {
    const auto refused = try_put(next_);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code(), ErrorCode::kNoSpace) << refused.error().to_string();
  }
  void drop_old() {
    const auto dropped = store_->drop_family("old");
    ASSERT_TRUE(dropped.has_value()) << dropped.error().to_string();
  }

  std::optional<Family> old_;
  std::uint64_t next_ = 1;
};

// Story: a family is dropped because the disk is full. Its files had no names any more, but stayed mapped
// until the background came to them, and puts went on failing; those of its last segment as long as a handle
// lived.
TEST_F(LastSpace, OfADroppedFamilyGoesToTheNextPut) {
  fill();
  drop_old();
  for (std::uint64_t end = next_ + 1'000; next_ < end; ++next_) put(next_);
}

TEST_F(LastSpace, OfADroppedFamilyIsKeptWhileAReaderMayLookAtIt) {
  fill();
  {
    const auto scope = store_->read_scope();
    const auto view = old_->get(scope, sim_key(3));
    ASSERT_TRUE(view.has_value() && view->has_value());
    drop_old();
    expect_full();
    EXPECT_TRUE(std::ranges::equal((**view).bytes(), sim_value(model_, 3, 1)));
  }
  put(next_);
}

// Story: a segment is half full, and the background is asked to prepare the next one. It is late: the segment
// is full before, and the put makes the next one itself. The background's took the last space, and the put
// failed beside a prepared segment.
TEST_F(LastSpace, IsNotTakenFromAPutByASegmentThatIsPreparedMeanwhile) {
  open();
  put(next_);
  disk_.set_capacity(disk_.used_bytes() + (64U << 10));
  bool met = false;
  process_->decide = [&](const Call& call) {
    const bool is_made = call.kind == CallKind::kPreallocate && call.name.ends_with(".vls");
    if (is_made && !std::exchange(met, true))
      std::thread([&] { EXPECT_TRUE(process_->run_worker("vl-maintain")); }).join();
    return Outcome{};
  };
  while (!met) ASSERT_NO_FATAL_FAILURE(put(++next_));
  process_->decide = nullptr;
  EXPECT_TRUE(holds(next_));
}

}  // namespace
}  // namespace vectolith::testing::sim
