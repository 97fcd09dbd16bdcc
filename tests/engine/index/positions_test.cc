/// @file
/// What an entry stores is enough to know all 34 hash bits again, in every table.
#include "index/positions.h"

#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "support/random_seed.h"

namespace vectolith::engine {
namespace {

/// Every count near the smallest, where buckets are widest, and every sort of count above.
std::vector<std::uint64_t> bucket_counts(unsigned bits, std::mt19937_64& random) {
  const std::uint64_t least = Positions::bucket_count_min(bits);
  std::vector<std::uint64_t> counts;
  for (std::uint64_t extra = 0; extra < 300; ++extra) counts.push_back(least + extra);
  for (std::uint64_t power = 1; power <= std::uint64_t{1} << 20; power *= 2) {
    for (const std::uint64_t count : {power - 1, power, power + 1}) {
      if (count >= least) counts.push_back(count);
    }
  }
  for (int draw = 0; draw < 300; ++draw) counts.push_back(least + random() % (1 << 20));
  return counts;
}

std::uint64_t rest_at(const Positions& positions, std::uint64_t position, BucketRole role) {
  return role == BucketRole::kPrimary ? position : positions.rest_of(position * detail::kInverse);
}

/// Takes the entry of `rest` apart as a table does, and puts it together again.
std::uint64_t recovered(const Positions& positions, std::uint64_t rest, BucketRole role) {
  const std::uint64_t position = positions.position(rest, role);
  const std::uint64_t bucket = positions.bucket_at(position);
  return positions.recover(positions.first_position(bucket), role, Positions::tag_of_rest(rest),
                           Positions::extra_of_position(position));
}

TEST(Positions, RecoverEveryHashValueInBothRolesAtEverySize) {
  std::mt19937_64 random(vectolith::testing::random_seed());
  for (unsigned bits = kPositionBitsMin; bits <= kUsedHashBits; ++bits) {
    for (const std::uint64_t count : bucket_counts(bits, random)) {
      const Positions positions(bits, count);
      for (const BucketRole role : {BucketRole::kPrimary, BucketRole::kSecondary}) {
        // The ends of a bucket are where a value could be taken for its neighbour 2^24 further on.
        for (const std::uint64_t bucket : {std::uint64_t{0}, count / 2, count - 1, random() % count}) {
          const std::uint64_t first = positions.first_position(bucket);
          const std::uint64_t next = positions.first_position(bucket + 1);
          if (first == next) continue;  // more buckets than positions
          for (const std::uint64_t position : {first, next - 1, first + random() % (next - first)}) {
            const std::uint64_t rest = rest_at(positions, position, role);
            ASSERT_EQ(recovered(positions, rest, role), rest) << bits << " bits, " << count << " buckets";
          }
        }
        const std::uint64_t rest = positions.rest_of(random());
        ASSERT_EQ(recovered(positions, rest, role), rest) << bits << " bits, " << count << " buckets";
      }
    }
  }
}

TEST(Positions, NeverMakeABucketWiderThanWhatIsStored) {
  std::mt19937_64 random(vectolith::testing::random_seed());
  for (unsigned bits = kPositionBitsMin; bits <= kUsedHashBits; ++bits) {
    for (const std::uint64_t count : bucket_counts(bits, random)) {
      const Positions positions(bits, count);
      for (const std::uint64_t bucket : {std::uint64_t{0}, count / 3, count - 1, random() % count}) {
        ASSERT_LE(positions.first_position(bucket + 1) - positions.first_position(bucket), 1U << kStoredBits);
      }
    }
  }
}

TEST(Positions, PutEveryPositionIntoTheBucketWhoseIntervalHoldsIt) {
  std::mt19937_64 random(vectolith::testing::random_seed());
  for (int draw = 0; draw < 100'000; ++draw) {
    const auto bits =
        static_cast<unsigned>(kPositionBitsMin + random() % (kUsedHashBits - kPositionBitsMin + 1));
    const Positions positions(bits, Positions::bucket_count_min(bits) + random() % 100'000);
    const std::uint64_t position = positions.rest_of(random());
    const std::uint64_t bucket = positions.bucket_at(position);
    ASSERT_LT(bucket, positions.bucket_count());
    ASSERT_GE(position, positions.first_position(bucket));
    ASSERT_LT(position, positions.first_position(bucket + 1));
  }
}

TEST(IndexWord, KeepsItsFieldsApart) {
  std::mt19937_64 random(vectolith::testing::random_seed());
  for (int draw = 0; draw < 10'000; ++draw) {
    const std::uint64_t tag = random() % (1 << kTagBits);
    const auto role = static_cast<BucketRole>(random() % 2);
    const auto frequency = static_cast<std::uint32_t>(random() % 4);
    const Location location{.ordinal = static_cast<std::uint32_t>(random() % (kOrdinalMax + 1)),
                            .row = static_cast<std::uint32_t>(random() % (kRowMax + 1))};
    const IndexWord word = make_word(tag, role, frequency, location);
    ASSERT_NE(word, 0U);
    ASSERT_EQ(tag_of(word), tag);
    ASSERT_EQ(role_of(word), role);
    ASSERT_EQ(frequency_of(word), frequency);
    ASSERT_EQ(location_of(word), location);
    ASSERT_TRUE(matches_probe(word, probe_bits(tag, role)));
    ASSERT_FALSE(matches_probe(word, probe_bits(tag, opposite(role))));
    ASSERT_FALSE(matches_probe(word, probe_bits(tag ^ 1, role)));
  }
}

TEST(BucketControl, CountsOverflowUntilItNoLongerKnows) {
  BucketControl control = with_extra(0, 3, 0x2A);
  for (std::uint64_t count = 1; count <= kOverflowMax; ++count) {
    control = with_overflow_added(control);
    ASSERT_EQ(overflow_of(control), count);
  }
  EXPECT_EQ(overflow_of(with_overflow_added(control)), kOverflowMax);
  EXPECT_EQ(overflow_of(with_overflow_removed(control)), kOverflowMax)
      << "a count that stuck may be too small";
  EXPECT_EQ(extra_of(control, 3), 0x2AU);
  EXPECT_EQ(version_of(control), 0U);
  EXPECT_EQ(version_of(with_next_version(control)), 1U);
}

}  // namespace
}  // namespace vectolith::engine
