/// @file
/// New segments: sized, created, mapped and named in the manifest; sealed when they are full.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include <vectolith/format/manifest.h>
#include <vectolith/format/result.h>

#include "segment/mapped_segment.h"
#include "store/store_context.h"

namespace vectolith::engine {

/// Makes and seals the segments of a store. Threads: any.
class SegmentFactory {
 public:
  explicit SegmentFactory(StoreContext& context) : context_(context) {}

  /// Ids are handed out from the manifest's counter; set once, at open.
  void set_next_ids(const format::NextIds& next) noexcept { next_segment_.store(next.segment.value); }

  /// Rows (units) of a segment that `create` would make of `file_bytes`. Errors: kInvalidArgument.
  [[nodiscard]] Result<std::uint32_t> capacity(const FamilyState& family, std::uint64_t file_bytes) const;
  /// A mapped, empty segment of about `file_bytes` (at least 16 rows), not yet in the manifest.
  /// When the disk is full, lets go of what was dropped; then halves the size down to the smallest that is
  /// useful.
  /// Errors: kNoSpace, kNoMemory, kIo.
  Result<std::shared_ptr<MappedSegment>> create(const FamilyState& family, std::uint64_t file_bytes);

  /// As `create`, and named in the manifest as active.
  Result<std::shared_ptr<MappedSegment>> create_active(const FamilyState& family, std::uint64_t file_bytes);

  /// The manifest edit that adds `segment` to its family.
  static format::AddSegment add_edit(const MappedSegment& segment);
  /// Footer of a full or final segment, with the interned entries that its rows use. Errors: kIo.
  Result<format::SegmentFooter> footer_of(const MappedSegment& segment) const;
  /// The manifest edit that seals it.
  static format::SealSegment seal_edit(const MappedSegment& segment, const format::SegmentFooter& footer);
  /// Makes the data durable if they are not, writes the footer, commits the edit.
  /// Errors: kIo and others; `sync_failed` tells whether rows may be lost with the segment.
  Result<void> seal(MappedSegment& segment, bool& sync_failed);
  /// Unlinks the file of a segment that the manifest does not name (any more). What stays, the next open
  /// removes.
  void remove_file(const MappedSegment& segment) noexcept;
  void remove_file(SegmentId id) noexcept;

 private:
  Result<format::SegmentGeometry> geometry(const FamilyState& family, std::uint64_t file_bytes) const;
  format::SegmentHeader header(const FamilyState& family, const format::SegmentGeometry& geometry);

  StoreContext& context_;
  std::atomic<std::uint64_t> next_segment_{1};
};

}  // namespace vectolith::engine
