/// @file
/// What the tests of the index share: countable and refusable memory, hashes, and the kernel's barrier.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "index/index.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define VECTOLITH_TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define VECTOLITH_TEST_SANITIZED 1
#endif
#endif

namespace vectolith::engine::testing {

#if defined(VECTOLITH_TEST_SANITIZED)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

/// Memory from the heap that knows how much is out, and refuses after a number of allocations.
class TestPages final : public PageSource {
 public:
  void* allocate(std::size_t bytes) noexcept override {
    if (left_.fetch_sub(1) <= 0) return nullptr;
    void* const memory = ::operator new(bytes, std::align_val_t{64}, std::nothrow);
    if (memory == nullptr) return nullptr;
    std::memset(memory, 0, bytes);
    const std::size_t now = live_bytes_.fetch_add(bytes) + bytes;
    for (std::size_t peak = peak_bytes_.load();
         peak < now && !peak_bytes_.compare_exchange_weak(peak, now);) {
    }
    return memory;
  }
  void release(void* memory, std::size_t bytes) noexcept override {
    live_bytes_.fetch_sub(bytes);
    ::operator delete(memory, bytes, std::align_val_t{64});
  }

  void refuse_after(std::int64_t allocations) { left_ = allocations; }
  void refuse_nothing() { left_ = std::numeric_limits<std::int64_t>::max(); }
  void forget_peak() { peak_bytes_ = live_bytes_.load(); }
  [[nodiscard]] std::size_t live_bytes() const { return live_bytes_; }
  [[nodiscard]] std::size_t peak_bytes() const { return peak_bytes_; }

 private:
  std::atomic<std::int64_t> left_{std::numeric_limits<std::int64_t>::max()};
  std::atomic<std::size_t> live_bytes_{0};
  std::atomic<std::size_t> peak_bytes_{0};
};

/// A bijection that behaves like a random hash (the finalizer of splitmix64).
constexpr std::uint64_t hash_of(std::uint64_t key) noexcept {
  std::uint64_t z = (key + 1) * 0x9E3779B97F4A7C15;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

constexpr Location location_for(std::uint64_t key) noexcept {
  return {.ordinal = static_cast<std::uint32_t>(key >> 20), .row = static_cast<std::uint32_t>(key & kRowMax)};
}

inline bool kernel_barrier() {
  static const bool registered =
      syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
  return registered && syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
}

}  // namespace vectolith::engine::testing
