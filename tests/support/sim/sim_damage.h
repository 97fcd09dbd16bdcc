/// @file
/// Damage behind the engine's back: rot, zeroed, stale and misdirected sectors, and whom it may hit.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "support/sim/sim_disk.h"

namespace vectolith::testing::sim {

/// What may go wrong because of damage that was done; empty: nothing.
struct Excuse {
  std::string what;              ///< For the story.
  std::set<std::uint64_t> keys;  ///< May be missing, damaged or old.
  bool all = false;              ///< Every key may, if the engine reports damage.
  bool refusal = false;          ///< The store may refuse to open.
  bool must_be_told = false;     ///< What is missing must have been reported.
};

/// Damages one sector of one file of the store.
Excuse damage_something(SimDisk& disk, const std::string& directory, Random& random, bool was_closed);

}  // namespace vectolith::testing::sim
