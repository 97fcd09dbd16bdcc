/// @file
/// Scanning a segment's rows after a close or a crash: what is kept, damaged, unfinished.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <vectolith/format/result.h>
#include <vectolith/format/segment.h>

#include "segment/mapped_segment.h"
#include "segment/recovery_table.h"

namespace vectolith::engine {

/// What a scan of one segment found. Rows of a record segment are 64-byte units.
struct SegmentScan {
  std::uint32_t row_count = 0;  ///< One past the last row that is kept or damaged.
  std::uint32_t watermark = 0;  ///< Rows below it were acknowledged durable.
  std::uint32_t kept = 0;       ///< Rows, or records.
  std::uint32_t unfinished = 0;
  std::vector<std::uint32_t> damaged;     ///< Rows (or first units of a gap) below the watermark.
  std::vector<format::RowRange> invalid;  ///< Rows below row_count that are not kept.
};

/// Scans all rows of an unsealed segment; valid rows behind invalid ones count (rule R2).
///
/// `watermark_known`: rows durable according to manifest or journal; rows themselves may raise it.
/// Errors: kIo if the file cannot be read. Damage is in the result.
Result<SegmentScan> scan_unsealed(const MappedSegment& segment, std::uint32_t watermark_known);

/// Checks the row sums of [0, row_count) of a sealed, suspended or frozen segment; `segment.invalid`
/// is skipped. Rows from `rows_durable` on (of a frozen segment, whose data were not synced) may have been
/// lost to a power cut since: they are judged as in an unsealed segment, and what does not hold is dropped.
/// Cost: reads the meta column, and vectors from `rows_durable` on (all of a record segment).
Result<SegmentScan> scan_settled(const MappedSegment& segment, std::uint32_t row_count,
                                 std::uint32_t rows_durable);

}  // namespace vectolith::engine
