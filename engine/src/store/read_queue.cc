/// @file
/// The public side of asynchronous reads.
#include <string>
#include <utility>

#include <vectolith/async.h>
#include <vectolith/store.h>

#include "no_memory.h"
#include "store/async_reads.h"

namespace vectolith {

ReadQueue::ReadQueue(std::unique_ptr<engine::AsyncReads> reads) noexcept : reads_(std::move(reads)) {}
ReadQueue::~ReadQueue() = default;

std::size_t ReadQueue::poll(std::span<ReadCompletion> completions) { return reads_->poll(completions); }
std::size_t ReadQueue::wait(std::span<ReadCompletion> completions, std::chrono::nanoseconds timeout) {
  return reads_->wait(completions, timeout);
}
Result<int> ReadQueue::event_fd() {
  return catch_no_memory([&]() -> Result<int> { return reads_->event_fd(); });
}
std::size_t ReadQueue::cancel(std::uint64_t tag) { return reads_->cancel(tag); }
std::size_t ReadQueue::pending() const noexcept { return reads_->pending(); }

Result<std::unique_ptr<ReadQueue>> Store::read_queue(const ReadQueueOptions& options) {
  return catch_no_memory([&]() -> Result<std::unique_ptr<ReadQueue>> {
    VECTOLITH_TRY_ASSIGN(auto reads, engine::AsyncReads::make(impl_, options));
    return std::unique_ptr<ReadQueue>(new ReadQueue(std::move(reads)));
  });
}

Result<void> Family::get_async(ReadQueue& queue, const Key& key, std::span<std::byte> out, std::uint64_t tag,
                               const AsyncReadOptions& options) const {
  return catch_no_memory([&]() -> Result<void> {
    if (out.size() != state_->row_bytes)
      return fail(ErrorCode::kInvalidArgument, "get_async needs " + std::to_string(state_->row_bytes) +
                                                   " bytes, not " + std::to_string(out.size()));
    return queue.reads_->submit(*state_, {&key, 1}, out, {}, tag, options);
  });
}

Result<void> Family::multi_get_async(ReadQueue& queue, std::span<const Key> keys, std::span<std::byte> matrix,
                                     std::span<bool> found, std::uint64_t tag,
                                     const AsyncReadOptions& options) const {
  return catch_no_memory([&]() -> Result<void> {
    if (found.size() != keys.size() || matrix.size() != keys.size() * state_->row_bytes)
      return fail(ErrorCode::kInvalidArgument, "multi_get_async needs one flag and one matrix row per key");
    return queue.reads_->submit(*state_, keys, matrix, found, tag, options);
  });
}

}  // namespace vectolith
