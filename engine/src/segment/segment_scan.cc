/// @file
/// Scans of vector and record segments under the recovery table.
#include "segment/segment_scan.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <vectolith/format/record.h>

#include "planted_bug.h"
#include "segment/sealing.h"

namespace vectolith::engine {
namespace {

constexpr std::uint16_t kBatchFlags = format::kRowBatchBegin | format::kRowBatchEnd | format::kRowBatchMember;

/// Collects verdicts in ascending row order and cuts the unfinished tail off at the end.
class ScanBuilder {
 public:
  explicit ScanBuilder(std::uint32_t watermark) { scan_.watermark = watermark; }

  void keep(std::uint32_t row, std::uint32_t rows) {
    close_gap(row);
    ++scan_.kept;
    scan_.row_count = gap_first_ = row + rows;
  }
  void reject(std::uint32_t row, RowVerdict verdict) {
    if (verdict == RowVerdict::kDamaged) {
      // A run of damaged rows is one finding per row; of units, one per gap.
      scan_.damaged.push_back(row);
      scan_.row_count = std::max(scan_.row_count, row + 1);
    } else if (verdict == RowVerdict::kUnfinished) {
      ++scan_.unfinished;
    }
  }
  SegmentScan finish() {
    close_gap(scan_.row_count);
    return std::move(scan_);
  }
  /// For a segment whose count the manifest has settled: every row below it is kept or invalid.
  SegmentScan finish_at(std::uint32_t row_count) {
    scan_.row_count = row_count;
    return finish();
  }

 private:
  void close_gap(std::uint32_t next) {
    if (gap_first_ < next) scan_.invalid.push_back({gap_first_, next - 1});
    gap_first_ = std::max(gap_first_, next);
  }
  SegmentScan scan_;
  std::uint32_t gap_first_ = 0;
};

format::RowState state_of(const MappedSegment& segment, std::uint32_t row) {
  const auto& header = segment.header();
  return format::classify_row(segment.meta(row), header.segment_uuid, header.previous_uuid, RowIndex(row));
}

/// The durable prefix that the valid rows themselves attest.
std::uint32_t attested_watermark(const MappedSegment& segment) {
  std::uint32_t watermark = 0;
  for (std::uint32_t row = 0; row < segment.capacity(); ++row) {
    if (state_of(segment, row) != format::RowState::kValid) continue;
    const auto& meta = segment.meta(row);
    if ((meta.flags & format::kRowBatchBegin) != 0 || meta.lag_or_count == format::kLagUnknown) continue;
    if (meta.lag_or_count <= row) watermark = std::max(watermark, row - meta.lag_or_count);
  }
  return watermark;
}

bool vector_holds(const MappedSegment& segment, std::uint32_t row) {
  const std::span<const std::byte> vector(segment.vector(row), segment.header().row_bytes);
  return format::vector_sum(segment.header().segment_uuid, RowIndex(row), vector) ==
         segment.meta(row).vector_sum;
}

/// True if rows [first, first + count) are a whole batch that begins at `first`.
bool is_whole_batch(const MappedSegment& segment, std::uint32_t first) {
  const std::uint32_t count = segment.meta(first).lag_or_count;
  if (count < 2 || count > segment.capacity() - first) return false;
  for (std::uint32_t row = first; row < first + count; ++row) {
    if (state_of(segment, row) != format::RowState::kValid || !vector_holds(segment, row)) return false;
    const auto flags = segment.meta(row).flags;
    const bool is_last = row + 1 == first + count;
    if ((flags & format::kRowBatchMember) == 0 || ((flags & format::kRowBatchEnd) != 0) != is_last)
      return false;
    if (row != first && (flags & format::kRowBatchBegin) != 0) return false;
  }
  return true;
}

/// Judges rows [0, rows) and leaves the end to the caller. Those known to be invalid stay so, whatever
/// has landed there since.
ScanBuilder judge_vectors(const MappedSegment& segment, std::uint32_t rows, std::uint32_t watermark) {
  ScanBuilder builder(watermark);
  std::uint32_t batch_end = 0;  // Rows below it belong to a batch that was found whole.
  for (std::uint32_t row = 0; row < rows; ++row) {
    if (!segment.invalid.empty() && is_in_ranges(segment.invalid, row)) continue;
    const auto state = state_of(segment, row);
    PayloadState payload = PayloadState::kUnread;
    BatchState batch = BatchState::kNone;
    if (state == format::RowState::kValid && row >= watermark) {
      payload = row < batch_end || vector_holds(segment, row) ? PayloadState::kHolds : PayloadState::kFails;
      const auto flags = segment.meta(row).flags;
      if ((flags & format::kRowBatchBegin) != 0 && is_whole_batch(segment, row)) {
        batch_end = row + segment.meta(row).lag_or_count;
      }
      if ((flags & kBatchFlags) != 0 && !is_planted(PlantedBug::kAcceptPartOfBatch))
        batch = row < batch_end ? BatchState::kWhole : BatchState::kBroken;
    }
    const auto verdict = decide(state, row < watermark, payload, batch);
    if (verdict == RowVerdict::kKeep) {
      builder.keep(row, 1);
    } else {
      builder.reject(row, verdict);
      if (is_planted(PlantedBug::kStopAtFirstBadRow)) break;
    }
  }
  return builder;
}

bool is_zero(const std::byte* bytes) {
  static constexpr std::array<std::byte, 64> kZeros{};
  return std::memcmp(bytes, kZeros.data(), kZeros.size()) == 0;
}

/// Walks records from `unit`; sums let it resynchronise at any 64-byte boundary.
template <class Visit>
void walk_units(const MappedSegment& segment, std::uint32_t units, const Visit& visit) {
  std::uint32_t unit = 0;
  while (unit < units) {
    const auto bytes = segment.record_bytes(unit);
    const auto& life = segment.header().segment_uuid;
    auto header = format::decode_record_header(bytes, life, RowIndex(unit));
    const bool whole = header.has_value() && format::decode_record(bytes, life, RowIndex(unit)).has_value();
    visit(unit, header.has_value() ? &*header : nullptr, whole);
    unit += header.has_value() ? header->units() : 1;
  }
}

/// Judges units [0, units) and leaves the end to the caller.
ScanBuilder judge_records(const MappedSegment& segment, std::uint32_t units, std::uint32_t watermark) {
  walk_units(segment, units, [&](std::uint32_t unit, const format::RecordView* record, bool whole) {
    if (record == nullptr || !whole || record->prefix.lag_or_count == format::kLagUnknown) return;
    if (record->prefix.lag_or_count <= unit)
      watermark = std::max<std::uint32_t>(watermark, unit - record->prefix.lag_or_count);
  });
  ScanBuilder builder(watermark);
  bool in_gap = false;
  walk_units(segment, units, [&](std::uint32_t unit, const format::RecordView* record, bool whole) {
    if (!segment.invalid.empty() && is_in_ranges(segment.invalid, unit)) return;
    auto state = record != nullptr ? format::RowState::kValid : format::RowState::kInvalid;
    if (record == nullptr && is_zero(segment.head(unit))) state = format::RowState::kZero;
    if (record != nullptr && !whole) state = format::RowState::kInvalid;
    // What was invalid once stays so, though a write that was in flight may have landed since.
    if (is_in_ranges(segment.invalid, unit)) return;
    const auto payload = whole ? PayloadState::kHolds : PayloadState::kFails;
    const auto verdict = decide(state, unit < watermark, payload, BatchState::kNone);
    if (verdict == RowVerdict::kKeep) {
      builder.keep(unit, record->units());
      in_gap = false;
    } else if (!in_gap || verdict != RowVerdict::kDamaged) {
      builder.reject(unit, verdict);
      in_gap = true;
    }
  });
  return builder;
}

}  // namespace

Result<SegmentScan> scan_unsealed(const MappedSegment& segment, std::uint32_t watermark_known) {
  const auto& header = segment.header();
  VECTOLITH_TRY(segment.mapping().populate(header.meta_offset, header.meta_bytes));
  VECTOLITH_TRY(segment.mapping().populate(header.matrix_offset, header.matrix_bytes));
  if (segment.holds_records()) return judge_records(segment, segment.capacity(), watermark_known).finish();
  const std::uint32_t watermark = std::max(watermark_known, attested_watermark(segment));
  return judge_vectors(segment, segment.capacity(), watermark).finish();
}

Result<SegmentScan> scan_settled(const MappedSegment& segment, std::uint32_t row_count,
                                 std::uint32_t rows_durable) {
  const auto& header = segment.header();
  const auto populate = [&](std::uint64_t offset, std::uint64_t first, std::uint64_t row_bytes) {
    return segment.mapping().populate(offset + first * row_bytes, (row_count - first) * row_bytes);
  };
  if (segment.holds_records()) {
    VECTOLITH_TRY(populate(header.matrix_offset, 0, 64));
    return judge_records(segment, row_count, rows_durable).finish_at(row_count);
  }
  VECTOLITH_TRY(populate(header.meta_offset, 0, 64));
  VECTOLITH_TRY(populate(header.matrix_offset, rows_durable, header.row_bytes));
  return judge_vectors(segment, row_count, rows_durable).finish_at(row_count);
}

}  // namespace vectolith::engine
