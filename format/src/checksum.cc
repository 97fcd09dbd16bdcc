/// @file
/// XXH3 sums; the only translation unit that includes xxHash, inlined so that short inputs are cheap.
#include <vectolith/format/checksum.h>

#define XXH_STATIC_LINKING_ONLY
#define XXH_INLINE_ALL
#include <algorithm>
#include <cstring>

#include <xxhash.h>

#include "planted_bug.h"
#include "xxh3_seeded.h"

namespace vectolith::format {

static_assert(KeyHasher::kSecretBytes >= XXH3_SECRET_SIZE_MIN);

std::uint64_t checksum64(std::span<const std::byte> bytes) noexcept {
  return XXH3_64bits(bytes.data(), bytes.size());
}

std::uint64_t checksum64(std::span<const std::byte> bytes, std::uint64_t seed) noexcept {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

Uuid checksum128(std::span<const std::byte> bytes) noexcept { return checksum128(bytes, 0); }

Uuid checksum128(std::span<const std::byte> bytes, std::uint64_t seed) noexcept {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits_withSeed(bytes.data(), bytes.size(), seed));
  Uuid sum;
  static_assert(sizeof(canonical.digest) == sizeof(sum.bytes));
  std::memcpy(sum.bytes.data(), canonical.digest, sizeof(canonical.digest));
  return sum;
}

std::uint64_t position_seed(const Uuid& life, std::uint64_t position) noexcept {
  if (is_planted(PlantedBug::kSumWithoutLife)) return position;
  if (is_planted(PlantedBug::kSumWithoutPosition)) position = 0;
  return XXH3_64bits_withSeed(life.bytes.data(), sizeof(life.bytes), position);
}

struct StreamingChecksum64::State {
  // Zeroed first: resetting with a seed reads the seed that the state had before.
  XXH3_state_t xxh3{};
};

StreamingChecksum64::StreamingChecksum64(std::uint64_t seed) : state_(std::make_unique<State>()) {
  XXH3_64bits_reset_withSeed(&state_->xxh3, seed);
}

StreamingChecksum64::~StreamingChecksum64() = default;
StreamingChecksum64::StreamingChecksum64(StreamingChecksum64&&) noexcept = default;
StreamingChecksum64& StreamingChecksum64::operator=(StreamingChecksum64&&) noexcept = default;

void StreamingChecksum64::update(std::span<const std::byte> bytes) noexcept {
  // Skipped when empty: xxHash takes a null pointer of an empty span for an error.
  if (!bytes.empty()) XXH3_64bits_update(&state_->xxh3, bytes.data(), bytes.size());
}

std::uint64_t StreamingChecksum64::digest() const noexcept { return XXH3_64bits_digest(&state_->xxh3); }

KeyHasher::KeyHasher(std::span<const std::byte, kSecretBytes> secret) noexcept {
  std::ranges::copy(secret, secret_.begin());
}

std::uint64_t KeyHasher::operator()(const Key& key) const noexcept {
  // The constant length lets the compiler keep only XXH3's path for 17 to 128 bytes.
  return XXH3_64bits_withSecret(&key, sizeof(Key), secret_.data(), kSecretBytes);
}

}  // namespace vectolith::format
