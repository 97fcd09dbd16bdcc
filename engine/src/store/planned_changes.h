/// @file
/// What a commit is going to do to the index, in order, and found again by key.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <vector>

#include <vectolith/format/ids.h>

#include "store/pending_write.h"

namespace vectolith::engine {

/// One effect on the index.
struct PlannedChange {
  PendingWrite* write = nullptr;
  std::uint32_t item = 0;
  std::int32_t run = -1;  ///< -1: an erase.
  std::uint32_t row = 0;
  Sequence sequence;
  std::uint32_t earlier = 0;  ///< The change before it in its bucket.
};

/// The changes of one commit. All memory is taken at its beginning.
class PlannedChanges {
 public:
  explicit PlannedChanges(std::pmr::memory_resource& heap) : changes_(&heap), newest_of_bucket_(&heap) {}

  void clear() noexcept;
  /// Makes room for `count` changes in all. `is_searched`: `newest` is going to be called.
  /// Precondition: there are none.
  void reserve(std::size_t count, bool is_searched);
  /// Precondition: there is room.
  void add(PlannedChange change) noexcept;
  /// The newest change of the key of write.rows[item]; null if there is none.
  [[nodiscard]] const PlannedChange* newest(const PendingWrite& write, std::uint32_t item) const noexcept;

  [[nodiscard]] auto begin() const noexcept { return changes_.begin(); }
  [[nodiscard]] auto end() const noexcept { return changes_.end(); }

 private:
  static constexpr std::uint32_t kNone = 0xFFFF'FFFF;
  [[nodiscard]] std::size_t bucket_of(std::uint64_t hash) const noexcept {
    return hash & (newest_of_bucket_.size() - 1);
  }

  std::pmr::vector<PlannedChange> changes_;
  std::pmr::vector<std::uint32_t> newest_of_bucket_;  ///< By hash; a power of two, or none.
};

}  // namespace vectolith::engine
