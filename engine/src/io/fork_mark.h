/// @file
/// A word that a forked child finds cleared, so that it knows itself without a system call.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "io/environment.h"

namespace vectolith::engine {

/// One page that the kernel does not copy into a forked child (MADV_WIPEONFORK): there it is zero.
class ForkMark {
 public:
  /// Errors: kNoMemory, kUnsupported before Linux 4.14.
  static Result<std::unique_ptr<ForkMark>> make();
  explicit ForkMark(std::unique_ptr<Pages> page) noexcept;

  /// 1 in the process that made the mark, 0 in every process forked from it.
  [[nodiscard]] const std::atomic<std::uint32_t>& word() const noexcept { return *word_; }

 private:
  std::unique_ptr<Pages> page_;
  std::atomic<std::uint32_t>* word_;
};

}  // namespace vectolith::engine
