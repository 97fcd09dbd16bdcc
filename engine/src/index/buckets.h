/// @file
/// The readers' half of a table: probing its buckets without a lock.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <optional>

#include "index/index_word.h"
#include "index/positions.h"

namespace vectolith::engine {

/// A cache line of seven entries. Plain words, because the memory comes zeroed from a PageSource;
/// every access goes through `at` or `control`.
struct alignas(64) Bucket {
  std::array<std::uint64_t, kBucketSlots> words;
  std::uint64_t control_word;

  [[nodiscard]] std::atomic_ref<IndexWord> at(unsigned slot) noexcept {
    return std::atomic_ref<IndexWord>(words[slot]);
  }
  [[nodiscard]] std::atomic_ref<BucketControl> control() noexcept {
    return std::atomic_ref<BucketControl>(control_word);
  }
};
static_assert(sizeof(Bucket) == 64);

/// Whether a probe met a key on the move, so that its miss proves nothing.
enum class ProbeState : bool { kSettled, kDisturbed };

/// A place where an entry was seen, and the word seen there.
struct SeenEntry {
  std::uint64_t bucket;
  unsigned slot;
  IndexWord word;
};

/// A borrowed array of buckets. Small and copied into directories, so that a lookup reads no table object.
///
/// Every key lies in its primary bucket or, if the overflow count of that one says so, in its
/// secondary. To move, a key is published in the new place before it is cleared in the old, and the
/// version of its primary bucket grows in between.
/// Threads: any, inside a scope of the epoch domain or under the shard's lock.
class Buckets {
 public:
  Buckets(Positions positions, Bucket* buckets) noexcept : buckets_(buckets), positions_(positions) {}

  [[nodiscard]] const Positions& positions() const noexcept { return positions_; }
  [[nodiscard]] Bucket& operator[](std::uint64_t bucket) const noexcept { return buckets_[bucket]; }

  void prefetch(std::uint64_t rest) const noexcept {
    __builtin_prefetch(&buckets_[positions_.bucket_of(rest, BucketRole::kPrimary)]);
  }

  /// The first location with the key's tag that `match` accepts; on a miss, `probe` says if it counts.
  template <class Match>
  std::optional<Location> find(std::uint64_t rest, Match& match, ProbeState& probe) const
      noexcept(noexcept(match(Location{}))) {
    const std::uint64_t tag = Positions::tag_of_rest(rest);
    Bucket& primary = buckets_[positions_.bucket_of(rest, BucketRole::kPrimary)];
    const BucketControl before = primary.control().load(std::memory_order_acquire);
    if (auto hit = scan(primary, probe_bits(tag, BucketRole::kPrimary), match, probe)) return hit;
    if (overflow_of(before) != 0) {
      Bucket& secondary = buckets_[positions_.bucket_of(rest, BucketRole::kSecondary)];
      if (auto hit = scan(secondary, probe_bits(tag, BucketRole::kSecondary), match, probe)) return hit;
    }
    // The acquire loads above keep this one behind them.
    const BucketControl after = primary.control().load(std::memory_order_relaxed);
    if (version_of(after) != version_of(before)) probe = ProbeState::kDisturbed;
    return std::nullopt;
  }

  /// The first location with the key's tag in its primary bucket. If there is none, the secondary is
  /// prefetched where the key may lie there.
  [[nodiscard]] std::optional<Location> peek(std::uint64_t rest) const noexcept {
    Bucket& primary = buckets_[positions_.bucket_of(rest, BucketRole::kPrimary)];
    const IndexWord wanted = probe_bits(Positions::tag_of_rest(rest), BucketRole::kPrimary);
    ProbeState probe = ProbeState::kSettled;
    auto any = [](Location) noexcept { return true; };
    auto candidate = scan(primary, wanted, any, probe);
    if (!candidate && overflow_of(primary.control().load(std::memory_order_relaxed)) != 0) {
      __builtin_prefetch(&buckets_[positions_.bucket_of(rest, BucketRole::kSecondary)]);
    }
    return candidate;
  }

  /// Where exactly this entry lies. A moving entry may escape; not from the holder of the lock.
  [[nodiscard]] std::optional<SeenEntry> see(std::uint64_t rest, Location location) const noexcept;

  /// Adds one to the frequency by a single attempt.
  void touch(std::uint64_t rest, Location location) const noexcept;
  /// False if the entry is not seen.
  bool set_frequency(std::uint64_t rest, Location location, std::uint32_t frequency) const noexcept;
  [[nodiscard]] std::uint32_t frequency(std::uint64_t rest, Location location) const noexcept;

 private:
  /// A bit for each slot that looks right.
  static unsigned candidates(Bucket& bucket, IndexWord wanted) noexcept {
    unsigned found = 0;
    // Without branches: where a key lies cannot be predicted.
#pragma GCC unroll 7
    for (unsigned slot = kBucketSlots; slot-- > 0;) {
      const IndexWord word = bucket.at(slot).load(std::memory_order_acquire);
      found += found + static_cast<unsigned>(matches_probe(word, wanted));
    }
    return found;
  }

  template <class Match>
  static std::optional<Location> scan(Bucket& bucket, IndexWord wanted, Match& match,
                                      ProbeState& probe) noexcept(noexcept(match(Location{}))) {
    for (unsigned found = candidates(bucket, wanted); found != 0; found &= found - 1) {
      const auto place = bucket.at(static_cast<unsigned>(std::countr_zero(found)));
      const IndexWord word = place.load(std::memory_order_acquire);
      if (matches_probe(word, wanted)) {
        if (word == 0) continue;  // an empty slot looks like tag 0
        if (match(location_of(word))) return location_of(word);
        const IndexWord now = place.load(std::memory_order_acquire);
        if (((now ^ word) & ~kFrequencyMask) == 0) continue;
      }
      probe = ProbeState::kDisturbed;
    }
    return std::nullopt;
  }

  Bucket* buckets_;
  Positions positions_;
};
static_assert(sizeof(Buckets) == 16);

}  // namespace vectolith::engine
