/// @file
/// Attaching segments to a family.
#include "manifest/family_state.h"

namespace vectolith::engine {

Result<void> attach_segment(FamilyState& family, const std::shared_ptr<MappedSegment>& segment) {
  const auto ordinal = static_cast<std::uint32_t>(family.by_ordinal.size());
  if (ordinal >= SegmentTable::kOrdinalMax) {
    return fail(ErrorCode::kLimit,
                "family '" + family.name + "' has no segment ordinal left; reopen the store");
  }
  segment->ordinal = ordinal;
  family.by_ordinal.push_back(segment);
  family.segments.set(ordinal, segment.get());
  return {};
}

}  // namespace vectolith::engine
