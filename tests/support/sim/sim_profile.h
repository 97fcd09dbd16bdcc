/// @file
/// What a run of the crash campaign is like: how much of what, and which faults.
#pragma once

#include <cstdint>

#include "support/sim/sim_choices.h"

namespace vectolith::testing::sim {

/// How the runs of a campaign differ; each run draws its own (swarm testing).
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

SimProfile draw_profile(Choices& choices);

}  // namespace vectolith::testing::sim
