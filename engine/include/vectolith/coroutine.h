/// @file
/// Asynchronous reads for C++20 coroutines: `co_await read(queue, family, key, out)`.
#pragma once

#include <array>
#include <chrono>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include <vectolith/async.h>
#include <vectolith/format/result.h>
#include <vectolith/store.h>

namespace vectolith {

/// Suspends a coroutine until its read is through; `resume_reads` of the same queue goes on with it.
///
/// The tag of the read is the awaitable's address: a queue that coroutines use is to be driven by
/// `resume_reads` alone. Destroying the coroutine while it waits is not allowed; give it a timeout, or let
/// the queue end first.
class [[nodiscard]] AwaitedRead {
 public:
  AwaitedRead(ReadQueue& queue, const Family& family, std::span<const Key> keys, std::span<std::byte> matrix,
              std::span<bool> found, const AsyncReadOptions& options)
      : queue_(queue), family_(family), keys_(keys), matrix_(matrix), found_(found), options_(options) {}
  AwaitedRead(const AwaitedRead&) = delete;
  AwaitedRead& operator=(const AwaitedRead&) = delete;

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  /// Goes on at once if the read was refused.
  bool await_suspend(std::coroutine_handle<> waiting) {
    waiting_ = waiting;
    const auto tag = reinterpret_cast<std::uintptr_t>(this);
    const auto submitted = family_.multi_get_async(queue_, keys_, matrix_, found_, tag, options_);
    if (!submitted) completion_.error = submitted.error();
    return submitted.has_value();
  }
  /// How many keys were found. Errors: those of multi_get_async and of ReadCompletion.
  Result<std::size_t> await_resume() {
    if (completion_.error) return std::unexpected(*std::move(completion_.error));
    return completion_.hits;
  }

 private:
  friend std::size_t resume_reads(ReadQueue& queue, std::chrono::nanoseconds timeout);
  static void resume(ReadCompletion completion) {
    auto* const read = reinterpret_cast<AwaitedRead*>(static_cast<std::uintptr_t>(completion.tag));
    read->completion_ = std::move(completion);
    read->waiting_.resume();
  }

  ReadQueue& queue_;
  const Family& family_;
  std::span<const Key> keys_;
  std::span<std::byte> matrix_;
  std::span<bool> found_;
  AsyncReadOptions options_;
  std::coroutine_handle<> waiting_;
  ReadCompletion completion_;
};

/// `co_await` gives Result<std::size_t>: how many keys were found. Shapes and lifetimes: as multi_get_async;
/// all of them live until the coroutine goes on.
inline AwaitedRead read(ReadQueue& queue, const Family& family, std::span<const Key> keys,
                        std::span<std::byte> matrix, std::span<bool> found,
                        const AsyncReadOptions& options = {}) {
  return {queue, family, keys, matrix, found, options};
}

/// Goes on with the coroutines whose reads are through, after waiting up to `timeout` for the first; returns
/// how many. They run on this thread.
inline std::size_t resume_reads(ReadQueue& queue, std::chrono::nanoseconds timeout) {
  std::array<ReadCompletion, 32> completions;
  const std::size_t count = queue.wait(completions, timeout);
  for (auto& completion : std::span(completions).first(count)) AwaitedRead::resume(std::move(completion));
  return count;
}

}  // namespace vectolith
