/// @file
/// Snapshot views, side tables, and erasure through every open snapshot.
#include "store/snapshot_state.h"

#include <atomic>
#include <bit>
#include <utility>

namespace vectolith::engine {
namespace {

// Bitmaps are handed out as plain words; an erase clears bits in them while callers may read.
void clear_bit(FrozenSegment& frozen, std::uint32_t row) {
  std::atomic_ref<std::uint64_t>(frozen.live[row / 64])
      .fetch_and(~(std::uint64_t{1} << (row % 64)), std::memory_order_relaxed);
}
bool test_bit(FrozenSegment& frozen, std::uint32_t row) {
  if (row >= frozen.rows) return false;
  return (std::atomic_ref<std::uint64_t>(frozen.live[row / 64]).load(std::memory_order_relaxed) >>
              (row % 64) &
          1) != 0;
}

}  // namespace

std::shared_ptr<FrozenSegment> freeze_segment(const std::shared_ptr<MappedSegment>& segment,
                                              std::uint32_t rows) {
  auto frozen = std::make_shared<FrozenSegment>();
  frozen->segment = segment;
  frozen->rows = rows;
  frozen->live.resize((rows + 63) / 64);
  for (std::uint32_t i = 0; i < frozen->live.size(); ++i) frozen->live[i] = segment->live().word(i);
  if (rows % 64 != 0) frozen->live.back() &= (std::uint64_t{1} << (rows % 64)) - 1;
  return frozen;
}

SegmentView view_of(const std::shared_ptr<FrozenSegment>& frozen, const FamilyState& family) {
  const MappedSegment& segment = *frozen->segment;
  SegmentView view;
  view.id = segment.id();
  view.base = segment.vector(0);
  view.rows = frozen->rows;
  view.dim = family.spec.dim;
  view.stride_bytes = family.row_bytes;
  view.dtype = family.spec.dtype;
  view.meta = {&segment.meta(0), frozen->rows};
  view.live = frozen->live;
  for (std::size_t i = 0; i < view.live.size(); ++i)
    view.live_rows += static_cast<std::uint64_t>(std::popcount(view.live_word(i)));
  view.pin = frozen;
  return view;
}

std::optional<PinnedLocation> SnapshotState::superseded(FamilyId family, const Key& key) const {
  const std::lock_guard lock(mutex);
  const auto found = side_table.find({family, key});
  if (found == side_table.end()) return std::nullopt;
  return found->second;
}

bool SnapshotState::holds(FamilyId family, std::uint32_t ordinal, std::uint32_t row) const {
  const auto view = families.find(family);
  if (view == families.end()) return false;
  const auto frozen = view->second.by_ordinal.find(ordinal);
  return frozen != view->second.by_ordinal.end() && test_bit(*frozen->second, row);
}

void SnapshotRegistry::add(const std::shared_ptr<SnapshotState>& snapshot) {
  const std::lock_guard lock(mutex_);
  std::erase_if(snapshots_, [](const auto& weak) { return weak.expired(); });
  snapshots_.push_back(snapshot);
  open_.store(snapshots_.size(), std::memory_order_relaxed);
}

template <class Visit>
void SnapshotRegistry::for_each_open(const Visit& visit) {
  const std::lock_guard lock(mutex_);
  std::erase_if(snapshots_, [](const auto& weak) { return weak.expired(); });
  open_.store(snapshots_.size(), std::memory_order_relaxed);
  for (const auto& weak : snapshots_) {
    if (const auto snapshot = weak.lock()) visit(*snapshot);
  }
}

void SnapshotRegistry::before_replace(FamilyId family, const Key& key,
                                      const std::shared_ptr<MappedSegment>& segment, std::uint32_t row) {
  for_each_open([&](SnapshotState& snapshot) {
    if (!snapshot.holds(family, segment->ordinal, row)) return;
    const std::lock_guard lock(snapshot.mutex);
    snapshot.side_table.try_emplace({family, key}, PinnedLocation{segment, row});
  });
}

void SnapshotRegistry::on_erase(FamilyId family, const Key& key, const MappedSegment* segment,
                                std::uint32_t row) noexcept {
  for_each_open([&](SnapshotState& snapshot) {
    const auto view = snapshot.families.find(family);
    if (view == snapshot.families.end()) return;
    const auto clear = [&](std::uint32_t ordinal, std::uint32_t at) {
      const auto frozen = view->second.by_ordinal.find(ordinal);
      if (frozen != view->second.by_ordinal.end() && at < frozen->second->rows)
        clear_bit(*frozen->second, at);
    };
    if (segment != nullptr) clear(segment->ordinal, row);
    const std::lock_guard lock(snapshot.mutex);
    if (const auto old = snapshot.side_table.find({family, key}); old != snapshot.side_table.end()) {
      clear(old->second.segment->ordinal, old->second.row);
      snapshot.side_table.erase(old);
    }
  });
}

}  // namespace vectolith::engine
