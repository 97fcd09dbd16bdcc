/// @file
/// Asynchronous reads: requests of many rows, slots at the device, completions.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <memory_resource>
#include <unordered_map>
#include <utility>
#include <vector>

#include <vectolith/async.h>
#include <vectolith/format/key.h>

#include "io/environment.h"
#include "store/cold_reads.h"
#include "store/read_path.h"
#include "store/store_impl.h"

namespace vectolith::engine {

/// The queue behind the public ReadQueue. A row goes through a buffer of ours, so that a request may end
/// while the device still works for it.
class AsyncReads {
 public:
  /// Errors: kIo, kInvalidArgument for a depth out of range.
  static Result<std::unique_ptr<AsyncReads>> make(std::shared_ptr<StoreImpl> store,
                                                  const ReadQueueOptions& options);
  AsyncReads(std::shared_ptr<StoreImpl> store, const ReadQueueOptions& options,
             std::unique_ptr<IoQueue> queue);
  ~AsyncReads();
  AsyncReads(const AsyncReads&) = delete;
  AsyncReads& operator=(const AsyncReads&) = delete;

  /// Shapes: `matrix` has a row, and `found` a flag, for each key. Errors: kClosed, kWrongFamily, kBusy,
  /// kNoMemory; then no completion comes.
  Result<void> submit(FamilyState& family, std::span<const Key> keys, std::span<std::byte> matrix,
                      std::span<bool> found, std::uint64_t tag, const AsyncReadOptions& options);
  std::size_t poll(std::span<ReadCompletion> completions) noexcept;
  std::size_t wait(std::span<ReadCompletion> completions, std::chrono::nanoseconds timeout) noexcept;
  Result<int> event_fd() { return queue_->event_fd(); }
  std::size_t cancel(std::uint64_t tag) noexcept;
  [[nodiscard]] std::size_t pending() const noexcept { return active_.size() + ready_.size(); }

 private:
  /// One call of the caller's.
  struct Request {
    std::uint64_t tag;
    std::byte* matrix;
    bool* found;
    std::size_t row_bytes;
    std::size_t keys;
    std::uint64_t deadline_ns;  ///< 0: none.
    std::size_t left = 0;       ///< Rows that are not read yet.
    std::size_t hits = 0;
    std::optional<Error> error{};
    std::list<ReadCompletion> completion{1};  ///< Made at the start: an end needs no memory.
    bool has_ended = false;
  };
  using RequestPtr = std::shared_ptr<Request>;
  /// A row of a request that must be read.
  struct Row {
    RequestPtr request;
    std::size_t index = 0;
    std::shared_ptr<MappedSegment> segment;
    std::uint32_t row = 0;
    OpenMode mode{};
  };
  /// Room for one row at the device.
  struct Slot {
    Row row;
    IoOperation::Buffer buffer{};
    std::size_t head = 0;
    std::span<std::byte> memory = {};
    bool busy = false;
  };

  /// Answers the key at once, or adds a row to be read.
  void look_up(const ReadPath& reads, const FamilyState& family, std::uint64_t hash, const Key& key,
               std::size_t index, const RequestPtr& request, Durability min_durability);
  [[nodiscard]] std::uint64_t deadline_after(std::chrono::nanoseconds timeout) const;
  // None of these fails for want of memory: a request that was taken ends.
  void send_waiting() noexcept;
  bool send(std::uint32_t slot) noexcept;
  Result<void> prepare(Slot& slot, IoOperation& operation);
  void take_done() noexcept;
  Result<void> settle(Slot& slot, const IoOperation& operation);
  void row_failed(Request& request, Error error) noexcept;
  void row_ended(const RequestPtr& request) noexcept;
  void complete(Request& request, std::optional<Error> error) noexcept;
  void end_overdue() noexcept;
  void forget(const Request& request) noexcept;

  std::shared_ptr<StoreImpl> store_;
  std::size_t keys_pending_max_;
  std::size_t keys_pending_ = 0;
  std::unordered_multimap<std::uint64_t, RequestPtr> active_;  ///< By tag.
  std::multimap<std::uint64_t, RequestPtr> deadlines_;
  std::deque<Row> waiting_;  ///< For a slot.
  std::list<ReadCompletion> ready_;
  std::vector<Slot> slots_;
  std::vector<IoOperation> operations_;  ///< One for each slot.
  std::vector<std::uint32_t> free_;
  std::vector<std::uint32_t> busy_;
  std::vector<std::uint32_t> sent_;  ///< By the `send_waiting` under way.
  std::unique_ptr<IoQueue> queue_;   ///< Last, so that it waits for the device before the buffers go.
};

}  // namespace vectolith::engine
