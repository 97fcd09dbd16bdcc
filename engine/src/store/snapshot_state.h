/// @file
/// Open snapshots: frozen live bitmaps, and side tables of what was superseded since.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include <vectolith/format/ids.h>
#include <vectolith/format/key.h>
#include <vectolith/store.h>

#include "manifest/family_state.h"
#include "segment/mapped_segment.h"

namespace vectolith::engine {

/// A segment as a snapshot sees it.
struct FrozenSegment {
  std::shared_ptr<MappedSegment> segment;
  std::uint32_t rows = 0;
  std::vector<std::uint64_t> live;
};

/// Freezes the live bitmap of the first `rows` rows. Threads: the committer.
std::shared_ptr<FrozenSegment> freeze_segment(const std::shared_ptr<MappedSegment>& segment,
                                              std::uint32_t rows);
/// The public view of a frozen segment; it pins `frozen`.
SegmentView view_of(const std::shared_ptr<FrozenSegment>& frozen, const FamilyState& family);

/// Where a superseded row lies.
struct PinnedLocation {
  std::shared_ptr<MappedSegment> segment;
  std::uint32_t row = 0;
};

/// One open snapshot.
struct SnapshotState {
  struct FamilyView {
    std::shared_ptr<FamilyState> family;
    std::map<std::uint32_t, std::shared_ptr<FrozenSegment>> by_ordinal;
  };
  Sequence sequence;
  std::map<FamilyId, FamilyView> families;  ///< Immutable after construction.

  /// The row that answers for `key` in this snapshot: in the index's present place, or superseded since.
  [[nodiscard]] std::optional<PinnedLocation> superseded(FamilyId family, const Key& key) const;
  /// True if the row was live when the snapshot was taken and its key was not erased since.
  [[nodiscard]] bool holds(FamilyId family, std::uint32_t ordinal, std::uint32_t row) const;

  mutable std::mutex mutex;
  std::map<std::pair<FamilyId, Key>, PinnedLocation> side_table;  ///< [mutex]
};

/// All open snapshots of a store. Threads: any.
class SnapshotRegistry {
 public:
  void add(const std::shared_ptr<SnapshotState>& snapshot);
  /// True if none is open: the common case, one relaxed load.
  [[nodiscard]] bool empty() const noexcept { return open_.load(std::memory_order_relaxed) == 0; }
  /// Notes where the snapshots find `key` when the row no longer answers for it, because the key lives on
  /// elsewhere. Does no harm if it then goes on to answer.
  void before_replace(FamilyId family, const Key& key, const std::shared_ptr<MappedSegment>& segment,
                      std::uint32_t row);
  /// Makes `key` unreadable through every snapshot at once. The row is its own, if it had one.
  void on_erase(FamilyId family, const Key& key, const MappedSegment* segment, std::uint32_t row) noexcept;

 private:
  /// Calls `visit` for every snapshot that is open.
  template <class Visit>
  void for_each_open(const Visit& visit);

  std::mutex mutex_;
  std::vector<std::weak_ptr<SnapshotState>> snapshots_;  ///< [mutex_]
  std::atomic<std::size_t> open_{0};
};

}  // namespace vectolith::engine
