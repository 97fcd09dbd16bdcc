/// @file
/// What the calls of a process meet: its death, errors, transfers cut short.
#pragma once

#include <cstdint>
#include <optional>

#include "support/sim/sim_environment.h"
#include "support/sim/sim_run.h"

namespace vectolith::testing::sim {

class SimFaults {
 public:
  explicit SimFaults(SimRun& run) : run_(run) {}

  /// The next process meets no death, unless one is planned.
  void plan_no_death();
  /// The next process dies in its call number `after`, or in a rare one, where order matters.
  void plan_death(std::uint64_t after);
  /// Whether calls fail from now on is drawn anew, if the run's profile has errors.
  void draw_errors();
  void stop_errors() { with_errors_ = false; }
  void forget_errors() { had_errors_ = false; }
  /// An error was injected since forget_errors().
  [[nodiscard]] bool had_errors() const noexcept { return had_errors_; }

  Outcome decide(const Call& call, bool is_open);

 private:
  [[nodiscard]] bool is_aimed_at(const Call& call);
  std::optional<Outcome> cut_transfer(const Call& call);
  std::optional<Outcome> fail(const Call& call);

  SimRun& run_;
  std::optional<std::uint64_t> dies_at_;
  std::optional<CallKind> aims_at_;
  std::uint64_t aims_left_ = 0;
  bool with_errors_ = false;
  bool had_errors_ = false;
};

}  // namespace vectolith::testing::sim
