/// @file
/// The arithmetic between a key's hash bits and its two buckets, in both directions.
///
/// A table covers all 34-bit values u (the top of the hash) with one prefix; w is the rest of u, `bits`
/// wide. A position r is w itself (primary) or w times an odd constant (secondary, a bijection), and
/// lies in bucket floor(r * B / 2^bits). So a bucket is an interval of positions, at most
/// ceil(2^bits / B) wide, and as long as that is at most 2^24, the low 24 bits of r (18 of them follow
/// from the entry's tag, 6 are kept in the control word) single r out. That is why growth and
/// splits need neither the keys nor the rows.
#pragma once

#include <cstdint>

#include "index/index_word.h"

namespace vectolith::engine {

inline constexpr unsigned kUsedHashBits = 34;
inline constexpr unsigned kStoredBits = kTagBits + kExtraBits;
/// Below this a tag would not fit into w.
inline constexpr unsigned kPositionBitsMin = kTagBits;

/// The part of the hash that the index uses: shard, table prefix and w, from the top.
constexpr std::uint64_t used_hash(std::uint64_t hash) noexcept { return hash >> (64 - kUsedHashBits); }

namespace detail {
constexpr std::uint64_t kMultiplier = 0x9E3779B97F4A7C15;  // odd, and mixed well at every width used
constexpr std::uint64_t inverse_of(std::uint64_t odd) noexcept {
  std::uint64_t inverse = odd;  // right in 3 bits; each step of Newton's doubles them
  for (int step = 0; step < 5; ++step) inverse *= 2 - odd * inverse;
  return inverse;
}
constexpr std::uint64_t kInverse = inverse_of(kMultiplier);
static_assert(kMultiplier * kInverse == 1);
}  // namespace detail

/// Maps w to buckets and back, for one width and one number of buckets.
class Positions {
 public:
  /// `bucket_count` is at least bucket_count_min(bits) and below 2^30.
  constexpr Positions(unsigned bits, std::uint64_t bucket_count) noexcept
      : bucket_count_(static_cast<std::uint32_t>(bucket_count)), bits_(bits) {}

  /// The smallest number of buckets whose intervals are at most 2^24 wide.
  [[nodiscard]] static constexpr std::uint64_t bucket_count_min(unsigned bits) noexcept {
    return bits > kStoredBits ? std::uint64_t{1} << (bits - kStoredBits) : 1;
  }
  [[nodiscard]] constexpr unsigned bits() const noexcept { return bits_; }
  [[nodiscard]] constexpr std::uint64_t bucket_count() const noexcept { return bucket_count_; }
  [[nodiscard]] constexpr std::uint64_t rest_of(std::uint64_t used) const noexcept { return used & mask(); }
  [[nodiscard]] static constexpr std::uint64_t tag_of_rest(std::uint64_t rest) noexcept {
    return rest & ((1U << kTagBits) - 1);
  }
  [[nodiscard]] constexpr std::uint64_t position(std::uint64_t rest, BucketRole role) const noexcept {
    return role == BucketRole::kPrimary ? rest : (rest * detail::kMultiplier) & mask();
  }
  [[nodiscard]] constexpr std::uint64_t bucket_at(std::uint64_t position) const noexcept {
    return (position * bucket_count_) >> bits_;
  }
  [[nodiscard]] constexpr std::uint64_t bucket_of(std::uint64_t rest, BucketRole role) const noexcept {
    return bucket_at(position(rest, role));
  }
  /// Bits 18 to 23 of the position: what the control word keeps beside the tag.
  [[nodiscard]] static constexpr std::uint64_t extra_of_position(std::uint64_t position) noexcept {
    return (position >> kTagBits) & kExtraMask;
  }
  /// The first position that lies in the bucket.
  [[nodiscard]] constexpr std::uint64_t first_position(std::uint64_t bucket) const noexcept {
    return ((bucket << bits_) + bucket_count_ - 1) / bucket_count_;
  }
  /// w of an entry, from what is stored of it. `first` is its bucket's first position.
  [[nodiscard]] constexpr std::uint64_t recover(std::uint64_t first, BucketRole role, std::uint64_t tag,
                                                std::uint64_t extra) const noexcept {
    constexpr std::uint64_t kStoredMask = (1U << kStoredBits) - 1;
    // The low bits of a product depend on the low bits of its factors only, so the tag gives them.
    const std::uint64_t low = tag_of_rest(role == BucketRole::kPrimary ? tag : tag * detail::kMultiplier);
    const std::uint64_t stored = (extra << kTagBits) | low;
    const std::uint64_t position = first + ((stored - first) & kStoredMask);
    return role == BucketRole::kPrimary ? position : (position * detail::kInverse) & mask();
  }

 private:
  [[nodiscard]] constexpr std::uint64_t mask() const noexcept { return (std::uint64_t{1} << bits_) - 1; }

  // Small, because every lookup loads it.
  std::uint32_t bucket_count_;
  std::uint32_t bits_;
};

}  // namespace vectolith::engine
