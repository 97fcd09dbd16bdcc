/// @file
/// Holds a reader back to a rate.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "io/environment.h"

namespace vectolith::engine {

/// Waits after each read until the rate allows the next. Time that was lost, because the disk is slower
/// than the rate, is not made up for. Threads: one. Lifetime: the environment outlives it.
class ReadPacer {
 public:
  /// `bytes_per_s` 0: no limit. `should_stop` may be empty; it is asked in a pause, from another thread.
  ReadPacer(Environment& environment, std::uint64_t bytes_per_s, std::function<bool()> should_stop = {});
  /// Waits until reading `bytes` more is paid for, or `should_stop` says that nobody wants to wait any more.
  void spend(std::uint64_t bytes);
  /// As much as should be read between two pauses: a tenth of a second, within 64 KiB and 4 MiB.
  [[nodiscard]] std::size_t bytes_at_once() const noexcept;

 private:
  void wait();

  Environment& environment_;
  std::uint64_t bytes_per_s_;
  std::function<bool()> should_stop_;
  std::uint64_t due_ns_ = 0;  ///< When everything that was read so far is paid for.
};

}  // namespace vectolith::engine
