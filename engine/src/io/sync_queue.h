/// @file
/// The queue over plain system calls, for places where io_uring is forbidden.
#pragma once

#include <vector>

#include "io/environment.h"
#include "io/io_counter_cells.h"
#include "io/operation_chain.h"

namespace vectolith::engine {

/// Reads and writes run during `submit`, up to the first data sync of their group. Data syncs run in the
/// next `wait` or `poll` (which therefore block), so that a caller sees its writes done before the
/// barrier, as it would with io_uring; those of different files run side by side.
class SyncQueue final : public IoQueue {
 public:
  /// Lifetime: `cells` outlives the queue.
  explicit SyncQueue(IoCounterCells& cells) noexcept : cells_(cells) {}
  /// Runs what is still waiting: submitted operations always end.
  ~SyncQueue() override;
  SyncQueue(const SyncQueue&) = delete;
  SyncQueue& operator=(const SyncQueue&) = delete;

  void reserve(std::size_t count) override;
  Result<void> submit(std::span<IoOperation> operations) override;
  Result<void> wait(const IoOperation& operation) override;
  std::size_t poll() override;
  [[nodiscard]] std::size_t in_flight() const noexcept override { return in_flight_; }

 private:
  /// One fdatasync per file, however many operations ask for it: all their writes have completed, so one
  /// barrier serves them, and a failure must reach each of them (a second call would report success).
  struct FileSync {
    const PosixFile* file;
    int error;
  };

  /// Runs the chain up to its end or its next data sync.
  void advance(OperationChain chain);
  void run_waiting_syncs();

  IoCounterCells& cells_;
  std::vector<OperationChain> waiting_;  ///< Chains whose head is a data sync.
  std::vector<OperationChain> running_;  ///< Those whose sync runs now.
  std::vector<FileSync> syncs_;
  std::size_t in_flight_ = 0;
};

}  // namespace vectolith::engine
