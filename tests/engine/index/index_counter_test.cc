/// @file
/// A counter update never undoes a move of its entry, and the check of that can fail.
#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "index/index.h"
#include "index_test_support.h"
#include "planted_bug.h"

namespace vectolith::engine {
namespace {

using testing::hash_of;
using testing::TestPages;

/// Moves one entry again and again while another thread counts hits on wherever it was last; returns the
/// rounds after which the entry stood where it had been moved from, at most `rounds_max`.
int rounds_until_a_move_is_undone(int rounds_max) {
  constexpr std::uint32_t kMoves = 5'000;
  EpochDomain epochs{nullptr};
  TestPages pages;
  auto index = Index::create({.shards = 1}, epochs, pages).value();
  const auto hash = hash_of(1);
  std::uint32_t at = 0;
  EXPECT_TRUE(index->insert(hash, {.ordinal = at, .row = 1}).has_value());
  for (int round = 1; round <= rounds_max; ++round) {
    std::atomic<std::uint32_t> seen{at};
    std::atomic<bool> stop{false};
    std::atomic<bool> started{false};
    std::thread toucher([&] {
      started = true;
      started.notify_one();
      while (!stop.load(std::memory_order_relaxed)) {
        const auto scope = epochs.enter();
        index->set_frequency(hash, {.ordinal = seen.load(), .row = 1}, 0);
        index->touch(hash, {.ordinal = seen.load(), .row = 1});
      }
    });
    started.wait(false);
    bool undone = false;
    for (std::uint32_t move = 0; move < kMoves && !undone; ++move) {
      const std::uint32_t to = (at + 1) % 1'000;
      undone = !index->replace(hash, {.ordinal = at, .row = 1}, {.ordinal = to, .row = 1});
      at = to;
      seen = at;
    }
    stop = true;
    toucher.join();
    if (undone) return round;
    const auto scope = epochs.enter();
    const auto found = index->find(hash, [](Location location) { return location.row == 1; });
    if (!found || found->ordinal != at) return round;
  }
  return rounds_max + 1;
}

TEST(IndexCounter, UpdateNeverUndoesAMove) { EXPECT_GT(rounds_until_a_move_is_undone(200), 200); }

#ifdef VECTOLITH_PLANTED_BUGS
TEST(IndexCounter, StoredInsteadOfExchangedIsCaught) {
  planted_bug = PlantedBug::kCounterStored;
  const int rounds = rounds_until_a_move_is_undone(1'000);
  planted_bug = PlantedBug::kNone;
  EXPECT_LE(rounds, 1'000);
}
#endif

}  // namespace
}  // namespace vectolith::engine
