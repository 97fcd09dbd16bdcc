/// @file
/// A key that is present throughout a lookup is found by it, whatever writers do meanwhile.
#include <atomic>
#include <functional>
#include <latch>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "index/index.h"
#include "index_test_support.h"
#include "support/random_seed.h"

namespace vectolith::engine {
namespace {

using testing::hash_of;
using testing::TestPages;

constexpr std::uint64_t kLasting = 5'000;
constexpr std::uint64_t kPassing = testing::kSanitized ? 80'000 : 400'000;
constexpr std::uint32_t kGenerations = 1000;

/// A row is its key's for ever; the ordinal is a generation, below kGenerations.
Location at_generation(std::uint64_t key, std::uint32_t generation) {
  return {.ordinal = generation, .row = static_cast<std::uint32_t>(key)};
}

/// Lasting keys that readers look for in scopes of their own, while writers do what a test says.
class IndexConcurrencyTest : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    index_ = Index::create({.shards = 2}, epochs_, pages_).value();
    for (std::uint64_t key = 0; key < kLasting; ++key) {
      ASSERT_TRUE(index_->insert(hash_of(key), at_generation(key, 0)).has_value());
    }
  }

  void look(std::uint64_t key) {
    const auto scope = epochs_.enter();
    const auto found = index_->find(hash_of(key), [&](Location at) { return at.row == key; });
    if (!found) ++misses_;
    if (found && found->ordinal >= kGenerations) ++foreign_;
    if (found) index_->touch(hash_of(key), *found);
    ++lookups_;
  }

  /// Runs the writers to their end beside two readers.
  void run(const std::vector<std::function<void()>>& writers) {
    std::atomic<bool> stop{false};
    std::latch started(2);
    std::vector<std::thread> readers;
    for (std::uint64_t reader = 0; reader < 2; ++reader) {
      readers.emplace_back([&, reader] {
        started.count_down();
        std::mt19937_64 random(seed_ + reader);
        while (!stop.load(std::memory_order_relaxed)) look(random() % kLasting);
      });
    }
    started.wait();
    std::vector<std::thread> threads;
    for (const auto& writer : writers) threads.emplace_back(writer);
    for (auto& thread : threads) thread.join();
    stop = true;
    for (auto& reader : readers) reader.join();
    EXPECT_EQ(misses_, 0U) << "of " << lookups_;
    EXPECT_EQ(foreign_, 0U);
  }

  void insert_passing(std::uint64_t first, std::uint64_t step) {
    for (std::uint64_t key = kLasting + first; key < kLasting + kPassing; key += step) {
      ASSERT_TRUE(index_->insert(hash_of(key), at_generation(key, 0)).has_value());
    }
  }
  void erase_passing(std::uint64_t first, std::uint64_t step) {
    for (std::uint64_t key = kLasting + first; key < kLasting + kPassing; key += step) {
      ASSERT_TRUE(index_->erase(hash_of(key), at_generation(key, 0)));
    }
  }

  std::uint64_t seed_ = vectolith::testing::random_seed();
  TestPages pages_;
  EpochDomain epochs_{GetParam() ? std::function<bool()>(&testing::kernel_barrier) : nullptr};
  std::unique_ptr<Index> index_;
  std::atomic<std::uint64_t> misses_{0};
  std::atomic<std::uint64_t> foreign_{0};
  std::atomic<std::uint64_t> lookups_{0};
};

INSTANTIATE_TEST_SUITE_P(Barrier, IndexConcurrencyTest, ::testing::Bool(),
                         [](const auto& test) { return test.param ? "Kernel" : "Refused"; });

TEST_P(IndexConcurrencyTest, FindsLastingKeysDuringGrowthAndSplits) {
  run({[&] { insert_passing(0, 2); }, [&] { insert_passing(1, 2); }});
  EXPECT_EQ(index_->size(), kLasting + kPassing);
  const auto scope = epochs_.enter();
  for (std::uint64_t key = 0; key < kLasting + kPassing; ++key) {
    ASSERT_TRUE(index_->find(hash_of(key), [&](Location at) { return at.row == key; }).has_value()) << key;
  }
}

TEST_P(IndexConcurrencyTest, FindsLastingKeysWhileOthersComeAndGo) {
  run({[&] {
         insert_passing(0, 2);
         erase_passing(0, 2);
         insert_passing(0, 2);
       },
       [&] {
         insert_passing(1, 2);
         erase_passing(1, 2);
       }});
  EXPECT_EQ(index_->size(), kLasting + kPassing / 2);
}

TEST_P(IndexConcurrencyTest, FindsLastingKeysWhileTheyAreReplaced) {
  // As compaction does: every row moves to the next segment, again and again, while others are put.
  run({[&] {
         for (std::uint32_t generation = 0; generation + 1 < (testing::kSanitized ? 30 : 200); ++generation) {
           for (std::uint64_t key = 0; key < kLasting; ++key) {
             ASSERT_TRUE(index_->replace(hash_of(key), at_generation(key, generation),
                                         at_generation(key, generation + 1)));
           }
         }
       },
       [&] { insert_passing(0, 1); }});
}

TEST_P(IndexConcurrencyTest, LosesNoRowThatSeveralThreadsRebuildAtATime) {
  std::vector<std::function<void()>> writers;
  for (std::uint64_t writer = 0; writer < 3; ++writer) {
    writers.emplace_back([&, writer] {
      Index::Rebuild rebuild(*index_, writer, 3);
      for (std::uint64_t key = kLasting; key < kLasting + kPassing; ++key) {
        if (!rebuild.owns(hash_of(key))) continue;
        ASSERT_TRUE(rebuild.insert(hash_of(key), at_generation(key, 0)).has_value());
      }
    });
  }
  run(writers);
  EXPECT_EQ(index_->size(), kLasting + kPassing);
}

TEST_P(IndexConcurrencyTest, CanBeDroppedUnderItsReaders) {
  std::atomic<Index*> current{index_.release()};
  std::atomic<bool> stop{false};
  std::latch started(2);
  std::vector<std::thread> readers;
  for (std::uint64_t reader = 0; reader < 2; ++reader) {
    readers.emplace_back([&, reader] {
      started.count_down();
      std::mt19937_64 random(seed_ + reader);
      while (!stop.load(std::memory_order_relaxed)) {
        const auto scope = epochs_.enter();
        const Index* const index = current.load(std::memory_order_acquire);
        const std::uint64_t key = random() % 100;
        if (!index->find(hash_of(key), [&](Location at) { return at.row == key; })) ++misses_;
      }
    });
  }
  started.wait();
  for (int round = 0; round < 200; ++round) {
    auto next = Index::create({.shards = 2}, epochs_, pages_).value();
    for (std::uint64_t key = 0; key < 100; ++key) {
      ASSERT_TRUE(next->insert(hash_of(key), at_generation(key, 0)).has_value());
    }
    Index* const old = current.exchange(next.release(), std::memory_order_acq_rel);
    epochs_.retire([old] { delete old; });
    epochs_.collect();
  }
  stop = true;
  for (auto& reader : readers) reader.join();
  EXPECT_EQ(misses_, 0U);
  delete current.load();
  epochs_.collect();
  EXPECT_EQ(pages_.live_bytes(), 0U);
}

}  // namespace
}  // namespace vectolith::engine
