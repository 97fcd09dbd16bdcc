/// @file
/// The 8-byte entry of the index and the control word of its buckets, packed and unpacked.
#pragma once

#include <cstdint>

namespace vectolith::engine {

/// Where a row lives: a run-time ordinal of its segment, and the row in it.
struct Location {
  std::uint32_t ordinal;  ///< At most kOrdinalMax.
  std::uint32_t row;      ///< At most kRowMax.
  friend constexpr bool operator==(const Location&, const Location&) noexcept = default;
};

inline constexpr std::uint32_t kOrdinalMax = (1U << 20) - 3;  ///< Stored plus one, so that no entry is zero.
inline constexpr std::uint32_t kRowMax = (1U << 20) - 1;
/// What a reserved slot holds: the place of no row.
inline constexpr Location kReservedLocation{.ordinal = kOrdinalMax + 1, .row = kRowMax};
inline constexpr std::uint32_t kFrequencyMax = 3;

/// Which of its two buckets an entry lies in.
enum class BucketRole : std::uint8_t { kPrimary = 0, kSecondary = 1 };

constexpr BucketRole opposite(BucketRole role) noexcept {
  return role == BucketRole::kPrimary ? BucketRole::kSecondary : BucketRole::kPrimary;
}

/// An entry: tag 18 | spare 3 (zero) | secondary 1 | frequency 2 | ordinal + 1: 20 | row 20. Zero is empty.
using IndexWord = std::uint64_t;

inline constexpr unsigned kTagBits = 18;
inline constexpr unsigned kOrdinalShift = 20;
inline constexpr unsigned kFrequencyShift = 40;
inline constexpr unsigned kRoleShift = 42;
inline constexpr unsigned kTagShift = 46;
inline constexpr IndexWord kFrequencyOne = IndexWord{1} << kFrequencyShift;
inline constexpr IndexWord kFrequencyMask = IndexWord{kFrequencyMax} << kFrequencyShift;
inline constexpr IndexWord kLocationMask = (IndexWord{1} << kFrequencyShift) - 1;

constexpr IndexWord location_bits(Location location) noexcept {
  return (IndexWord{location.ordinal + 1} << kOrdinalShift) | location.row;
}
/// The bits above the frequency: what an entry of this tag and role must show.
constexpr IndexWord probe_bits(std::uint64_t tag, BucketRole role) noexcept {
  return (tag << kTagShift) | (IndexWord{static_cast<std::uint8_t>(role)} << kRoleShift);
}
constexpr bool matches_probe(IndexWord word, IndexWord probe) noexcept {
  return (word ^ probe) < (IndexWord{1} << kRoleShift);
}
constexpr IndexWord make_word(std::uint64_t tag, BucketRole role, std::uint32_t frequency,
                              Location location) noexcept {
  return probe_bits(tag, role) | (IndexWord{frequency} << kFrequencyShift) | location_bits(location);
}
constexpr std::uint64_t tag_of(IndexWord word) noexcept { return word >> kTagShift; }
constexpr BucketRole role_of(IndexWord word) noexcept {
  return static_cast<BucketRole>((word >> kRoleShift) & 1U);
}
constexpr std::uint32_t frequency_of(IndexWord word) noexcept {
  return static_cast<std::uint32_t>((word & kFrequencyMask) >> kFrequencyShift);
}
constexpr Location location_of(IndexWord word) noexcept {
  return {.ordinal = static_cast<std::uint32_t>((word >> kOrdinalShift) & kRowMax) - 1,
          .row = static_cast<std::uint32_t>(word & kRowMax)};
}

inline constexpr unsigned kBucketSlots = 7;

/// A bucket's eighth word: version 18 | overflow 4 | 7 times 6 extra hash bits, one field per slot.
///
/// *Overflow* counts the keys of this (primary) bucket that lie in their secondary one, so that a miss
/// usually reads one cache line; it sticks at its maximum. *Version* grows when a key of this primary
/// bucket moves from one of its buckets to the other.
using BucketControl = std::uint64_t;

inline constexpr unsigned kExtraBits = 6;
inline constexpr unsigned kOverflowShift = kBucketSlots * kExtraBits;
inline constexpr unsigned kVersionShift = kOverflowShift + 4;
inline constexpr std::uint64_t kOverflowMax = 15;
inline constexpr std::uint64_t kExtraMask = (1U << kExtraBits) - 1;

constexpr std::uint64_t extra_of(BucketControl control, unsigned slot) noexcept {
  return (control >> (slot * kExtraBits)) & kExtraMask;
}
constexpr BucketControl with_extra(BucketControl control, unsigned slot, std::uint64_t extra) noexcept {
  const unsigned shift = slot * kExtraBits;
  return (control & ~(kExtraMask << shift)) | (extra << shift);
}
constexpr std::uint64_t overflow_of(BucketControl control) noexcept {
  return (control >> kOverflowShift) & kOverflowMax;
}
constexpr std::uint64_t version_of(BucketControl control) noexcept { return control >> kVersionShift; }
constexpr BucketControl with_next_version(BucketControl control) noexcept {
  return control + (BucketControl{1} << kVersionShift);
}
/// One more key overflowed. At the maximum the count is no longer known and stays.
constexpr BucketControl with_overflow_added(BucketControl control) noexcept {
  return overflow_of(control) == kOverflowMax ? control : control + (BucketControl{1} << kOverflowShift);
}
constexpr BucketControl with_overflow_removed(BucketControl control) noexcept {
  return overflow_of(control) == kOverflowMax ? control : control - (BucketControl{1} << kOverflowShift);
}

}  // namespace vectolith::engine
