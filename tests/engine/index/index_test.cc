/// @file
/// The index against a model, at its limits, and with memory that runs out.
#include "index/index.h"

#include <algorithm>
#include <array>
#include <random>
#include <unordered_map>
#include <vector>

#include <gtest/gtest.h>

#include "index_test_support.h"
#include "support/random_seed.h"

namespace vectolith::engine {
namespace {

using testing::hash_of;
using testing::location_for;
using testing::TestPages;

class IndexTest : public ::testing::Test {
 protected:
  std::unique_ptr<Index> make(IndexOptions options = {}) {
    auto index = Index::create(options, epochs_, pages_);
    EXPECT_TRUE(index.has_value());
    return index.has_value() ? *std::move(index) : nullptr;
  }
  std::optional<Location> find(const Index& index, std::uint64_t hash, Location location) {
    const auto scope = epochs_.enter();
    return index.find(hash, [&](Location at) { return at == location; });
  }
  /// Keys 0 to count - 1 are where location_for says, and the next 1000 keys are nowhere.
  void expect_keys(const Index& index, std::uint64_t count) {
    EXPECT_EQ(index.size(), count);
    for (std::uint64_t key = 0; key < count + 1000; ++key) {
      ASSERT_EQ(find(index, hash_of(key), location_for(key)).has_value(), key < count) << key;
    }
  }

  TestPages pages_;
  EpochDomain epochs_{nullptr};
};

/// Applies random operations to an index and to a map, and compares all that can be seen.
class Model {
 public:
  Model(Index& index, EpochDomain& epochs, std::uint64_t seed, std::uint64_t keys, std::uint64_t hash_mask)
      : index_(index), epochs_(epochs), random_(seed), keys_(keys), hash_mask_(hash_mask) {}

  void step() {
    const std::uint64_t key = random_() % keys_;
    const auto known = map_.find(key);
    if (known == map_.end()) {
      expect_miss(key);
      if (random_() % 4 != 0) insert(key);
      return;
    }
    expect_hit(key, known->second);
    switch (random_() % 4) {
      case 0: return erase(key);
      case 1: return replace(known->second, key);
      default: return touch(known->second, key);
    }
  }
  void compare_all() {
    ASSERT_EQ(index_.size(), map_.size());
    for (const auto& [key, row] : map_) expect_hit(key, row);
  }

 private:
  struct Row {
    Location location;
    std::uint32_t frequency = 0;
  };

  /// Only the upper 34 bits count; a mask makes many keys share them.
  std::uint64_t hash(std::uint64_t key) const { return hash_of(key) & hash_mask_; }
  /// A row belongs to one key for ever, so that a location says whose it is.
  Location fresh_location(std::uint64_t key) {
    return {.ordinal = static_cast<std::uint32_t>(random_() % (kOrdinalMax + 1)),
            .row = static_cast<std::uint32_t>(key)};
  }
  std::optional<Location> find(std::uint64_t key) {
    const auto scope = epochs_.enter();
    return index_.find(hash(key), [&](Location at) { return at.row == key; });
  }
  void expect_miss(std::uint64_t key) { ASSERT_FALSE(find(key).has_value()) << key; }
  void expect_hit(std::uint64_t key, const Row& row) {
    ASSERT_EQ(find(key), row.location) << key;
    const auto scope = epochs_.enter();
    ASSERT_EQ(index_.frequency(hash(key), row.location), row.frequency) << key;
  }
  void insert(std::uint64_t key) {
    const Location location = fresh_location(key);
    ASSERT_TRUE(index_.insert(hash(key), location).has_value());
    map_[key] = {location};
  }
  void erase(std::uint64_t key) {
    const Location location = map_[key].location;
    const Location other{.ordinal = location.ordinal ^ 1, .row = location.row};
    ASSERT_FALSE(index_.erase(hash(key), other)) << "nothing lies there";
    ASSERT_TRUE(index_.erase(hash(key), location));
    ASSERT_FALSE(index_.erase(hash(key), location));
    map_.erase(key);
  }
  void replace(Row& row, std::uint64_t key) {
    const Location next = fresh_location(key);
    ASSERT_TRUE(index_.replace(hash(key), row.location, next));
    if (next != row.location) {
      ASSERT_FALSE(index_.replace(hash(key), row.location, next));
    }
    row.location = next;
  }
  void touch(Row& row, std::uint64_t key) {
    const auto scope = epochs_.enter();
    if (random_() % 4 == 0) {
      row.frequency = static_cast<std::uint32_t>(random_() % (kFrequencyMax + 1));
      ASSERT_TRUE(index_.set_frequency(hash(key), row.location, row.frequency));
    } else {
      index_.touch(hash(key), row.location);
      row.frequency = std::min(row.frequency + 1, kFrequencyMax);
    }
  }

  Index& index_;
  EpochDomain& epochs_;
  std::mt19937_64 random_;
  std::unordered_map<std::uint64_t, Row> map_;
  std::uint64_t keys_;
  std::uint64_t hash_mask_;
};

TEST_F(IndexTest, BehavesAsAMapUnderRandomOperations) {
  const std::uint64_t seed = vectolith::testing::random_seed();
  for (const std::uint32_t shards : {1U, 8U, 1024U}) {
    const auto index = make({.shards = shards});
    Model model(*index, epochs_, seed, 30'000, ~std::uint64_t{0});
    for (int step = 0; step < (testing::kSanitized ? 60'000 : 300'000) && !HasFatalFailure(); ++step)
      model.step();
    model.compare_all();
  }
}

TEST_F(IndexTest, BehavesAsAMapWhenKeysShareTheirHashBits) {
  // 4,000 keys on 4,096 values: pairs, triples and more are the rule.
  const std::uint64_t seed = vectolith::testing::random_seed();
  const std::uint64_t mask = std::uint64_t{0xFFF} << 52;
  const auto index = make({.shards = 4});
  Model model(*index, epochs_, seed, 4'000, mask);
  for (int step = 0; step < 100'000 && !HasFatalFailure(); ++step) model.step();
  model.compare_all();
}

TEST_F(IndexTest, GrowsAndSplitsFromNothingWithoutLosingAKey) {
  for (const std::uint32_t shards : {1U, 16U}) {
    const auto index = make({.shards = shards});
    const std::uint64_t count = (testing::kSanitized ? 2 : 8) * kTableEntriesMax;
    for (std::uint64_t key = 0; key < count; ++key) {
      ASSERT_TRUE(index->insert(hash_of(key), location_for(key)).has_value());
      // The tenth key before was there before whatever this one set off.
      if (key >= 10) {
        ASSERT_TRUE(find(*index, hash_of(key - 10), location_for(key - 10)).has_value()) << key;
      }
    }
    expect_keys(*index, count);
  }
}

TEST_F(IndexTest, KeepsFrequenciesThroughGrowth) {
  const auto index = make({.shards = 1});
  for (std::uint64_t key = 0; key < 1000; ++key) {
    ASSERT_TRUE(index->insert(hash_of(key), location_for(key)).has_value());
    const auto scope = epochs_.enter();
    ASSERT_TRUE(index->set_frequency(hash_of(key), location_for(key), key % 4));
  }
  for (std::uint64_t key = 1000; key < 2 * kTableEntriesMax; ++key) {
    ASSERT_TRUE(index->insert(hash_of(key), location_for(key)).has_value());
  }
  const auto scope = epochs_.enter();
  for (std::uint64_t key = 0; key < 1000; ++key) {
    ASSERT_EQ(index->frequency(hash_of(key), location_for(key)), key % 4);
  }
}

TEST_F(IndexTest, IsRebuiltInAnyNumberOfPartsEachOfWhichOwnsItsHashes) {
  constexpr std::uint64_t kKeys = 60'000;
  for (const std::uint64_t expected : {std::uint64_t{0}, kKeys}) {
    for (const std::size_t parts : {1U, 3U, 8U, 11U}) {
      const auto index = make({.shards = 8, .expected_rows = expected});
      for (std::size_t part = 0; part < parts; ++part) {
        Index::Rebuild rebuild(*index, part, parts);
        for (std::uint64_t key = 0; key < kKeys; ++key) {
          if (!rebuild.owns(hash_of(key))) continue;
          ASSERT_TRUE(rebuild.insert(hash_of(key), location_for(key + 1)).has_value());
          EXPECT_TRUE(rebuild.replace(hash_of(key), location_for(key + 1), location_for(key)));
        }
      }
      expect_keys(*index, kKeys);
    }
  }
}

TEST_F(IndexTest, DoesNotGrowWhileItTakesTheRowsItWasMadeFor) {
  for (const std::uint64_t rows : {1'000U, 100'000U, testing::kSanitized ? 200'000U : 1'000'000U}) {
    const auto index = make({.shards = 8, .expected_rows = rows});
    pages_.forget_peak();
    for (std::uint64_t key = 0; key < rows; ++key) {
      ASSERT_TRUE(index->insert(hash_of(key), location_for(key)).has_value());
    }
    EXPECT_EQ(pages_.peak_bytes(), pages_.live_bytes());
    EXPECT_EQ(epochs_.retired(), 0U);
    EXPECT_LE(index->memory_bytes(), std::max<std::uint64_t>(80 << 10, rows * 12));
  }
}

TEST_F(IndexTest, StartsWith64KiB) {
  for (const std::uint32_t shards : {1U, 8U, 256U}) {
    const auto index = make({.shards = shards});
    EXPECT_EQ(pages_.live_bytes(), 64U << 10) << shards;
  }
}

TEST_F(IndexTest, FindsCandidatesOfAGroupAsItFindsThemOneByOne) {
  const auto index = make({.shards = 8});
  constexpr std::uint64_t kKeys = 50'000;
  for (std::uint64_t key = 0; key < kKeys; ++key) {
    ASSERT_TRUE(index->insert(hash_of(key), location_for(key)).has_value());
  }
  for (const std::size_t size : {0U, 1U, 15U, 16U, 17U, 1000U}) {
    std::vector<std::uint64_t> hashes;
    for (std::uint64_t key = 0; hashes.size() < size; ++key)
      hashes.push_back(hash_of(key * 997 % (2 * kKeys)));
    std::vector<std::optional<Location>> found(size, Location{});
    const auto scope = epochs_.enter();
    index->find_candidates(hashes, found);
    for (std::size_t key = 0; key < size; ++key) {
      EXPECT_EQ(found[key], index->find(hashes[key], [](Location) { return true; })) << key;
    }
  }
}

TEST_F(IndexTest, AsksTheCallerAboutEveryKeyOfTheSameHashBits) {
  const auto index = make({.shards = 1});
  const std::uint64_t hash = hash_of(7);
  for (std::uint64_t key = 0; key < 10; ++key) {
    // The bits below the 34 in use differ, which the index cannot see.
    ASSERT_TRUE(index->insert(hash ^ key, location_for(key)).has_value());
  }
  for (std::uint64_t key = 0; key < 10; ++key) EXPECT_TRUE(find(*index, hash, location_for(key)).has_value());
  std::size_t asked = 0;
  const auto scope = epochs_.enter();
  EXPECT_FALSE(index->find(hash, [&](Location) { return ++asked, false; }).has_value());
  EXPECT_EQ(asked, 10U);
}

TEST_F(IndexTest, LooksAgainWhenARowMovedWhileItsOldPlaceWasRefused) {
  // Compaction moves the row just before the caller looks at it: the old place no longer holds the key.
  const auto index = make({.shards = 1});
  const std::uint64_t hash = hash_of(0);
  const Location old_place = location_for(0);
  const Location new_place{.ordinal = 9, .row = 9};
  ASSERT_TRUE(index->insert(hash, old_place).has_value());
  const auto scope = epochs_.enter();
  const auto found = index->find(hash, [&](Location at) {
    if (at == old_place) {
      EXPECT_TRUE(index->replace(hash, old_place, new_place));
    }
    return at == new_place;
  });
  EXPECT_EQ(found, new_place);
}

TEST_F(IndexTest, LooksAgainWhenTheTableGrewAndARowMovedWhileItsOldPlaceWasRefused) {
  // As above, but the reader still looks at a table that nobody writes to any more. Several keys, for
  // one that is displaced before the growth is looked at again anyway.
  const Location new_place{.ordinal = 9, .row = 9};
  for (std::uint64_t moved = 0; moved < 20; ++moved) {
    const auto index = make({.shards = 1});
    const Location old_place = location_for(moved);
    ASSERT_TRUE(index->insert(hash_of(moved), old_place).has_value());
    epochs_.collect();
    const auto scope = epochs_.enter();
    const auto found = index->find(hash_of(moved), [&](Location at) {
      if (at == old_place) {
        for (std::uint64_t key = 100; epochs_.retired() == 0; ++key) {
          EXPECT_TRUE(index->insert(hash_of(key), location_for(key)).has_value());
        }
        EXPECT_TRUE(index->replace(hash_of(moved), old_place, new_place));
      }
      return at == new_place;
    });
    EXPECT_EQ(found, new_place) << moved;
  }
}

TEST_F(IndexTest, ReportsALimitWhenTooManyKeysShareTheirHashBits) {
  const auto index = make({.shards = 1});
  const std::uint64_t hash = hash_of(7);
  std::uint64_t held = 0;
  Result<void> result;
  while ((result = index->insert(hash, location_for(held))).has_value()) ++held;
  EXPECT_EQ(result.error().code(), ErrorCode::kLimit);
  EXPECT_EQ(held, 14U);
  for (std::uint64_t key = 0; key < held; ++key)
    EXPECT_TRUE(find(*index, hash, location_for(key)).has_value());
  EXPECT_TRUE(index->insert(hash_of(8), location_for(100)).has_value()) << "others are not concerned";
}

TEST_F(IndexTest, RefusesBadArguments) {
  for (const std::uint32_t shards : {0U, 3U, 2 * Index::kShardsMax}) {
    const auto index = Index::create({.shards = shards}, epochs_, pages_);
    ASSERT_FALSE(index.has_value());
    EXPECT_EQ(index.error().code(), ErrorCode::kInvalidArgument);
  }
  const auto index = make();
  const Location good{.ordinal = kOrdinalMax, .row = kRowMax};
  EXPECT_TRUE(index->insert(1, good).has_value());
  for (const Location bad : {Location{kOrdinalMax + 1, 0}, Location{0, kRowMax + 1}}) {
    const auto inserted = index->insert(2, bad);
    ASSERT_FALSE(inserted.has_value());
    EXPECT_EQ(inserted.error().code(), ErrorCode::kInvalidArgument);
    EXPECT_FALSE(index->replace(1, good, bad));
    Index::Rebuild rebuild(*index, 0, 1);
    EXPECT_FALSE(rebuild.insert(2, bad).has_value());
    EXPECT_FALSE(rebuild.replace(1, good, bad));
  }
  EXPECT_EQ(index->size(), 1U);
  EXPECT_EQ(find(*index, 1, good), good);
}

TEST_F(IndexTest, SaysThatMemoryIsRefusedAtTheStart) {
  const IndexOptions large{.shards = 8, .expected_rows = 1'000'000};
  for (const std::int64_t allowed : {0, 1, 7, 15}) {
    for (const IndexOptions& options : {IndexOptions{}, large}) {
      if (options.expected_rows == 0 && allowed > 0) continue;
      pages_.refuse_after(allowed);
      const auto index = Index::create(options, epochs_, pages_);
      ASSERT_FALSE(index.has_value()) << allowed;
      EXPECT_EQ(index.error().code(), ErrorCode::kNoMemory);
      EXPECT_EQ(pages_.live_bytes(), 0U);
    }
  }
}

TEST_F(IndexTest, StaysWholeWhenMemoryIsRefusedAtAnyAllocation) {
  constexpr std::uint64_t kKeys = kTableEntriesMax * 3 / 2;  // several growths, and a split
  bool refused = true;
  for (std::int64_t allowed = 1; refused; allowed += 1 + allowed / 4) {
    pages_.refuse_after(allowed);
    refused = false;
    const auto index = make({.shards = 1});
    std::uint64_t count = 0;
    for (; count < kKeys && !refused; ++count) {
      const auto inserted = index->insert(hash_of(count), location_for(count));
      if (inserted.has_value()) continue;
      refused = true;
      ASSERT_EQ(inserted.error().code(), ErrorCode::kNoMemory);
      expect_keys(*index, count);
      pages_.refuse_nothing();
      ASSERT_TRUE(index->insert(hash_of(count), location_for(count)).has_value()) << "memory is back";
    }
    expect_keys(*index, count);
  }
}

TEST_F(IndexTest, GivesAllMemoryBack) {
  {
    const auto index = make({.shards = 2});
    for (std::uint64_t key = 0; key < 100'000; ++key) {
      ASSERT_TRUE(index->insert(hash_of(key), location_for(key)).has_value());
    }
  }
  epochs_.collect();
  EXPECT_EQ(pages_.live_bytes(), 0U);
}

TEST_F(IndexTest, CountsTheMemoryItHolds) {
  const auto index = make({.shards = 8});
  for (std::uint64_t key = 0; key < 100'000; ++key) {
    ASSERT_TRUE(index->insert(hash_of(key), location_for(key)).has_value());
    if (key % 10'000 == 0) {
      EXPECT_GE(index->memory_bytes(), pages_.live_bytes());
      EXPECT_LE(index->memory_bytes(), pages_.live_bytes() + 8192) << "objects beside the tables are small";
    }
  }
}

/// Bytes a row at 20 sizes between a tenth of `rows` and `rows`, growing row by row, and the peak between.
TEST_F(IndexTest, TakesAtMost12BytesARowInTheMeanAnd14AtAnySizeAnd18WhileItGrows) {
  constexpr std::uint64_t kRows = testing::kSanitized ? 500'000 : 10'000'000;
  const auto index = make({.shards = 8});
  double sum = 0;
  double worst_peak = 0;
  int sizes = 0;
  for (std::uint64_t key = 0; key < kRows; ++key) {
    ASSERT_TRUE(index->insert(hash_of(key), location_for(key)).has_value());
    const std::uint64_t rows = key + 1;
    if (rows < kRows / 10) continue;
    if (rows % 1000 == 0) {
      worst_peak = std::max(worst_peak, static_cast<double>(pages_.peak_bytes()) / static_cast<double>(rows));
      pages_.forget_peak();
    }
    if ((rows - kRows / 10) % (kRows * 9 / 190) != 0) continue;
    const double bytes = static_cast<double>(index->memory_bytes()) / static_cast<double>(rows);
    EXPECT_LE(bytes, 14) << rows;
    sum += bytes;
    ++sizes;
  }
  EXPECT_GE(sizes, 20);
  EXPECT_LE(sum / sizes, 12);
  EXPECT_LE(worst_peak, 18);
  std::cout << "mean " << sum / sizes << " bytes a row, peak " << worst_peak << '\n';
}

}  // namespace
}  // namespace vectolith::engine
