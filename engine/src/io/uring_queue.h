/// @file
/// The queue over io_uring: reads and data syncs on the ring, page cache writes beside it.
#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <optional>
#include <vector>

#include <liburing.h>
#include <sys/types.h>

#include "io/environment.h"
#include "io/io_counter_cells.h"
#include "io/operation_chain.h"
#include "io/unique_fd.h"

namespace vectolith::engine {

/// Writes run by pwritev when their turn in the group comes (decision 0003: through the ring they cost 3 to
/// 25 times as much), so a data sync reaches the ring only after the completion of the writes before it.
/// No operation on the ring is linked to another there: the order of a group is kept here.
class UringQueue final : public IoQueue {
 public:
  /// Errors: kIo with the errno of io_uring_setup; see uring_probe.h for what it means.
  /// Lifetime: `cells` outlives the queue.
  static Result<std::unique_ptr<IoQueue>> make(std::uint32_t depth, IoCounterCells& cells);

  explicit UringQueue(IoCounterCells& cells) noexcept : cells_(cells) {}
  /// Waits for everything in flight: a write that outlives us could land in a file that has a new life.
  ~UringQueue() override;
  UringQueue(const UringQueue&) = delete;
  UringQueue& operator=(const UringQueue&) = delete;

  void reserve(std::size_t count) override;
  Result<void> submit(std::span<IoOperation> operations) override;
  Result<void> wait(const IoOperation& operation) override;
  std::size_t poll() override;
  std::size_t wait_some(std::chrono::nanoseconds timeout) override;
  Result<int> event_fd() override;
  void notify() noexcept override;
  [[nodiscard]] std::size_t in_flight() const noexcept override { return in_flight_; }

 private:
  enum class SlotState : std::uint8_t { kFree, kPrepared, kSubmitted };

  /// One request on the ring. The generation tells a completion of this use from one of an earlier use.
  struct Slot {
    OperationChain chain;
    std::uint32_t generation = 0;
    SlotState state = SlotState::kFree;
    std::uint64_t started_ns = 0;
  };

  /// Whether all there is to do is one data sync, which then waits for `wait`: the ring hands syncs to a
  /// thread of the kernel, and where nothing runs beside, that costs two wake-ups for nothing.
  [[nodiscard]] bool has_lone_sync() const noexcept;
  void run_lone_sync();
  int open_ring(std::uint32_t depth);
  /// Whether the queue can be used. It can't in a forked child, which lets go of it here.
  bool check_usable();
  void leave_to_parent();
  /// Runs the chain up to its end or to an operation for the ring.
  void advance(OperationChain chain);
  void make_ready(OperationChain chain, std::list<OperationChain>::const_iterator before) noexcept;
  /// Moves ready chains onto the ring, as far as there is room.
  void fill_ring();
  bool prepare(OperationChain chain);
  /// Hands prepared requests to the kernel, then takes completions that are there.
  void push();
  void note_consumed();
  /// Waits for a completion; for ever without a timeout. False when none came.
  bool wait_for_completion(std::optional<std::chrono::nanoseconds> timeout = std::nullopt);
  void reap();
  void complete(const io_uring_cqe& completion);
  void complete_sync(OperationChain chain, const Slot& slot, int result);
  void complete_read(OperationChain chain, int result);
  void end_head(OperationChain& chain, int error);
  /// Ends every operation with an error, after the kernel let go of the buffers. Final.
  void break_down(int system_errno, std::string_view action);
  void abandon_unsubmitted();

  IoCounterCells& cells_;
  io_uring ring_{};
  bool ring_open_ = false;
  UniqueFd event_fd_;  ///< Made when somebody asks for it.
  pid_t owner_ = 0;    ///< The process whose memory the ring serves.
  std::optional<Error> broken_;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_slots_;
  std::vector<std::uint32_t> prepared_;  ///< Slots in the submission queue, in its order.
  std::list<OperationChain> ready_;      ///< Chains whose head waits for a slot.
  std::list<OperationChain> spare_;      ///< Nodes for `ready_`.
  std::size_t on_ring_ = 0;              ///< Slots that the kernel has.
  std::size_t in_flight_ = 0;
};

}  // namespace vectolith::engine
