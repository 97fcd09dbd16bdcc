/// @file
/// Sums are XXH3 as published, seeds bind them to their place, streaming equals one pass.
#include <vectolith/format/checksum.h>

#include <random>
#include <set>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "format/format_samples.h"
#include "support/random_seed.h"

namespace vectolith::format {
namespace {

std::vector<std::byte> random_bytes(std::mt19937_64& random, std::size_t count) {
  std::vector<std::byte> bytes(count);
  for (auto& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

TEST(Checksum, MatchesThePublishedVectorsOfXxh3) {
  // From xxHash's own tests: XXH3 of the empty input, 64 and 128 bits.
  EXPECT_EQ(checksum64({}), 0x2D06'8005'38D3'94C2U);
  const Uuid empty = checksum128({});
  EXPECT_EQ(empty.bytes[0], std::byte{0x99});
  EXPECT_EQ(empty.bytes[1], std::byte{0xAA});
  EXPECT_EQ(empty.bytes[15], std::byte{0x7F});
}

TEST(Checksum, SeedZeroIsThePlainSum) {
  const auto bytes = samples::text(300);
  EXPECT_EQ(checksum64(bytes), checksum64(bytes, 0));
  EXPECT_NE(checksum64(bytes), checksum64(bytes, 1));
}

TEST(Checksum, PositionSeedDiffersForEveryPositionAndLife) {
  std::set<std::uint64_t> seeds;
  for (std::uint64_t position = 0; position < 1'000; ++position) {
    seeds.insert(position_seed(samples::uuid(1), position));
    seeds.insert(position_seed(samples::uuid(2), position));
  }
  EXPECT_EQ(seeds.size(), 2'000U);
}

TEST(Checksum, PositionSeedIsTheSumOfTheUuidSeededByThePosition) {
  const Uuid life = samples::uuid(9);
  EXPECT_EQ(position_seed(life, 12), checksum64(life.bytes, 12));
}

TEST(StreamingChecksum64, EqualsOnePassHoweverTheBytesAreCut) {
  std::mt19937_64 random(vectolith::testing::random_seed());
  for (int round = 0; round < 200; ++round) {
    const auto bytes = random_bytes(random, random() % 5'000);
    const std::uint64_t seed = round % 3 == 0 ? 0 : random();
    StreamingChecksum64 streaming(seed);
    std::span<const std::byte> rest(bytes);
    while (!rest.empty()) {
      const std::size_t piece = std::min<std::size_t>(rest.size(), random() % 700);
      streaming.update(rest.first(piece));
      rest = rest.subspan(piece);
    }
    ASSERT_EQ(streaming.digest(), checksum64(bytes, seed)) << bytes.size();
  }
}

TEST(StreamingChecksum64, KeepsItsStateWhenMoved) {
  const auto bytes = samples::text(1'000);
  StreamingChecksum64 first(5);
  first.update(std::span(bytes).first(400));
  StreamingChecksum64 second = std::move(first);
  second.update(std::span(bytes).subspan(400));
  EXPECT_EQ(second.digest(), checksum64(bytes, 5));
}

TEST(KeyHasher, DependsOnTheSecretAndOnEveryByteOfTheKey) {
  std::mt19937_64 random(vectolith::testing::random_seed());
  const auto secret = random_bytes(random, KeyHasher::kSecretBytes);
  const auto other_secret = random_bytes(random, KeyHasher::kSecretBytes);
  const KeyHasher hasher(std::span<const std::byte, KeyHasher::kSecretBytes>{secret});
  const KeyHasher other(std::span<const std::byte, KeyHasher::kSecretBytes>{other_secret});
  const Key key = samples::key(1);
  EXPECT_EQ(hasher(key), hasher(samples::key(1)));
  EXPECT_NE(hasher(key), other(key));
  std::set<std::uint64_t> hashes = {hasher(key)};
  for (std::size_t i = 0; i < key.digest.bytes.size(); ++i) {
    Key changed = key;
    changed.digest.bytes[i] ^= std::byte{0x80};
    hashes.insert(hasher(changed));
  }
  hashes.insert(hasher({.digest = key.digest, .scope = ScopeId(99), .chunker = key.chunker}));
  hashes.insert(hasher({.digest = key.digest, .scope = key.scope, .chunker = ChunkerId(99)}));
  EXPECT_EQ(hashes.size(), key.digest.bytes.size() + 3);
}

}  // namespace
}  // namespace vectolith::format
