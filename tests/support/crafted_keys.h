/// @file
/// Keys that an attacker can make from what is public about XXH3, so that all share one sum.
#pragma once

#include <cstdint>
#include <vector>

#include <vectolith/format/key.h>

namespace vectolith::testing {

/// `count` keys, from number `first` on, whose 40 bytes all have one XXH3-64 under `seed` (0: unseeded).
///
/// XXH3 of 17 to 128 bytes adds up products of two input words, each xored with a word of the secret. Where
/// the second factor of the first product is zero, the first word of the digest does not count any more. The
/// default secret is public, and a seed is added to its even words and subtracted from its odd ones.
inline std::vector<Key> crafted_keys(std::size_t count, std::uint64_t seed, std::uint64_t first = 0) {
  constexpr std::uint64_t kSecondSecretWord = 0x1CAD'21F7'2C81'017C;
  std::vector<Key> keys(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t free_word = first + i;
    const std::uint64_t zero_factor = kSecondSecretWord - seed;
    for (std::size_t byte = 0; byte < 8; ++byte) {
      keys[i].digest.bytes[byte] = static_cast<std::byte>(free_word >> (8 * byte));
      keys[i].digest.bytes[8 + byte] = static_cast<std::byte>(zero_factor >> (8 * byte));
    }
  }
  return keys;
}

}  // namespace vectolith::testing
