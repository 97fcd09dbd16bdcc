/// @file
/// Publishing: completed rows become visible, superseded and erased ones vanish.
#include <algorithm>

#include "store/committer.h"

namespace vectolith::engine {

void Committer::publish() noexcept {
  for (auto& run : runs_) {
    if (run.error) continue;
    run.segment->set_rows(run.next_row);
    if (std::ranges::find(dirty_, run.segment) == dirty_.end()) dirty_.push_back(run.segment);
  }
  for (const auto& change : changes_) {
    if (change.run < 0) {
      if (!journal_error_) publish_erase(change);
      continue;
    }
    const auto& run = runs_[static_cast<std::size_t>(change.run)];
    if (!run.error) {
      publish_put(change, *run.segment);
    } else {
      change.write->family->index->release(change.write->hashes[change.item]);
    }
  }
}

void Committer::publish_put(const PlannedChange& change, MappedSegment& segment) noexcept {
  auto& family = *change.write->family;
  const Key& key = change.write->rows[change.item].key;
  const std::uint64_t hash = change.write->hashes[change.item];
  const Location to{segment.ordinal, change.row};
  if (!segment.holds_records()) segment.mark_verified(change.row);
  segment.set_live(change.row);
  add(context_.counters.puts);
  // Only a replace, or a key met twice in one group, can find the key in the index already.
  const bool may_exist = change.write->replace || group_.size() > 1;
  if (const auto from = may_exist ? family.find(hash, key) : std::nullopt) {
    const auto& old = family.by_ordinal[from->ordinal];
    family.index->replace(hash, *from, to);
    family.index->release(hash);
    old->clear_live(from->row);
    add(context_.counters.replaces);
    return;
  }
  family.index->fill(hash, to);
}

void Committer::publish_erase(const PlannedChange& change) noexcept {
  auto& family = *change.write->family;
  const Key& key = change.write->rows[0].key;
  const std::uint64_t hash = change.write->hashes[0];
  const auto at = family.find(hash, key);
  const MappedSegment* segment = at ? family.by_ordinal[at->ordinal].get() : nullptr;
  if (!context_.snapshots.empty()) context_.snapshots.on_erase(family.id, key, segment, at ? at->row : 0);
  if (!at) return;
  family.index->erase(hash, *at);
  family.by_ordinal[at->ordinal]->clear_live(at->row);
  add(context_.counters.erases);
}

}  // namespace vectolith::engine
