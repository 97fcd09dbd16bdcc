/// @file
/// The seed of a random test: fresh for every run, printed, and repeatable through VECTOLITH_SEED.
#pragma once

#include <cstdint>

namespace vectolith::testing {

/// The value of VECTOLITH_SEED if it is set, else a fresh random one. Prints it, so that a failure
/// can be repeated.
std::uint64_t random_seed();

}  // namespace vectolith::testing
