/// @file
/// Reads for hosts with an event loop of their own: submitted at once, completed through a queue.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include <vectolith/format/result.h>
#include <vectolith/options.h>

namespace vectolith {

namespace engine {
class AsyncReads;
}

/// How to read asynchronously.
struct AsyncReadOptions {
  /// kDurable: rows that a power cut could still take back are misses.
  Durability min_durability = Durability::kBuffered;
  /// How long from now the caller is interested: later the read completes with kDeadlineExceeded. Looked at
  /// by `poll` and `wait`.
  std::optional<std::chrono::nanoseconds> timeout{};
};

/// What became of an asynchronous read.
struct ReadCompletion {
  std::uint64_t tag = 0;  ///< As it was submitted with.
  std::size_t hits = 0;   ///< Keys that were found and copied; 0 or 1 for a get.
  /// The first failure among its keys: kCancelled, kDeadlineExceeded, kCorruption, kIo. What was copied
  /// before it stays where it is.
  std::optional<Error> error;
};

struct ReadQueueOptions {
  std::uint32_t depth = 128;         ///< Rows at the device at a time. 1 to 4,096.
  std::size_t keys_pending = 4'096;  ///< Keys of reads not yet completed; more are refused with kBusy.
};

/// Takes the reads of `Family::get_async` and `multi_get_async`, and gives their completions back.
///
/// Rows known to be in memory are copied at once; others are read by io_uring, or by a few threads where it
/// is not available. Memory of the caller's is written by calls of this queue alone (submitting, `poll`,
/// `wait`), never behind their back: after a completion, a cancellation or the queue's end it is untouched.
/// The 64 bytes a row that a lookup compares are read through the mapping; pin them (`Family::place`)
/// where a page fault must not hold up the loop.
/// Threads:  one at a time. Lifetime: may outlive the store; submitting then returns kClosed.
class ReadQueue {
 public:
  ReadQueue(const ReadQueue&) = delete;
  ReadQueue& operator=(const ReadQueue&) = delete;
  /// Drops what is pending; its completions never come.
  ~ReadQueue();

  /// Moves completions that are there into `completions`, without waiting; returns how many.
  std::size_t poll(std::span<ReadCompletion> completions);
  /// As `poll`; waits for the first one, until `timeout` has passed or nothing is pending.
  std::size_t wait(std::span<ReadCompletion> completions, std::chrono::nanoseconds timeout);
  /// An eventfd, owned by the queue, that becomes readable when `poll` may find something; for epoll and
  /// its like. Read its 8 bytes, then poll until nothing comes. Errors: kIo.
  Result<int> event_fd();
  /// Completes every pending read with this tag as kCancelled; returns how many there were.
  std::size_t cancel(std::uint64_t tag);
  /// Reads submitted whose completions were not handed out.
  [[nodiscard]] std::size_t pending() const noexcept;

 private:
  friend class Store;
  friend class Family;
  explicit ReadQueue(std::unique_ptr<engine::AsyncReads> reads) noexcept;
  std::unique_ptr<engine::AsyncReads> reads_;
};

}  // namespace vectolith
