/// @file
/// Runs calls for a while, and times few enough of them that the clock does not slow the rest.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <latch>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

namespace vectolith::bench::compare {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// When a loop ends: at the first of both.
struct LoopLimits {
  double seconds = 0;
  std::uint64_t calls_max = UINT64_MAX;
  /// One call of so many is timed. Reading the clock twice costs about 50 ns: 1 for calls of microseconds.
  unsigned sample_every = 1;
};

/// Calls that were made, and how long some of them took.
struct Timed {
  std::uint64_t calls = 0;
  Clock::time_point begin{};
  Clock::time_point end{};
  std::vector<std::uint32_t> sampled_ns{};

  /// {"per_s", "p50_us", "p99_us", "p999_us"}: `items` for each call; a percentile needs ten samples beyond
  /// it.
  [[nodiscard]] Json figures(std::uint64_t items = 1) const;
};

/// Calls `call()` until a limit is reached.
template <class Call>
Timed timed_loop(const LoopLimits& limits, Call&& call) {
  Timed timed;
  timed.sampled_ns.reserve(std::min<std::uint64_t>(limits.calls_max, 1U << 16));
  timed.begin = timed.end = Clock::now();
  const auto deadline = timed.begin + std::chrono::duration_cast<Clock::duration>(
                                          std::chrono::duration<double>(limits.seconds));
  while (timed.calls < limits.calls_max && timed.end < deadline) {
    for (unsigned i = 1; i < limits.sample_every; ++i) call();
    const auto start = Clock::now();
    call();
    timed.end = Clock::now();
    timed.sampled_ns.push_back(static_cast<std::uint32_t>(
        std::min<std::int64_t>(std::chrono::nanoseconds(timed.end - start).count(), UINT32_MAX)));
    timed.calls += limits.sample_every;
  }
  return timed;
}

/// Runs what `prepare(thread)` returned in each of `threads` threads at once: the time is from their common
/// start to the last end. What is prepared is also destroyed in its thread.
Timed timed_threads(unsigned threads, const std::function<std::function<Timed()>(unsigned thread)>& prepare);

}  // namespace vectolith::bench::compare
