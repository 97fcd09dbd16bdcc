/// @file
/// fsck of one segment file: header, footer, and then its rows.
#pragma once

#include <string>

#include "verify/fsck_context.h"

namespace vectolith::engine {

/// Checks the segment against the manifest's entry, family and every sum that covers its bytes.
void check_segment(FsckContext& context, const SegmentEntry& entry);
/// Checks a segment file by its own header and footer, for a store whose manifest is lost.
void check_segment_alone(FsckContext& context, const std::string& name, SegmentId id);

}  // namespace vectolith::engine
