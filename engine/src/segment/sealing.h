/// @file
/// Sealing: what a footer says of a segment's bytes, and writing it durably.
#pragma once

#include <vector>

#include <vectolith/format/result.h>
#include <vectolith/format/segment.h>

#include "segment/mapped_segment.h"

namespace vectolith::engine {

/// Computes the footer over rows [0, segment.rows()) less `segment.invalid`, by reading the mapping.
/// Errors: kIo if a page cannot be read.
Result<format::SegmentFooter> build_footer(const MappedSegment& segment,
                                           std::vector<format::InternedEntry> interned);

/// Writes the footer and makes it durable. Precondition: the rows are durable.
/// Errors: kIo, kNoSpace, kLimit; then the segment is not sealed and may be used as before.
Result<void> write_footer(MappedSegment& segment, const format::SegmentFooter& footer);

/// Writes rows [rows_durable, rows) again, as they are. A barrier of the process that wrote them may have
/// failed: then the page cache goes on showing rows that the medium does not have, and calls them clean, and
/// no later barrier would write them. Errors: kIo, kNoSpace.
Result<void> rewrite_unsynced_rows(MappedSegment& segment);

/// Gives back the blocks behind the last row of each region: the file keeps its size, and what is given
/// back reads as zeros. Nobody may read rows behind `rows`, also not through a mapping.
/// Precondition: no write to the segment is under way. Errors: kIo.
Result<void> release_unused_tail(MappedSegment& segment, std::uint32_t rows);

/// True if `row` lies in one of the ascending ranges.
bool is_in_ranges(const std::vector<format::RowRange>& ranges, std::uint32_t row) noexcept;

/// Calls `visit(row)` for each valid row (vector segments) or record start (record segments) of
/// [0, rows). Errors: kCorruption when a record chain breaks.
template <class Visit>
Result<void> for_each_row(const MappedSegment& segment, std::uint32_t rows, const Visit& visit) {
  std::uint32_t row = 0;
  auto skip = segment.invalid.begin();
  while (row < rows) {
    if (skip != segment.invalid.end() && row >= skip->first) {
      row = skip->last + 1;
      ++skip;
      continue;
    }
    if (!segment.holds_records()) {
      visit(row++);
      continue;
    }
    const auto view =
        format::decode_record_header(segment.record_bytes(row), segment.header().segment_uuid, RowIndex(row));
    if (!view) {
      return std::unexpected(
          Error(ErrorCode::kCorruption, "the chain of records breaks: " + view.error().message())
              .with_file(segment.path())
              .with_offset(segment.meta_offset(row)));
    }
    visit(row);
    row += view->units();
  }
  return {};
}

}  // namespace vectolith::engine
