/// @file
/// What a run asked its store to hold: the families, their keys, their open handles, and the batches.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "support/sim/sim_life.h"
#include "support/sim/sim_model.h"
#include "support/sim/sim_run.h"

namespace vectolith::testing::sim {

class SimOracle {
 public:
  /// Draws the families; none of them exists yet.
  SimOracle(SimRun& run, SimLife& life);

  [[nodiscard]] std::vector<FamilyModel>& families() noexcept { return families_; }
  [[nodiscard]] FamilyModel& draw_family();
  [[nodiscard]] std::size_t index_of(const FamilyModel& family) const;
  /// Opens the family, or makes it. False if the process died or a fault explains the failure.
  bool open_family(FamilyModel& family);
  /// Throws Violation if the store shows a family that was dropped.
  void expect_absent(const FamilyModel& family);
  void forget_handles();
  /// Batches since the last open.
  [[nodiscard]] std::vector<BatchModel>& batches() noexcept { return batches_; }

  template <class Visit>
  void for_each_history(const Visit& visit) {
    for (auto& family : families_) {
      for (auto& [key, history] : family.keys) visit(history);
    }
  }
  /// Everything acknowledged is durable; or what is not durable may be gone.
  void make_durable() {
    for_each_history([](KeyHistory& history) { history.make_durable(); });
  }
  void lose_buffered() {
    for_each_history([](KeyHistory& history) { history.lose_buffered(); });
  }

 private:
  [[nodiscard]] bool is_listed(const FamilyModel& family);

  SimRun& run_;
  SimLife& life_;
  std::vector<FamilyModel> families_;
  std::vector<BatchModel> batches_;
  std::uint64_t numbers_ = 0;
};

}  // namespace vectolith::testing::sim
