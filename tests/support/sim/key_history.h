/// @file
/// The oracle's view of one key: everything it was asked to hold, and which of it may be found when.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace vectolith::testing::sim {

/// One thing that was done to a key.
struct Step {
  enum class State : std::uint8_t {
    kPending,  ///< Asked for; the answer is unknown.
    kAcked,
    kRefused,  ///< Answered with an error: not visible now, and nobody knows what a crash makes of it.
  };
  std::uint64_t version = 0;  ///< What the key holds afterwards; 0: nothing.
  std::uint64_t batch = 0;    ///< 0: none.
  State state = State::kPending;
};

/// All steps of a key since what is known of it. Kept outside the simulated disk.
///
/// After a power cut the key holds what some step from `durable()` on made of it; after a kill, from
/// `acked()` on. Which one, the next open shows, and it settles the matter.
class KeyHistory {
 public:
  /// Returns the index of the new step.
  std::size_t begin(std::uint64_t version, std::uint64_t batch = 0) {
    steps_.push_back({version, batch, Step::State::kPending});
    return steps_.size() - 1;
  }
  void acknowledge(std::size_t index, bool is_durable) {
    steps_[index].state = Step::State::kAcked;
    acked_ = std::max(acked_, index);
    if (is_durable) durable_ = std::max(durable_, index);
  }
  /// The last step was refused and changed nothing: it must never show.
  void withdraw() { steps_.pop_back(); }
  void refuse(std::size_t index) { steps_[index].state = Step::State::kRefused; }
  /// Everything acknowledged so far is durable.
  void make_durable() { durable_ = std::max(durable_, acked_); }
  /// What was acknowledged but not durable may be gone (the engine said so).
  void lose_buffered() { acked_ = durable_; }
  /// An open showed that the key holds what step `index` made of it: later steps never happened.
  void settle(std::size_t index) {
    steps_.resize(index + 1);
    steps_[index].state = Step::State::kAcked;
    acked_ = index;
    durable_ = std::min(durable_, index);
  }

  [[nodiscard]] const std::vector<Step>& steps() const noexcept { return steps_; }
  [[nodiscard]] std::size_t acked() const noexcept { return acked_; }
  [[nodiscard]] std::size_t durable() const noexcept { return durable_; }
  /// The version that the last acknowledged step left.
  [[nodiscard]] std::uint64_t version() const noexcept { return steps_[acked_].version; }
  [[nodiscard]] bool has_pending() const noexcept {
    return std::any_of(steps_.begin() + static_cast<std::ptrdiff_t>(acked_) + 1, steps_.end(),
                       [](const Step& step) { return step.state == Step::State::kPending; });
  }
  /// True if a read of the running process may find `version` now.
  [[nodiscard]] bool may_show(std::uint64_t version) const noexcept {
    for (std::size_t i = acked_; i < steps_.size(); ++i) {
      const bool counts = i == acked_ || steps_[i].state == Step::State::kPending;
      if (counts && steps_[i].version == version) return true;
    }
    return false;
  }
  /// The last step from `first` on that left `version`, or steps().size() if there is none.
  [[nodiscard]] std::size_t last_with(std::uint64_t version, std::size_t first) const noexcept {
    for (std::size_t i = steps_.size(); i-- > first;) {
      if (steps_[i].version == version) return i;
    }
    return steps_.size();
  }

 private:
  std::vector<Step> steps_{{0, 0, Step::State::kAcked}};
  std::size_t acked_ = 0;
  std::size_t durable_ = 0;
};

}  // namespace vectolith::testing::sim
