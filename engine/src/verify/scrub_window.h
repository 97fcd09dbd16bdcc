/// @file
/// Which part of a store's segments one piece of a scrub looks at.
#pragma once

#include <cstdint>
#include <optional>

#include <vectolith/verify.h>

namespace vectolith::engine {

/// From a position until so many bytes were read. The default holds every segment whole. Threads: one.
class ScrubWindow {
 public:
  ScrubWindow() = default;
  ScrubWindow(ScrubPosition from, std::uint64_t bytes_max) : from_(from), bytes_max_(bytes_max) {}

  /// Whether the segment is to be checked now; segments come in ascending order of their ids.
  bool begin(SegmentId id, std::uint64_t bytes_read) {
    if (stopped_ || id < from_.segment) return false;
    if (!bytes_before_) bytes_before_ = bytes_read;
    if (is_spent(bytes_read)) stop({id, 0});
    return !stopped_;
  }
  [[nodiscard]] std::uint32_t first_row(SegmentId id) const { return id == from_.segment ? from_.row : 0; }
  [[nodiscard]] std::uint64_t bytes_max() const noexcept { return bytes_max_; }  ///< 0: no limit.
  [[nodiscard]] bool is_spent(std::uint64_t bytes_read) const {
    return bytes_max_ != 0 && bytes_read - bytes_before_.value_or(bytes_read) >= bytes_max_;
  }
  /// What lies at `next` and behind it is left to the next piece.
  void stop(ScrubPosition next) { stopped_ = next; }
  [[nodiscard]] const std::optional<ScrubPosition>& stopped() const noexcept { return stopped_; }

 private:
  ScrubPosition from_;
  std::uint64_t bytes_max_ = 0;
  std::optional<std::uint64_t> bytes_before_;  ///< Read before the first segment.
  std::optional<ScrubPosition> stopped_;
};

}  // namespace vectolith::engine
