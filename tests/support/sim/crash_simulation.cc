/// @file
/// Lives and deaths of the processes of a run, and what is checked between them.
#include "support/sim/crash_simulation.h"

#include "support/sim/sim_checks.h"
#include "support/sim/sim_damage.h"
#include "support/sim/sim_life.h"
#include "support/sim/sim_model.h"
#include "support/sim/sim_oracle.h"
#include "support/sim/sim_work.h"

namespace vectolith::testing::sim {
namespace {

class Simulation {
 public:
  Simulation(const Choices& choices, bool tell_story) : run_(choices, tell_story) {}

  SimResult run() {
    SimResult result;
    try {
      const std::uint64_t rounds = 1 + run_.choices.below(5);
      for (std::uint64_t round = 0; round < rounds && !run_.choices.is_spent(); ++round) live_and_die();
      final_check();
    } catch (const Violation& violation) {
      result.violation = violation.what();
    }
    result.counts = run_.counts;
    result.trace_hash = life_.trace_hash();
    result.story = run_.story.text();
    return result;
  }

 private:
  void live_and_die() {
    auto& choices = run_.choices;
    life_.start();
    const bool dies_in_recovery = choices.one_in(3);
    life_.plan_death(dies_in_recovery ? choices.below(160)
                                      : choices.below(std::uint64_t{8} << choices.below(9)));
    if (life_.open()) {
      if (checks_.check_all()) work_.work();
    } else if (!life_.is_dead()) {
      return bury(false);
    }
    if (life_.is_dead()) return crash();
    if (choices.one_in(3) && work_.close()) return bury(true);
    if (!life_.is_dead()) life_.die();
    crash();
  }

  /// The process is gone; the next one finds what it left.
  void crash() {
    const bool power = run_.choices.below(100) < run_.profile.power_percent;
    run_.story.tell(power ? "power cut" : "killed");
    end_process();
    if (!power) {
      ++run_.counts.states;
      return;
    }
    cut_power();
    ++run_.counts.power_cuts;
    if (run_.profile.repeat_recovery) check_recovery_repeats(run_.disk, run_.choices.noise());
  }
  void cut_power() {
    run_.choices.stir();
    run_.disk.power_cut(run_.choices.noise());
    oracle_.lose_buffered();
    ++run_.counts.states;
  }
  void bury(bool was_closed) {
    run_.story.tell(was_closed ? "closed" : "given up");
    end_process();
    if (was_closed) oracle_.make_durable();
  }
  void end_process() {
    work_.forget_pending();
    oracle_.forget_handles();
    life_.end();
    if (!run_.choices.one_in(4)) return;
    bool is_lost = false;
    for (auto& [name, inode] : run_.disk.files(kSimPath)) is_lost = run_.disk.evict_lost(*inode) || is_lost;
    // The device refused rows, and the process died before it could save them elsewhere.
    if (is_lost) oracle_.lose_buffered();
  }

  /// A last open without faults; a clean close; fsck; perhaps a damaged sector, and what is said of it.
  void final_check() {
    run_.profile.error_one_in = 0;
    run_.profile.cut_one_in = 0;
    run_.disk.set_capacity(kNoLimitBytes);
    life_.start();
    if (!life_.open()) throw Violation("the last open failed");
    checks_.check_all();
    const bool is_clean = run_.choices.one_in(2);
    if (is_clean) {
      if (!work_.close()) throw Violation("the last close failed");
      oracle_.make_durable();
      check_by_fsck(life_.process());
    } else {
      life_.die();
    }
    end_process();
    if (!is_clean) cut_power();
    if (run_.profile.with_damage) damage_and_check(is_clean);
  }
  void damage_and_check(bool was_closed) {
    run_.choices.stir();
    run_.excuse = damage_something(run_.disk, kSimPath, run_.choices.noise(), was_closed);
    if (run_.excuse.what.empty()) return;
    run_.story.tell("damage: ", run_.excuse.what);
    ++run_.counts.damages;
    life_.start();
    if (!life_.open()) return;
    checks_.check_all();
    life_.die();
    end_process();
  }

  SimRun run_;
  SimLife life_{run_};
  SimOracle oracle_{run_, life_};
  SimChecks checks_{run_, life_, oracle_};
  SimWork work_{run_, life_, oracle_, checks_};
};

}  // namespace

SimCounts& SimCounts::operator+=(const SimCounts& other) {
  states += other.states;
  power_cuts += other.power_cuts;
  double_crashes += other.double_crashes;
  torn_writes += other.torn_writes;
  io_errors += other.io_errors;
  damages += other.damages;
  operations += other.operations;
  opens += other.opens;
  return *this;
}

SimResult simulate(const Choices& choices, bool tell_story) { return Simulation(choices, tell_story).run(); }

}  // namespace vectolith::testing::sim
