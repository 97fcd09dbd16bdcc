/// @file
/// Chains of planned changes by key hash.
#include "store/planned_changes.h"

#include <bit>
#include <utility>

#include "no_memory.h"

namespace vectolith::engine {

void PlannedChanges::clear() noexcept {
  changes_.clear();
  newest_of_bucket_.clear();
}

void PlannedChanges::reserve(std::size_t count, bool is_searched) {
  reserve_more(changes_, count);
  if (is_searched) newest_of_bucket_.resize(std::bit_ceil(count), kNone);
}

void PlannedChanges::add(PlannedChange change) noexcept {
  if (!newest_of_bucket_.empty()) {
    auto& newest = newest_of_bucket_[bucket_of(change.write->hashes[change.item])];
    change.earlier = std::exchange(newest, static_cast<std::uint32_t>(changes_.size()));
  }
  changes_.push_back(change);
}

const PlannedChange* PlannedChanges::newest(const PendingWrite& write, std::uint32_t item) const noexcept {
  if (newest_of_bucket_.empty()) return nullptr;
  for (auto at = newest_of_bucket_[bucket_of(write.hashes[item])]; at != kNone; at = changes_[at].earlier) {
    const auto& change = changes_[at];
    if (change.write->family == write.family && change.write->rows[change.item].key == write.rows[item].key)
      return &change;
  }
  return nullptr;
}

}  // namespace vectolith::engine
