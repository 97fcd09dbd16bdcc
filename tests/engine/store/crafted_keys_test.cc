/// @file
/// Keys made to collide under XXH3, with and without a known seed, are served like any others.
///
/// The story: digests come from strangers. XXH3 without a secret, or with a seed that became known, sends
/// 100,000 chosen digests to one place: a table would answer slowly or not at all. Each open draws a 192-byte
/// secret.
#include "support/crafted_keys.h"

#include <algorithm>
#include <cstdio>
#include <random>
#include <set>

#include <vectolith/format/checksum.h>

#include "engine/index/index_test_support.h"
#include "engine/store/store_fixture.h"
#include "support/random_seed.h"

namespace vectolith::testing {
namespace {

constexpr std::size_t kKeys = 100'000;
constexpr std::uint64_t kKnownSeed = 0x0123'4567'89AB'CDEF;

std::span<const std::byte> bytes_of(const Key& key) { return std::as_bytes(std::span(&key, 1)); }

std::vector<Key> random_keys(std::mt19937_64& random) {
  std::vector<Key> keys(kKeys);
  for (Key& key : keys) {
    for (auto& byte : key.digest.bytes) byte = static_cast<std::byte>(random());
  }
  return keys;
}

format::KeyHasher random_hasher(std::mt19937_64& random) {
  std::array<std::byte, format::KeyHasher::kSecretBytes> secret;
  for (auto& byte : secret) byte = static_cast<std::byte>(random());
  return format::KeyHasher(secret);
}

std::vector<std::uint64_t> hashes_of(const std::vector<Key>& keys, const format::KeyHasher& hasher) {
  std::vector<std::uint64_t> hashes;
  for (const Key& key : keys) hashes.push_back(hasher(key));
  return hashes;
}

std::uint32_t p99(std::vector<std::uint32_t> values) {
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(values.size() * 99 / 100);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

/// What a lookup of each of these hashes has to look at, in an index that holds them all.
struct Probes {
  std::uint32_t candidates_p99 = 0;  ///< Locations that looked right.
  std::uint32_t crowd_p99 = 0;       ///< Keys that share the primary bucket, in a table of two slots a key.
};

Probes probes_of(const std::vector<std::uint64_t>& hashes) {
  engine::testing::TestPages pages;
  engine::EpochDomain epochs({});
  auto index = engine::Index::create({.shards = 8, .expected_rows = 0}, epochs, pages);
  EXPECT_TRUE(index.has_value());
  for (std::uint32_t i = 0; i < hashes.size(); ++i) {
    const auto inserted = (*index)->insert(hashes[i], {.ordinal = 0, .row = i});
    EXPECT_TRUE(inserted.has_value()) << "key " << i << ": " << inserted.error().to_string();
    if (!inserted.has_value()) break;
  }
  const std::uint64_t buckets = hashes.size() * 2 / engine::kBucketSlots;
  const engine::Positions positions(
      engine::kUsedHashBits, std::max(buckets, engine::Positions::bucket_count_min(engine::kUsedHashBits)));
  std::vector<std::uint32_t> crowd(positions.bucket_count());
  const auto bucket_of = [&](std::uint64_t hash) {
    return positions.bucket_of(positions.rest_of(engine::used_hash(hash)), engine::BucketRole::kPrimary);
  };
  for (const auto hash : hashes) ++crowd[bucket_of(hash)];
  std::vector<std::uint32_t> candidates;
  std::vector<std::uint32_t> crowds;
  const auto scope = epochs.enter();
  for (std::uint32_t i = 0; i < hashes.size(); ++i) {
    std::uint32_t seen = 0;
    const auto found = (*index)->find(hashes[i], [&](engine::Location location) {
      ++seen;
      return location.row == i;
    });
    EXPECT_TRUE(found.has_value()) << "key " << i;
    candidates.push_back(seen);
    crowds.push_back(crowd[bucket_of(hashes[i])]);
  }
  return {p99(candidates), p99(crowds)};
}

TEST(CraftedKeys, ShareOneSumWhereNoSecretProtectsThem) {
  for (const std::uint64_t seed : {std::uint64_t{0}, kKnownSeed}) {
    const auto keys = crafted_keys(kKeys, seed);
    std::set<std::uint64_t> sums;
    for (const Key& key : keys) sums.insert(format::checksum64(bytes_of(key), seed));
    EXPECT_EQ(sums.size(), 1U) << "under seed " << seed;
    EXPECT_EQ(std::set(keys.begin(), keys.end()).size(), kKeys);
  }
}

TEST(CraftedKeys, WouldFillUpTheIndexWithoutASecret) {
  engine::testing::TestPages pages;
  engine::EpochDomain epochs({});
  auto index = engine::Index::create({.shards = 8, .expected_rows = 0}, epochs, pages);
  ASSERT_TRUE(index.has_value());
  std::size_t inserted = 0;
  for (const Key& key : crafted_keys(100, 0)) {
    const auto done = (*index)->insert(format::checksum64(bytes_of(key)),
                                       {.ordinal = 0, .row = static_cast<std::uint32_t>(inserted)});
    if (!done.has_value()) {
      EXPECT_EQ(done.error().code(), ErrorCode::kLimit);
      break;
    }
    ++inserted;
  }
  EXPECT_LT(inserted, 100U);
}

TEST(CraftedKeys, CrowdNoBucketUnderASecret) {
  std::mt19937_64 random(random_seed());
  const auto hasher = random_hasher(random);
  const auto usual = probes_of(hashes_of(random_keys(random), hasher));
  for (const std::uint64_t seed : {std::uint64_t{0}, kKnownSeed}) {
    const auto crafted = probes_of(hashes_of(crafted_keys(kKeys, seed), hasher));
    EXPECT_LE(crafted.candidates_p99, 3 * usual.candidates_p99) << "under seed " << seed;
    EXPECT_LE(crafted.crowd_p99, 3 * usual.crowd_p99) << "under seed " << seed;
  }
}

class CraftedKeysTest : public StoreTest {
 protected:
  static constexpr std::uint32_t kSmallDim = 4;

  static std::vector<float> vector_at(std::size_t i) {
    return {static_cast<float>(i % 1'000) + 1, static_cast<float>(i / 1'000), 1, 2};
  }
  static void put_all(Family& family, const std::vector<Key>& keys) {
    constexpr std::size_t kBatch = 5'000;
    for (std::size_t first = 0; first < keys.size(); first += kBatch) {
      std::vector<std::vector<float>> vectors;
      std::vector<BatchRow> rows;
      for (std::size_t i = first; i < first + kBatch; ++i) vectors.push_back(vector_at(i));
      for (std::size_t i = 0; i < kBatch; ++i)
        rows.push_back({keys[first + i], std::as_bytes(std::span(vectors[i]))});
      const auto put = family.put_batch(rows);
      ASSERT_TRUE(put.has_value()) << put.error().to_string();
    }
  }
  /// Looks every key up; returns the 99th percentile in nanoseconds.
  std::uint32_t look_up(const Family& family, const std::vector<Key>& keys) {
    std::vector<std::uint32_t> took_ns;
    const auto scope = store_->read_scope();
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const auto began = environment_->steady_ns();
      const auto got = family.get(scope, keys[i]);
      took_ns.push_back(static_cast<std::uint32_t>(environment_->steady_ns() - began));
      const bool right =
          got.has_value() && got->has_value() && (*got)->key() == keys[i] && same_bytes(**got, vector_at(i));
      if (!right) ADD_FAILURE() << "key " << i;
      if (!right) break;
    }
    return p99(took_ns);
  }
};

TEST_F(CraftedKeysTest, EachAnswersWithItsOwnVectorAndOthersAreMisses) {
  open();
  std::mt19937_64 random(random_seed());
  auto crafted = family("crafted", small_spec(kSmallDim));
  auto usual = family("usual", small_spec(kSmallDim));
  const auto keys = crafted_keys(kKeys, 0);
  const auto other_keys = random_keys(random);
  put_all(crafted, keys);
  put_all(usual, other_keys);
  look_up(crafted, keys);
  look_up(usual, other_keys);
  // For a person: times depend on the machine, so no test judges them.
  std::printf("p99 of a get: %u ns for crafted keys, %u ns for random ones\n", look_up(crafted, keys),
              look_up(usual, other_keys));
  for (const Key& key : crafted_keys(1'000, 0, kKeys)) EXPECT_EQ(crafted.contains(key).value_or(true), false);
  for (const Key& key : keys) {
    const auto found = usual.contains(key);
    if (found.value_or(true)) FAIL() << "a key of another family was found";
  }
}

}  // namespace
}  // namespace vectolith::testing
