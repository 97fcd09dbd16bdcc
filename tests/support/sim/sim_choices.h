/// @file
/// Where the choices of a run come from: a generator with a seed, or bytes that a fuzzer changes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "support/sim/sim_disk.h"

namespace vectolith::testing::sim {

/// All that is left to chance in a run, drawn in order: equal seeds, and equal tapes, make equal runs.
class Choices {
 public:
  explicit Choices(std::uint64_t seed) : generator_(seed) {}
  /// Each choice takes as few bytes of the tape as it needs, so that a small change of the tape is a small
  /// change of the run. Behind the end choices go on at random. Lifetime: the tape outlives the choices.
  explicit Choices(std::span<const std::byte> tape) : is_tape_(true), tape_(tape) {}

  /// A number in [0, bound); bound > 0.
  std::uint64_t below(std::uint64_t bound) {
    if (tape_.empty()) return generator_() % bound;
    std::uint64_t value = 0;
    for (std::uint64_t reach = 1; reach < bound; reach <<= 8) value = value << 8 | next_byte();
    return value % bound;
  }
  /// True once in `n` times; never for 0.
  bool one_in(std::uint64_t n) { return n != 0 && below(n) == 0; }
  /// For what is drawn so often that a tape would hold little else: torn sectors, a process's own randomness,
  /// what other threads look at.
  Random& noise() { return generator_; }
  /// A byte of the tape, if there is one, says how the noise goes on.
  void stir() {
    if (is_tape_) generator_.seed(++stirs_ << 8 | next_byte());
  }
  /// The tape has come to its end, and with it what a fuzzer asked for.
  [[nodiscard]] bool is_spent() const noexcept { return is_tape_ && tape_.empty(); }

 private:
  std::uint64_t next_byte() {
    if (tape_.empty()) return 0;
    const auto byte = std::to_integer<std::uint64_t>(tape_.front());
    tape_ = tape_.subspan(1);
    return byte;
  }

  Random generator_;
  bool is_tape_ = false;
  std::span<const std::byte> tape_;
  std::uint64_t stirs_ = 0;
};

}  // namespace vectolith::testing::sim
