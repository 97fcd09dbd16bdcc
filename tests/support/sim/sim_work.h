/// @file
/// What a run does with its store, and what the oracle says to each answer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "support/sim/sim_checks.h"
#include "support/sim/sim_life.h"
#include "support/sim/sim_oracle.h"
#include "support/sim/sim_run.h"

namespace vectolith::testing::sim {

class SimWork {
 public:
  SimWork(SimRun& run, SimLife& life, SimOracle& oracle, SimChecks& checks);
  ~SimWork();
  SimWork(const SimWork&) = delete;
  SimWork& operator=(const SimWork&) = delete;

  /// A drawn number of operations, or fewer if the process dies.
  void work();
  /// As SimLife::close(), after the answers to all puts that are pending.
  bool close();
  /// Puts that are pending are never answered: the process is gone.
  void forget_pending();

 private:
  /// What the oracle wrote down before a key was put, and needs when the answer comes.
  struct Asked {
    std::uint64_t key;
    std::size_t step;
    bool stores;  ///< The put is one that stores: the key was free, or is to be replaced.
  };
  struct Pending {
    PendingPut put;
    std::size_t family;
    Asked asked;
    bool durable;
  };

  void one_operation(FamilyModel& family);
  void intern_many();
  void put(FamilyModel& family);
  void put_batch(FamilyModel& family, std::uint64_t count);
  void erase(FamilyModel& family);
  void sync();
  void drop_family(FamilyModel& family);
  void reopen();
  void finish_pending();
  void read_one(FamilyModel& family);
  void read_key(const FamilyModel& family, std::uint64_t key, KeyHistory& history, bool durable_only);
  void look_around();

  [[nodiscard]] WriteOptions draw_options();
  [[nodiscard]] Durability draw_level();
  [[nodiscard]] std::vector<std::uint64_t> draw_batch_keys(FamilyModel& family, std::uint64_t count);
  [[nodiscard]] Asked ask(FamilyModel& family, std::uint64_t key, std::uint64_t version, bool replace,
                          std::uint64_t batch = 0);
  void settle_batch(FamilyModel& family, std::span<const Asked> asked, bool durable,
                    const Result<std::vector<PutResult>>& done);
  void settle_put(FamilyModel& family, const Asked& asked, bool durable, const PutResult& put);
  void settle_pending(std::vector<Pending> pending);
  void refuse(FamilyModel& family, std::span<const Asked> asked, const Error& error);
  void note_sequence(Sequence sequence);

  SimRun& run_;
  SimLife& life_;
  SimOracle& oracle_;
  SimChecks& checks_;
  std::vector<Pending> pending_;
  std::uint64_t versions_ = 0;
  std::uint64_t names_ = 0;
  std::uint64_t highest_sequence_ = 0;
};

}  // namespace vectolith::testing::sim
