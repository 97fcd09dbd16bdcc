/// @file
/// The sentences of the contract that hold after every crash, as checks that throw Violation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "support/sim/sim_life.h"
#include "support/sim/sim_oracle.h"
#include "support/sim/sim_run.h"

namespace vectolith::testing::sim {

/// Nothing acknowledged is lost, nothing is there that never was, batches are whole.
class SimChecks {
 public:
  SimChecks(SimRun& run, SimLife& life, SimOracle& oracle) : run_(run), life_(life), oracle_(oracle) {}

  /// Holds every key of every family against the oracle, and settles what was in doubt. False if the
  /// process died meanwhile, or if a fault kept it from reading.
  bool check_all();

 private:
  /// Of each key the step that it was found to show.
  using FoundSteps = std::map<std::uint64_t, std::size_t>;

  bool check_family(FamilyModel& family);
  std::size_t found_step(const FamilyModel& family, std::uint64_t key, const Found& found);
  void probe(FamilyModel& family);
  void check_batches();
  void settle_all();

  SimRun& run_;
  SimLife& life_;
  SimOracle& oracle_;
  std::map<std::string, FoundSteps> found_;
};

/// fsck finds nothing wrong with a store that was closed.
void check_by_fsck(const std::shared_ptr<SimEnvironment>& process);

/// Recovers a copy of the disk in one go, and another with a power cut inside: the two must show the same.
/// Precondition: power just went.
void check_recovery_repeats(const SimDisk& disk, Random& random);

}  // namespace vectolith::testing::sim
