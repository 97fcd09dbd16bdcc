/// @file
/// One run of the crash campaign: a store on a simulated disk, random work, crashes, and the contract.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <vectolith/store.h>

#include "support/sim/key_history.h"
#include "support/sim/sim_environment.h"

namespace vectolith::testing::sim {

/// What a run did; added up over a campaign.
struct SimCounts {
  std::uint64_t states = 0;          ///< Crashes whose outcome was checked.
  std::uint64_t power_cuts = 0;      ///< Of these; the others are kills.
  std::uint64_t double_crashes = 0;  ///< Crashes inside a recovery.
  std::uint64_t torn_writes = 0;     ///< Crashes with a write under way.
  std::uint64_t io_errors = 0;       ///< Injected errors and cut transfers.
  std::uint64_t damages = 0;         ///< Sectors damaged behind the engine's back.
  std::uint64_t operations = 0;      ///< Calls of the store's API.
  std::uint64_t opens = 0;
  SimCounts& operator+=(const SimCounts& other);
};

/// The outcome of a run. `violation` is empty if the contract held.
struct SimResult {
  SimCounts counts;
  std::uint64_t trace_hash = 0;  ///< Equal for equal seeds.
  std::string violation;
  std::string story;  ///< What was done, if it was asked for or the contract broke.
};

/// How the runs of a campaign differ; each run draws its own from its seed (swarm testing).
struct SimProfile {
  std::uint64_t operations_max = 0;
  std::uint64_t segment_bytes = 0;
  std::uint64_t keys = 0;  ///< Per family.
  unsigned durable_percent = 0;
  unsigned replace_percent = 0;
  unsigned async_percent = 0;
  unsigned power_percent = 0;      ///< Crashes that are power cuts.
  std::uint64_t error_one_in = 0;  ///< Of the calls; 0: none.
  unsigned errors_hit = 0;  ///< 0: every call; 1: writes, barriers, preallocations; 2: barriers of segments.
  std::uint64_t cut_one_in = 0;  ///< Transfers that move less than asked; EINTR, too.
  std::uint64_t capacity_bytes = 0;
  std::uint64_t tear_bytes = 512;
  bool many_names = false;       ///< Interns so much that the manifest switches files.
  bool with_damage = false;      ///< Ends with a damaged sector.
  bool repeat_recovery = false;  ///< Runs each recovery twice, once with a crash inside.
};

/// Runs the simulation of `seed`. Threads: one at a time in a process.
SimResult simulate(std::uint64_t seed, bool tell_story = false);

}  // namespace vectolith::testing::sim
