/// @file
/// Which rows of a segment can be read, judged from its bytes alone: what repair and salvage keep.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include <vectolith/format/key.h>
#include <vectolith/format/result.h>
#include <vectolith/format/segment.h>

#include "io/environment.h"
#include "manifest/manifest_state.h"

namespace vectolith::engine {

/// A row (or record) whose sums hold, its vector's or payload's included.
struct KeptRow {
  std::uint32_t row = 0;  ///< Row, or first unit of a record.
  Key key;
  Sequence sequence;
  BuildId build;
  std::uint64_t created_at_ms = 0;
};

/// A row that was acknowledged, or served, and cannot be read any more.
struct LostRow {
  std::uint32_t row = 0;
  /// Which version of which key it was, if its head can still be read.
  std::optional<std::pair<Key, Sequence>> version;
};

using InternedId = std::pair<format::InternedEntry::Table, std::uint32_t>;

/// What a segment's bytes are worth.
struct SegmentJudgement {
  std::uint32_t row_count = 0;            ///< One past the last row that is kept or lost.
  std::uint32_t watermark = 0;            ///< Rows below it were durable.
  std::vector<format::RowRange> invalid;  ///< All rows below `row_count` that are not kept.
  std::vector<KeptRow> kept;
  std::vector<LostRow> lost;       ///< One for each row; for records one for each gap.
  std::uint32_t unfinished = 0;    ///< Rows nobody was promised: no loss.
  std::uint64_t bytes_unread = 0;  ///< What the disk refused, or the file was too short for.
  std::set<InternedId> interned;   ///< Ids that kept rows use.
  Sequence newest;                 ///< Highest sequence of a readable head.
};

/// Judges the rows that `entry` counts; of an active segment all of them, under the recovery table with
/// `watermark` as the durable prefix known from elsewhere. Ranges that `entry` calls invalid stay so.
///
/// Reads with pread: a failing page is a damaged row. Memory: the meta column, or all of a record segment
/// (64 MiB each at most).
SegmentJudgement judge_segment(const File& file, const format::SegmentHeader& header,
                               const SegmentEntry& entry, std::uint32_t watermark);

/// The vector of `row`, if its sums hold. Of a record segment the payload, decompressed.
/// Errors: kCorruption.
Result<std::vector<std::byte>> read_row(const File& file, const format::SegmentHeader& header,
                                        std::uint32_t row);

}  // namespace vectolith::engine
