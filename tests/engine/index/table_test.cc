/// @file
/// A single table: what it holds is found at any load, whatever moves inside it.
#include "index/table.h"

#include <algorithm>
#include <atomic>
#include <latch>
#include <random>
#include <thread>
#include <unordered_set>
#include <vector>

#include <gtest/gtest.h>

#include "index_test_support.h"
#include "support/random_seed.h"

namespace vectolith::engine {
namespace {

using testing::location_for;
using testing::TestPages;

constexpr unsigned kBits = 26;

class TableTest : public ::testing::Test {
 protected:
  std::unique_ptr<Table> make(std::uint64_t bucket_count) {
    return Table::create(PageBlock::allocate(pages_, bucket_count * sizeof(Bucket)), 0,
                         Positions(kBits, bucket_count), 0);
  }
  /// Different values of w.
  std::vector<std::uint64_t> draw_rests(std::size_t count) {
    std::vector<std::uint64_t> rests;
    std::unordered_set<std::uint64_t> drawn;
    while (rests.size() < count) {
      const std::uint64_t rest = random_() & ((1U << kBits) - 1);
      if (drawn.insert(rest).second) rests.push_back(rest);
    }
    return rests;
  }
  static std::optional<Location> find(const Table& table, std::uint64_t rest, Location location) {
    ProbeState probe = ProbeState::kSettled;
    auto match = [&](Location at) { return at == location; };
    return table.buckets().find(rest, match, probe);
  }
  static std::uint64_t overflow_sum(const Table& table) {
    std::uint64_t sum = 0;
    for (std::uint64_t bucket = 0; bucket < table.positions().bucket_count(); ++bucket) {
      sum += overflow_of(table.buckets()[bucket].control_word);
    }
    return sum;
  }

  TestPages pages_;
  std::mt19937_64 random_{vectolith::testing::random_seed()};
};

TEST_F(TableTest, FindsEveryEntryUntilItRefusesOne) {
  const auto table = make(1000);
  const auto rests = draw_rests(table->slot_count());
  std::size_t held = 0;
  while (held < rests.size() && table->insert({rests[held], location_for(held), 0})) ++held;
  EXPECT_GT(held, table->slot_count() * 90 / 100) << "too early for the load at which tables grow";
  EXPECT_EQ(table->entry_count(), held);
  for (std::size_t key = 0; key < held; ++key)
    ASSERT_TRUE(find(*table, rests[key], location_for(key))) << key;
  for (std::size_t key = held; key < rests.size(); ++key)
    ASSERT_FALSE(find(*table, rests[key], location_for(key)));
}

TEST_F(TableTest, ListsExactlyWhatWasInserted) {
  const auto table = make(1000);
  const auto rests = draw_rests(table->slot_count() * 88 / 100);
  for (std::size_t key = 0; key < rests.size(); ++key) {
    ASSERT_TRUE(table->insert({rests[key], location_for(key), static_cast<std::uint32_t>(key % 4)}));
  }
  std::vector<bool> seen(rests.size());
  table->for_each([&](const Table::Entry& entry) {
    const std::size_t key = entry.location.row;
    EXPECT_EQ(entry.rest, rests[key]);
    EXPECT_EQ(entry.frequency, key % 4);
    EXPECT_FALSE(seen[key]);
    seen[key] = true;
  });
  EXPECT_EQ(std::ranges::count(seen, true), static_cast<std::ptrdiff_t>(rests.size()));
}

TEST_F(TableTest, CountsAsOverflowedJustTheKeysInTheirSecondaryBuckets) {
  const auto table = make(1000);
  const auto rests = draw_rests(table->slot_count() * 88 / 100);
  for (std::size_t key = 0; key < rests.size(); ++key)
    ASSERT_TRUE(table->insert({rests[key], location_for(key), 0}));
  std::uint64_t secondary = 0;
  for (std::uint64_t bucket = 0; bucket < table->positions().bucket_count(); ++bucket) {
    for (const IndexWord word : table->buckets()[bucket].words)
      secondary += role_of(word) == BucketRole::kSecondary;
  }
  EXPECT_GT(secondary, 0U);
  EXPECT_EQ(overflow_sum(*table), secondary);
  // Without this a cache that has turned over once would read two lines for every miss.
  for (std::size_t key = 0; key < rests.size(); ++key)
    ASSERT_TRUE(table->erase(rests[key], location_for(key)));
  EXPECT_EQ(table->entry_count(), 0U);
  EXPECT_EQ(overflow_sum(*table), 0U);
}

TEST_F(TableTest, RefusesAFifteenthEntryOfEqualHashBitsAndKeepsTheOthers) {
  const auto table = make(64);
  const std::uint64_t rest = 12'345'678;
  ASSERT_NE(table->positions().bucket_of(rest, BucketRole::kPrimary),
            table->positions().bucket_of(rest, BucketRole::kSecondary));
  for (std::uint64_t key = 0; key < 14; ++key) ASSERT_TRUE(table->insert({rest, location_for(key), 0}));
  EXPECT_FALSE(table->insert({rest, location_for(14), 0}));
  for (std::uint64_t key = 0; key < 14; ++key) EXPECT_TRUE(find(*table, rest, location_for(key)));
}

/// One writer keeps a nearly full table on the move, while readers look for keys that never leave it.
TEST_F(TableTest, NeverMissesAKeyThatIsDisplacedMeanwhile) {
  const auto table = make(16);
  const std::size_t slots = table->slot_count();
  const auto rests = draw_rests(slots * 40);
  const std::size_t lasting = slots / 2;
  for (std::size_t key = 0; key < lasting; ++key)
    ASSERT_TRUE(table->insert({rests[key], location_for(key), 0}));

  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> misses{0};
  std::atomic<std::uint64_t> lookups{0};
  std::latch started(2);
  std::vector<std::thread> readers;
  for (std::uint64_t reader = 0; reader < 2; ++reader) {
    readers.emplace_back([&, reader] {
      started.count_down();
      for (std::uint64_t draw = reader; !stop.load(std::memory_order_relaxed); ++draw) {
        const std::size_t key = testing::hash_of(draw) % lasting;
        ProbeState probe = ProbeState::kDisturbed;
        std::optional<Location> found;
        auto match = [&](Location at) { return at == location_for(key); };
        while (!found && probe == ProbeState::kDisturbed) {
          probe = ProbeState::kSettled;
          found = table->buckets().find(rests[key], match, probe);
        }
        table->buckets().touch(rests[key], location_for(key));
        misses += !found.has_value();
        ++lookups;
      }
    });
  }
  started.wait();
  std::vector<std::size_t> passing;
  const std::uint64_t rounds = testing::kSanitized ? 100'000 : 2'000'000;
  for (std::uint64_t round = 0; round < rounds || lookups < 1000; ++round) {
    const std::size_t key = lasting + random_() % (rests.size() - lasting);
    if (std::ranges::find(passing, key) == passing.end() &&
        table->insert({rests[key], location_for(key), 0})) {
      passing.push_back(key);
    }
    if (passing.size() > slots * 47 / 100) {
      const std::size_t out = random_() % passing.size();
      ASSERT_TRUE(table->erase(rests[passing[out]], location_for(passing[out])));
      passing[out] = passing.back();
      passing.pop_back();
    }
  }
  stop = true;
  for (auto& reader : readers) reader.join();
  EXPECT_EQ(misses, 0U) << "of " << lookups;
}

}  // namespace
}  // namespace vectolith::engine
