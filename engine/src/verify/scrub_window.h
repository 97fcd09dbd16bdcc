/// @file
/// Which part of a store's segments one piece of a scrub looks at.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <utility>

#include <vectolith/verify.h>

namespace vectolith::engine {

/// From a position until so many bytes were read, or it is told to stop. The default holds every segment
/// whole. Threads: one.
class ScrubWindow {
 public:
  ScrubWindow() = default;
  ScrubWindow(ScrubPosition from, std::uint64_t bytes_max, std::function<bool()> should_stop)
      : from_(from), bytes_max_(bytes_max), should_stop_(std::move(should_stop)) {}

  /// Whether the segment is to be checked now; segments come in ascending order of their ids.
  bool begin(SegmentId id, std::uint64_t bytes_read) {
    if (stopped_ || id < from_.segment) return false;
    if (!bytes_before_) bytes_before_ = bytes_read;
    if (is_spent(bytes_read)) stop({id, first_row(id)});
    return !stopped_;
  }
  [[nodiscard]] std::uint32_t first_row(SegmentId id) const { return id == from_.segment ? from_.row : 0; }
  [[nodiscard]] std::uint64_t bytes_max() const noexcept { return bytes_max_; }  ///< 0: no limit.
  /// Whether this piece has read enough.
  [[nodiscard]] bool is_spent(std::uint64_t bytes_read) const {
    return (bytes_max_ != 0 && bytes_read - bytes_before_.value_or(bytes_read) >= bytes_max_) ||
           (should_stop_ && should_stop_());
  }
  /// What lies at `next` and behind it is left to the next piece.
  void stop(ScrubPosition next) { stopped_ = next; }
  [[nodiscard]] const std::optional<ScrubPosition>& stopped() const noexcept { return stopped_; }

 private:
  ScrubPosition from_;
  std::uint64_t bytes_max_ = 0;
  std::function<bool()> should_stop_;
  std::optional<std::uint64_t> bytes_before_;  ///< Read before the first segment.
  std::optional<ScrubPosition> stopped_;
};

}  // namespace vectolith::engine
