/// @file
/// Reads side by side without io_uring: a few threads of the environment serve its read queues.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "io/environment.h"
#include "io/io_counter_cells.h"
#include "io/operation_chain.h"
#include "io/transfer.h"
#include "io/unique_fd.h"

namespace vectolith::engine {

/// Threads that run tasks in the order of their coming. They start with the tasks, up to a limit.
/// Threads: any. Lifetime: whoever gave a task waits for it before the pool ends.
class ReadThreads {
 public:
  /// Reads wait for the device, not for a core, so there may be more threads than cores.
  static constexpr std::size_t kThreadsMax = 16;

  ReadThreads() { threads_.reserve(kThreadsMax); }
  ReadThreads(const ReadThreads&) = delete;
  ReadThreads& operator=(const ReadThreads&) = delete;
  ~ReadThreads();

  /// Runs `task` on a thread of the pool; on the caller's if the system refuses every thread. Where memory is
  /// refused, std::bad_alloc: then it does not run.
  void run(std::function<void()> task);

 private:
  void serve();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> tasks_;
  std::vector<std::thread> threads_;
  std::size_t idle_ = 0;
  bool stopping_ = false;
};

/// A queue of reads that such threads carry out. Operations of other kinds are refused with EINVAL.
class PooledReadQueue final : public IoQueue {
 public:
  /// Lifetime: `threads` and `cells` outlive the queue.
  PooledReadQueue(ReadThreads& threads, IoCounterCells& cells) noexcept : threads_(threads), cells_(cells) {}
  /// Waits for everything in flight.
  ~PooledReadQueue() override;
  PooledReadQueue(const PooledReadQueue&) = delete;
  PooledReadQueue& operator=(const PooledReadQueue&) = delete;

  void reserve(std::size_t count) override;
  Result<void> submit(std::span<IoOperation> operations) override;
  Result<void> wait(const IoOperation& operation) override;
  std::size_t poll() override { return wait_some(std::chrono::nanoseconds(0)); }
  std::size_t wait_some(std::chrono::nanoseconds timeout) override;
  [[nodiscard]] std::size_t in_flight() const noexcept override { return in_flight_; }
  Result<int> event_fd() override;
  void notify() noexcept override;

 private:
  /// A transfer that a thread has ended and the owner has not yet heard of.
  struct Finished {
    OperationChain chain;
    Transfer transfer;
  };

  void start(OperationChain chain) noexcept;
  void read(OperationChain chain, int fd) noexcept;
  /// Ends what the threads are through with; returns how many operations became done.
  std::size_t take_finished() noexcept;

  ReadThreads& threads_;
  IoCounterCells& cells_;
  std::size_t in_flight_ = 0;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Finished> finished_;  ///< [mutex_] With room for all in flight.
  std::vector<Finished> taken_;     ///< What take_finished is at; the same room.
  UniqueFd event_fd_;               ///< [mutex_] Made when somebody asks for it.
};

}  // namespace vectolith::engine
