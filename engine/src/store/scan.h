/// @file
/// Scans: every live row of a segment in order, from memory or from the device.
#pragma once

#include <functional>

#include <vectolith/store.h>

#include "segment/mapped_segment.h"
#include "store/store_context.h"

namespace vectolith::engine {

using BlockVisitor = std::function<bool(const RowBlock&)>;

/// Shows the blocks of `view`, a view of `segment`. `is_cold`: a settled segment is read past the page cache.
/// Returns false if the visitor did. Errors: kCorruption, kIo, with file and offset.
Result<bool> scan_segment(StoreContext& context, const MappedSegment& segment, const SegmentView& view,
                          bool is_cold, const BlockVisitor& visit);

}  // namespace vectolith::engine
