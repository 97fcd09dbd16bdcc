/// @file
/// Attaching segments to a family.
#include "manifest/family_state.h"

#include "no_memory.h"

namespace vectolith::engine {

Result<void> reserve_ordinals(FamilyState& family, std::size_t count) {
  const std::size_t first = family.by_ordinal.size();
  if (count > kOrdinalMax + 1 - first) {
    return fail(ErrorCode::kLimit,
                "family '" + family.name + "' has no segment ordinal left; reopen the store");
  }
  reserve_more(family.by_ordinal, count);
  for (std::size_t i = 0; i < count; ++i) family.segments.reserve(static_cast<std::uint32_t>(first + i));
  return {};
}

void attach_segment(FamilyState& family, const std::shared_ptr<MappedSegment>& segment) noexcept {
  segment->ordinal = static_cast<std::uint32_t>(family.by_ordinal.size());
  family.by_ordinal.push_back(segment);
  family.segments.set(segment->ordinal, segment.get());
}

}  // namespace vectolith::engine
