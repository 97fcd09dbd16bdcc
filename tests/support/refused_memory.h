/// @file
/// Refuses memory to the engine, one allocation or many: decides, while operator new asks.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <utility>

namespace vectolith::testing {

/// Which of the engine's allocations are refused. Asked by the operator new of tests/engine/alloc, by
/// RefusingHeap, and by SimEnvironment for pages; in other programs nobody asks and nothing is refused. Only
/// allocations inside the engine count: on threads that said so by InsideEngine, or, where `everywhere` is
/// asked for, on all but those that said OutsideEngine. Threads: any.
class RefusedMemory {
 public:
  static constexpr std::uint64_t kForEver = std::numeric_limits<std::uint64_t>::max();

  /// Counts from 0 again, and refuses `count` allocations from number `first` on.
  static void refuse(std::uint64_t first, std::uint64_t count) noexcept {
    stop();
    first_ = first;
    count_ = count;
    armed_ = true;
  }
  /// Refuses `per_mille` of all allocations on all threads, chosen by `seed` and their number.
  static void refuse_at_random(std::uint64_t seed, std::uint64_t per_mille) noexcept {
    stop();
    seed_ = seed;
    per_mille_ = per_mille;
    everywhere_ = armed_ = true;
  }
  static void stop() noexcept {
    armed_ = everywhere_ = false;
    seen_ = refused_ = per_mille_ = count_ = 0;
  }
  /// Allocations that counted since the last start.
  [[nodiscard]] static std::uint64_t seen() noexcept { return seen_; }
  [[nodiscard]] static std::uint64_t refused() noexcept { return refused_; }

  /// Whether the allocation that asks is refused.
  [[nodiscard]] static bool ask() noexcept {
    if (!armed_.load(std::memory_order_relaxed)) return false;
    if (side_ == Side::kOutside || (side_ == Side::kUnknown && !everywhere_)) return false;
    const std::uint64_t number = seen_++;
    const bool refused = everywhere_ ? mixed(seed_ + number) % 1'000 < per_mille_
                                     : number >= first_ && number - first_ < count_;
    if (refused) ++refused_;
    return refused;
  }

 private:
  friend class InsideEngine;
  friend class OutsideEngine;
  enum class Side : std::uint8_t { kUnknown, kInside, kOutside };

  static std::uint64_t mixed(std::uint64_t number) noexcept {
    number = (number ^ (number >> 30)) * 0xBF58476D1CE4E5B9;
    number = (number ^ (number >> 27)) * 0x94D049BB133111EB;
    return number ^ (number >> 31);
  }

  inline static std::atomic<bool> armed_{false}, everywhere_{false};
  inline static std::atomic<std::uint64_t> seen_{0}, refused_{0}, first_{0}, count_{0}, seed_{0},
      per_mille_{0};
  inline static constinit thread_local Side side_ = Side::kUnknown;
};

/// What this thread does while it lives is the engine's doing.
class InsideEngine {
 public:
  InsideEngine() noexcept : before_(std::exchange(RefusedMemory::side_, RefusedMemory::Side::kInside)) {}
  InsideEngine(const InsideEngine&) = delete;
  InsideEngine& operator=(const InsideEngine&) = delete;
  ~InsideEngine() { RefusedMemory::side_ = before_; }

 private:
  RefusedMemory::Side before_;
};

/// What this thread does while it lives is a test's doing, or that of a simulated part of the system.
class OutsideEngine {
 public:
  OutsideEngine() noexcept : before_(std::exchange(RefusedMemory::side_, RefusedMemory::Side::kOutside)) {}
  OutsideEngine(const OutsideEngine&) = delete;
  OutsideEngine& operator=(const OutsideEngine&) = delete;
  ~OutsideEngine() { RefusedMemory::side_ = before_; }

 private:
  RefusedMemory::Side before_;
};

}  // namespace vectolith::testing
