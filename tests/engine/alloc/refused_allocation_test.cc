/// @file
/// Every allocation of a standard scenario is refused in turn, once or with those after it: an error and no
/// more.
#include <cstdio>
#include <functional>
#include <memory_resource>
#include <random>
#include <stdexcept>
#include <string>

#include "sim/store_scenario.h"
#include "support/random_seed.h"

namespace vectolith::testing::sim {
namespace {

/// Options::heap, which may refuse as operator new may.
class RefusingHeap final : public std::pmr::memory_resource {
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    if (RefusedMemory::ask()) throw std::bad_alloc();
    const OutsideEngine counted_already;
    return std::pmr::new_delete_resource()->allocate(bytes, alignment);
  }
  void do_deallocate(void* memory, std::size_t bytes, std::size_t alignment) override {
    std::pmr::new_delete_resource()->deallocate(memory, bytes, alignment);
  }
  [[nodiscard]] bool do_is_equal(const memory_resource& other) const noexcept override {
    return this == &other;
  }
};

class RefusedAllocation : public StoreScenario {
 protected:
  /// What the process does when a call of the store answers kNoMemory.
  enum class Then : std::uint8_t { kGoesOn, kIsKilled, kLosesPower };

  ~RefusedAllocation() override { bury(); }

  [[nodiscard]] Options options() override {
    Options options = StoreScenario::options();
    options.heap = &heap_;
    return options;
  }
  void note_error(const Error& error) override {
    StoreScenario::note_error(error);
    EXPECT_EQ(error.code(), ErrorCode::kNoMemory) << error.to_string();
    if (ends_at_error_) throw Cut();
  }
  using Work = std::function<void()>;
  /// The same chances each time, and so the same allocations.
  void begin_again(const Work& prepare) {
    seed_ = 0;
    begin();
    prepare();
    events_.clear();
  }
  /// The allocations of `work` on what `prepare` left.
  [[nodiscard]] std::uint64_t count(const Work& prepare, const Work& work) {
    std::uint64_t seen = 0;
    for (int i = 0; i < 2; ++i) {  // The first time the thread, too, takes memory.
      begin_again(prepare);
      RefusedMemory::refuse(RefusedMemory::kForEver, 0);
      work();
      seen = RefusedMemory::seen();
      RefusedMemory::stop();
      EXPECT_EQ(errors_, 0U);
    }
    return seen;
  }
  /// Refuses `count` allocations of `work` from number `first` on.
  void run(const Work& prepare, const Work& work, std::uint64_t first, std::uint64_t count, Then then) {
    SCOPED_TRACE("allocations " + std::to_string(first) + " + " + std::to_string(count) + ", then " +
                 std::to_string(static_cast<int>(then)));
    begin_again(prepare);
    ends_at_error_ = then != Then::kGoesOn;
    RefusedMemory::refuse(first, count);
    try {
      work();
    } catch (const Cut&) {
    }
    const auto refused = RefusedMemory::refused();
    RefusedMemory::stop();
    ends_at_error_ = false;
    EXPECT_GT(refused, 0U);
    EXPECT_TRUE(count > 1 || errors_ <= 1) << errors_ << " errors: memory was back, and the store was not";
    if (store_ != nullptr && then == Then::kGoesOn) expect_to_go_on();
    for (const auto kind : events_)
      EXPECT_EQ(kind, Event::Kind::kRecovered) << "nothing was the device's fault";
    check_after_crash(then == Then::kLosesPower || (then == Then::kGoesOn && first % 2 == 0));
  }
  void expect_to_go_on() {
    errors_ = 0;
    ASSERT_TRUE(model_.vectors || do_open());
    read_all(false);
    do_put(9'998, Durability::kBuffered, 1);
    EXPECT_EQ(errors_, 0U);
  }
  /// Every allocation of `work` once. What the process does then is chance.
  void run_each(const char* what, const Work& prepare, const Work& work) {
    constexpr Then kThen[] = {Then::kGoesOn, Then::kIsKilled, Then::kLosesPower};
    const auto allocations = count(prepare, work);
    const auto seed = random_seed() % 3;
    for (std::uint64_t number = 0; number < allocations && !HasFailure(); ++number)
      run(prepare, work, number, 1, kThen[(number + seed) % 3]);
    std::printf("%s: %llu allocations\n", what, static_cast<unsigned long long>(allocations));
    EXPECT_GT(allocations, 50U);
  }
  /// Stretches of allocations by chance.
  void run_some(int runs, const Work& prepare, const Work& work, const std::vector<std::uint64_t>& lengths) {
    const auto allocations = count(prepare, work);
    std::mt19937_64 random(random_seed());
    for (int i = 0; i < runs && !HasFailure(); ++i)
      run(prepare, work, random() % allocations, lengths[random() % lengths.size()], Then::kGoesOn);
    std::printf("%d stretches of %llu allocations\n", runs, static_cast<unsigned long long>(allocations));
  }

 private:
  struct Cut {};
  RefusingHeap heap_;
  bool ends_at_error_ = false;
};

TEST_F(RefusedAllocation, OfAStoresLifeIsOneErrorAndTheStoreGoesOn) {
  run_each("a store's life", [] {}, [this] { scenario(); });
}

TEST_F(RefusedAllocation, OfARecoveryIsAnErrorAndTheNextOpenFindsAllThatWasAcknowledged) {
  run_each("recovery", [this] { die_in_use(false); }, [this] { recover(); });
}

TEST_F(RefusedAllocation, OfTheRecoveryOfRecordsIsSuchAnErrorToo) {
  // Thousands, and most of them the same: records are looked for at every 64 bytes.
  run_some(50, [this] { die_in_use(true); }, [this] { recover(); }, {1, 2, 5});
}

TEST_F(RefusedAllocation, OfReadsPastThePageCacheAndOfPlacingIsOneErrorAndTheReaderGoesOn) {
  run_each("cold reads", [this] { fill_and_seal(); }, [this] { read_cold(); });
}

TEST_F(RefusedAllocation, OfAnIndexThatGrowsLeavesNoneOfABatchBehind) {
  const auto prepare = [this] {
    do_open();
    fill_index(5'500);
  };
  const auto work = [this] { outgrow_index(); };
  run_each("growth", prepare, work);
  run_some(50, prepare, work, {100, RefusedMemory::kForEver});
}

TEST_F(RefusedAllocation, LeavesNoneOfManyQueuedWritesWithoutAnAnswer) {
  begin_again([this] { do_open(); });
  do_put(1, Durability::kBuffered, 1);
  do_submit(100, 200, [] { RefusedMemory::refuse(0, RefusedMemory::kForEver); });
  EXPECT_GT(RefusedMemory::refused(), 0U);
  RefusedMemory::stop();
  expect_to_go_on();
}

TEST_F(RefusedAllocation, AndThoseAfterItLeaveAStoreThatGoesOnWhenMemoryIsBack) {
  run_some(200, [] {}, [this] { scenario(); }, {2, 5, 20, 100, RefusedMemory::kForEver});
}

}  // namespace
}  // namespace vectolith::testing::sim
