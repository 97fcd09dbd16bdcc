/// @file
/// Keeps the segments of a family where its owner wants them: cached, off the page cache, locked in memory.
#pragma once

#include <memory>
#include <vector>

#include <vectolith/format/result.h>
#include <vectolith/options.h>

#include "store/committer.h"
#include "store/store_context.h"

namespace vectolith::engine {

/// What is wanted of a family's segments.
struct PlacementWish {
  Placement vectors = Placement::kCached;
  bool pin_metas = false;
};

/// Places the segments that are there, and remembers the wish for those that come.
/// Errors: kLimit when memory may not be locked, or not so much; then everything is as it was.
Result<void> place_family(StoreContext& context, Committer& committer, FamilyState& family,
                          PlacementWish wish);

/// Places the segments that came since. What cannot be locked stays cached, and is reported once.
void place_new_segments(StoreContext& context, Committer& committer);

/// Bytes of all segments that are locked in memory. Needs the commit lock.
std::uint64_t pinned_bytes(const StoreContext& context);

}  // namespace vectolith::engine
