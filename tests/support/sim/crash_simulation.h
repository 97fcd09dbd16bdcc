/// @file
/// One run of the crash campaign: a store on a simulated disk, random work, crashes, and the contract.
#pragma once

#include <cstdint>
#include <string>

#include "support/sim/sim_choices.h"
#include "support/sim/sim_run.h"

namespace vectolith::testing::sim {

/// The outcome of a run. `violation` is empty if the contract held.
struct SimResult {
  SimCounts counts;
  std::uint64_t trace_hash = 0;  ///< Equal for equal choices.
  std::string violation;
  std::string story;  ///< What was done, if it was asked for.
};

/// Runs the simulation that the choices make. Threads: one at a time in a process.
SimResult simulate(const Choices& choices, bool tell_story = false);
inline SimResult simulate(std::uint64_t seed, bool tell_story = false) {
  return simulate(Choices(seed), tell_story);
}

}  // namespace vectolith::testing::sim
