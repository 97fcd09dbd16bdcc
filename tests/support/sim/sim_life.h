/// @file
/// The processes of a run, one after another, each with the store that it opens.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <vectolith/store.h>

#include "support/sim/sim_environment.h"
#include "support/sim/sim_faults.h"
#include "support/sim/sim_run.h"

namespace vectolith::testing::sim {

class SimLife {
 public:
  explicit SimLife(SimRun& run) : run_(run), faults_(run) {}

  void start();
  void plan_death(std::uint64_t after) { faults_.plan_death(after); }
  /// False if the process died, or if damage excuses a store that does not open.
  bool open();
  /// False if the process died, or if a fault explains the failure. The store is gone in either case.
  bool close();
  void die() { process_->die(); }
  /// The process is gone, and its memory with it. Precondition: nobody holds handles of its store.
  void end();

  [[nodiscard]] bool is_dead() const { return process_->is_dead(); }
  [[nodiscard]] Store& store() { return *store_; }
  [[nodiscard]] const std::shared_ptr<SimEnvironment>& process() const { return process_; }
  [[nodiscard]] std::uint64_t trace_hash() const noexcept { return trace_hash_; }

  // Since the store was opened:
  [[nodiscard]] bool had_errors() const noexcept { return faults_.had_errors(); }
  [[nodiscard]] bool told_of_damage() const noexcept { return told_.damage; }
  [[nodiscard]] bool told_of_lost_rows() const noexcept { return told_.lost_rows; }
  [[nodiscard]] bool is_read_only() const noexcept { return told_.read_only; }

  /// An operation failed: throws Violation unless the process died, a fault was injected or the disk is full.
  void demand_cause(const Error& error);

  /// Called while operations of a queue are under way, as another thread would run then. May throw Violation.
  std::function<void()> meanwhile;
  /// Throws what `meanwhile` threw: the engine, inside which it did, knows no exceptions.
  void throw_seen_meanwhile() const;

 private:
  struct Told {
    bool damage = false;
    bool lost_rows = false;
    bool read_only = false;
  };
  [[nodiscard]] Options options();
  void on_event(const Event& event);
  void look_meanwhile();

  SimRun& run_;
  SimFaults faults_;
  std::shared_ptr<SimEnvironment> process_;
  std::unique_ptr<Store> store_;
  bool is_open_ = false;
  Told told_;
  std::string seen_meanwhile_;
  std::uint64_t now_ns_ = 0;
  std::uint64_t trace_hash_ = 0;
};

}  // namespace vectolith::testing::sim
