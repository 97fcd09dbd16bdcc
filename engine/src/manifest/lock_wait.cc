/// @file
/// Waits a bounded time for a file's lock, on a worker of the environment.
#include "manifest/lock_wait.h"

#include <atomic>
#include <cstdint>

namespace vectolith::engine {
namespace {

constexpr std::chrono::nanoseconds kRetryPause = std::chrono::milliseconds(2);
constexpr std::chrono::nanoseconds kForever = std::chrono::hours(1);

std::unexpected<Error> still_locked(const File& file, std::chrono::milliseconds timeout) {
  return std::unexpected(
      Error(ErrorCode::kLocked, "the file is locked: a write of a dead process may still be in flight")
          .with_file(file.path())
          .with_expected("free within " + std::to_string(timeout.count()) + " ms")
          .with_found("held by another open file"));
}

}  // namespace

Result<void> lock_within(Environment& environment, File& file, LockMode mode,
                         std::chrono::milliseconds timeout) {
  VECTOLITH_TRY_ASSIGN(const bool at_once, file.try_lock(mode));
  if (at_once) return {};
  if (timeout.count() <= 0) return still_locked(file, timeout);

  const std::uint64_t start = environment.steady_ns();
  const auto timeout_ns = static_cast<std::uint64_t>(std::chrono::nanoseconds(timeout).count());
  Result<bool> outcome = false;
  std::atomic<bool> done = false;
  const auto worker = environment.start_worker("lock-wait", [&]() -> std::chrono::nanoseconds {
    if (done.load(std::memory_order_relaxed)) return kForever;
    const bool last = environment.steady_ns() - start >= timeout_ns;
    outcome = file.try_lock(mode);
    if (outcome && !*outcome && !last) return kRetryPause;
    done.store(true, std::memory_order_release);
    done.notify_one();
    return kForever;
  });
  if (worker == nullptr) return fail(ErrorCode::kNoMemory, "the system refuses another thread");
  done.wait(false, std::memory_order_acquire);
  VECTOLITH_TRY_ASSIGN(const bool locked, std::move(outcome));
  if (!locked) return still_locked(file, timeout);
  return {};
}

}  // namespace vectolith::engine
