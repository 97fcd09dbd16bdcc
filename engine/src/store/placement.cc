/// @file
/// Placing segments.
#include "store/placement.h"

#include <array>
#include <span>
#include <string>
#include <utility>

#include "no_memory.h"

namespace vectolith::engine {
namespace {

struct Region {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

/// What of the segment a wish locks: of metas and of vectors; empty where it locks none.
std::array<Region, 2> pinned_regions(const MappedSegment& segment, PlacementWish wish) {
  std::array<Region, 2> regions;
  const auto& header = segment.header();
  if (wish.pin_metas) regions[0] = {header.meta_offset, std::uint64_t{header.row_capacity} * 64};
  if (wish.vectors == Placement::kPinned) regions[1] = {header.matrix_offset, header.matrix_bytes};
  return regions;
}

std::uint64_t bytes_of(std::span<const Region> regions) {
  std::uint64_t sum = 0;
  for (const auto& region : regions) sum += region.bytes;
  return sum;
}

void unpin(MappedSegment& segment) {
  if (segment.pinned_bytes.exchange(0) == 0) return;
  segment.mapping().unlock(0, segment.mapping().bytes().size());
}

Result<void> check_budget(const StoreContext& context, std::uint64_t pinned, std::uint64_t more) {
  const std::uint64_t most = context.options.pinned_bytes_max;
  if (most == 0 || pinned + more <= most) return {};
  return std::unexpected(
      Error(ErrorCode::kLimit, "pinned_bytes_max does not allow it")
          .with_expected("at most " + std::to_string(most) + " bytes")
          .with_found(std::to_string(pinned) + " pinned and " + std::to_string(more) + " more"));
}

/// Locks what the wish wants of a segment that has nothing locked.
Result<void> pin(MappedSegment& segment, PlacementWish wish) {
  const auto regions = pinned_regions(segment, wish);
  for (const auto& region : regions) {
    auto locked = catch_no_memory([&] { return segment.mapping().lock(region.offset, region.bytes); });
    if (!locked) {
      segment.mapping().unlock(0, segment.mapping().bytes().size());
      return locked;
    }
  }
  segment.pinned_bytes.store(bytes_of(regions));
  return {};
}

/// Takes a settled segment's vectors out of the page cache, once.
void leave_cache(StoreContext& context, MappedSegment& segment) noexcept {
  if (!segment.is_settled() || std::exchange(segment.has_left_cache, true)) return;
  const auto file =
      catch_no_memory([&] { return segment.read_file(*context.directory, OpenMode::kReadDirect); });
  if (!file) return;
  const auto& header = segment.header();
  // Pages stay in the cache while somebody has them mapped; who reads on loads them again.
  segment.mapping().advise(header.matrix_offset, header.matrix_bytes, MapAdvice::kDontNeed);
  (*file)->drop_cache(header.matrix_offset, header.matrix_bytes);
}

Result<void> repin_all(StoreContext& context, const std::vector<std::shared_ptr<MappedSegment>>& segments,
                       std::uint64_t pinned, PlacementWish wish, PlacementWish before) {
  std::uint64_t had = 0;
  std::uint64_t wanted = 0;
  for (const auto& segment : segments) {
    had += segment->pinned_bytes.load();
    wanted += bytes_of(pinned_regions(*segment, wish));
  }
  VECTOLITH_TRY(check_budget(context, pinned - had, wanted));
  for (const auto& segment : segments) {
    unpin(*segment);
    auto made = pin(*segment, wish);
    if (made) continue;
    for (const auto& other : segments) {
      unpin(*other);
      (void)pin(*other, before);  // It was allowed a moment ago.
    }
    return made;
  }
  return {};
}

}  // namespace

Result<void> place_family(StoreContext& context, Committer& committer, FamilyState& family,
                          PlacementWish wish) {
  if (family.holds_records())
    return fail(ErrorCode::kWrongFamily, "family '" + family.name + "' holds records, which lie in memory");
  std::vector<std::shared_ptr<MappedSegment>> segments;
  std::uint64_t pinned = 0;
  {
    const Committer::Lock lock(committer);
    segments = family.by_ordinal;
    pinned = pinned_bytes(context);
  }
  const std::lock_guard lock(context.placement_mutex);
  const PlacementWish before{family.placement.load(), family.pins_metas.load()};
  VECTOLITH_TRY(repin_all(context, segments, pinned, wish, before));
  for (const auto& segment : segments) {
    segment->has_left_cache = false;
    segment->is_not_pinned = false;
    if (wish.vectors == Placement::kCold) leave_cache(context, *segment);
  }
  family.placement.store(wish.vectors);
  family.pins_metas.store(wish.pin_metas);
  return {};
}

void place_new_segments(StoreContext& context, Committer& committer) {
  for (const auto& family : context.family_list()) {
    const PlacementWish wish{family->placement.load(), family->pins_metas.load()};
    if (wish.vectors == Placement::kCached && !wish.pin_metas) continue;
    std::vector<std::shared_ptr<MappedSegment>> segments;
    std::uint64_t pinned = 0;
    {
      const Committer::Lock lock(committer);
      if (committer.files_closed()) return;
      segments = family->by_ordinal;
      pinned = pinned_bytes(context);
    }
    const std::lock_guard lock(context.placement_mutex);
    if (family->placement.load() != wish.vectors || family->pins_metas.load() != wish.pin_metas) continue;
    for (const auto& segment : segments) {
      if (wish.vectors == Placement::kCold) leave_cache(context, *segment);
      const std::uint64_t wanted = bytes_of(pinned_regions(*segment, wish));
      if (wanted == 0 || segment->pinned_bytes.load() != 0 || segment->is_not_pinned) continue;
      auto made = check_budget(context, pinned, wanted);
      if (made) made = pin(*segment, wish);
      if (made) {
        pinned += wanted;
        continue;
      }
      segment->is_not_pinned = true;
      context.report(Event::Kind::kNotPinned, "a segment of a pinned family stays in the page cache",
                     made.error());
    }
  }
}

std::uint64_t pinned_bytes(const StoreContext& context) {
  std::uint64_t sum = 0;
  for (const auto& family : context.family_list()) {
    for (const auto& segment : family->by_ordinal) sum += segment->pinned_bytes.load();
  }
  return sum;
}

}  // namespace vectolith::engine
