/// @file
/// The pause is one of a worker of the environment, so that whoever keeps its clock decides how long it
/// takes.
#include "verify/read_pacer.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <utility>

namespace vectolith::engine {
namespace {

constexpr std::uint64_t kNsPerS = 1'000'000'000;
constexpr std::uint64_t kSpendBytesMax = std::uint64_t{1} << 33;  // Times kNsPerS it fits 64 bits.
constexpr std::uint64_t kBytesAtOnceMin = std::uint64_t{64} << 10, kBytesAtOnceMax = std::uint64_t{4} << 20;
constexpr std::chrono::nanoseconds kAskAgain = std::chrono::milliseconds(100);
constexpr std::chrono::nanoseconds kForever = std::chrono::hours(1);

}  // namespace

ReadPacer::ReadPacer(Environment& environment, std::uint64_t bytes_per_s, std::function<bool()> should_stop)
    : environment_(environment),
      bytes_per_s_(bytes_per_s),
      should_stop_(std::move(should_stop)),
      due_ns_(environment.steady_ns()) {}

void ReadPacer::spend(std::uint64_t bytes) {
  if (bytes_per_s_ == 0) return;
  while (bytes > 0) {
    const std::uint64_t piece = std::min(bytes, kSpendBytesMax);
    due_ns_ += piece * kNsPerS / bytes_per_s_;
    bytes -= piece;
  }
  const std::uint64_t now_ns = environment_.steady_ns();
  if (due_ns_ > now_ns) {
    wait();
  } else {
    due_ns_ = now_ns;
  }
}

std::size_t ReadPacer::bytes_at_once() const noexcept {
  return bytes_per_s_ == 0 ? kBytesAtOnceMax
                           : std::clamp(bytes_per_s_ / 10, kBytesAtOnceMin, kBytesAtOnceMax);
}

void ReadPacer::wait() {
  std::atomic<bool> done = false;
  const auto worker = environment_.start_worker("scrub-pace", [&]() -> std::chrono::nanoseconds {
    if (done.load(std::memory_order_relaxed)) return kForever;
    const std::uint64_t now_ns = environment_.steady_ns();
    if (now_ns < due_ns_ && !(should_stop_ && should_stop_()))
      return std::min(std::chrono::nanoseconds(due_ns_ - now_ns), kAskAgain);
    done.store(true, std::memory_order_release);
    done.notify_one();
    return kForever;
  });
  done.wait(false, std::memory_order_acquire);
}

}  // namespace vectolith::engine
