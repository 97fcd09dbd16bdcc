/// @file
/// Draws or reads the seed of a random test.
#include "support/random_seed.h"

#include <cstdlib>
#include <iostream>
#include <random>

namespace vectolith::testing {

std::uint64_t random_seed() {
  const char* given = std::getenv("VECTOLITH_SEED");
  std::random_device device;
  const std::uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 0) : (std::uint64_t{device()} << 32 | device());
  std::cout << "repeat with VECTOLITH_SEED=" << seed << '\n';
  return seed;
}

}  // namespace vectolith::testing
