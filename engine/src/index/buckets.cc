/// @file
/// Finding one known entry again, and changing its frequency beside the writer.
#include "index/buckets.h"

#include "planted_bug.h"

namespace vectolith::engine {

std::optional<SeenEntry> Buckets::see(std::uint64_t rest, Location location) const noexcept {
  const std::uint64_t tag = Positions::tag_of_rest(rest);
  for (const BucketRole role : {BucketRole::kPrimary, BucketRole::kSecondary}) {
    const std::uint64_t bucket = positions_.bucket_of(rest, role);
    const IndexWord wanted = make_word(tag, role, 0, location);
    for (unsigned slot = 0; slot < kBucketSlots; ++slot) {
      const IndexWord word = buckets_[bucket].at(slot).load(std::memory_order_acquire);
      if ((word & ~kFrequencyMask) == wanted) return SeenEntry{bucket, slot, word};
    }
    if (overflow_of(buckets_[bucket].control().load(std::memory_order_acquire)) == 0) break;
  }
  return std::nullopt;
}

void Buckets::touch(std::uint64_t rest, Location location) const noexcept {
  const auto seen = see(rest, location);
  if (!seen || frequency_of(seen->word) == kFrequencyMax) return;
  IndexWord expected = seen->word;
  if (is_planted(PlantedBug::kCounterStored)) {
    return buckets_[seen->bucket].at(seen->slot).store(expected + kFrequencyOne, std::memory_order_relaxed);
  }
  buckets_[seen->bucket]
      .at(seen->slot)
      .compare_exchange_strong(expected, expected + kFrequencyOne, std::memory_order_relaxed);
}

bool Buckets::set_frequency(std::uint64_t rest, Location location, std::uint32_t frequency) const noexcept {
  while (const auto seen = see(rest, location)) {
    const IndexWord wanted = (seen->word & ~kFrequencyMask) | (IndexWord{frequency} << kFrequencyShift);
    IndexWord expected = seen->word;
    if (buckets_[seen->bucket]
            .at(seen->slot)
            .compare_exchange_strong(expected, wanted, std::memory_order_relaxed)) {
      return true;
    }
  }
  return false;
}

std::uint32_t Buckets::frequency(std::uint64_t rest, Location location) const noexcept {
  const auto seen = see(rest, location);
  return seen ? frequency_of(seen->word) : 0;
}

}  // namespace vectolith::engine
