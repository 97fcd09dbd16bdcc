/// @file
/// Footers computed from mapped rows, written, and unused tails given back.
#include "segment/sealing.h"

#include <algorithm>
#include <utility>

#include <vectolith/format/bytes.h>
#include <vectolith/format/checksum.h>

namespace vectolith::engine {

bool is_in_ranges(const std::vector<format::RowRange>& ranges, std::uint32_t row) noexcept {
  const auto after =
      std::upper_bound(ranges.begin(), ranges.end(), row,
                       [](std::uint32_t r, const format::RowRange& range) { return r < range.first; });
  return after != ranges.begin() && row <= std::prev(after)->last;
}

Result<format::SegmentFooter> build_footer(const MappedSegment& segment,
                                           std::vector<format::InternedEntry> interned) {
  const auto& header = segment.header();
  const std::uint32_t rows = segment.rows();
  const std::uint64_t used_bytes = std::uint64_t{rows} * header.row_bytes;
  VECTOLITH_TRY(segment.mapping().populate(header.meta_offset, header.meta_bytes));
  VECTOLITH_TRY(segment.mapping().populate(header.matrix_offset, used_bytes));

  format::SegmentFooter footer;
  footer.segment_uuid = header.segment_uuid;
  footer.row_count = rows;
  footer.invalid = segment.invalid;
  footer.interned = std::move(interned);
  const auto bytes = segment.mapping().bytes();
  if (!segment.holds_records()) {
    footer.meta_sum = format::checksum64(bytes.subspan(header.meta_offset, std::size_t{rows} * 64));
  }
  for (std::uint64_t at = 0; at < used_bytes; at += format::kMatrixBlockBytes) {
    const auto length = std::min<std::uint64_t>(format::kMatrixBlockBytes, used_bytes - at);
    footer.block_sums.push_back(format::checksum64(bytes.subspan(header.matrix_offset + at, length)));
  }
  bool first = true;
  VECTOLITH_TRY(for_each_row(segment, rows, [&](std::uint32_t row) {
    const Sequence sequence = segment.sequence(row);
    footer.first_sequence = first ? sequence : std::min(footer.first_sequence, sequence);
    footer.last_sequence = std::max(footer.last_sequence, sequence);
    first = false;
  }));
  return footer;
}

Result<void> write_footer(MappedSegment& segment, const format::SegmentFooter& footer) {
  VECTOLITH_TRY_ASSIGN(const auto bytes,
                       format::encode_segment_footer(footer, segment.header().footer_bytes));
  VECTOLITH_TRY(segment.file().write_at(segment.header().footer_offset, bytes));
  return segment.file().data_sync();
}

Result<void> rewrite_unsynced_rows(MappedSegment& segment) {
  constexpr std::uint64_t kChunkBytes = 1ULL << 20;
  const auto& header = segment.header();
  const std::uint64_t first = segment.rows_durable();
  const std::uint64_t rows = segment.rows() - first;
  const auto rewrite = [&](std::uint64_t offset, std::uint64_t length) -> Result<void> {
    VECTOLITH_TRY(segment.mapping().populate(offset, length));
    for (std::uint64_t done = 0; done < length; done += kChunkBytes) {
      const auto shown =
          segment.mapping().bytes().subspan(offset + done, std::min(kChunkBytes, length - done));
      const std::vector<std::byte> chunk(shown.begin(), shown.end());
      VECTOLITH_TRY(segment.file().write_at(offset + done, chunk));
    }
    return {};
  };
  if (!segment.holds_records()) VECTOLITH_TRY(rewrite(header.meta_offset + first * 64, rows * 64));
  return rewrite(header.matrix_offset + first * header.row_bytes, rows * header.row_bytes);
}

Result<void> release_unused_tail(MappedSegment& segment, std::uint32_t rows) {
  const auto& header = segment.header();
  const auto release = [&](std::uint64_t used_end, std::uint64_t region_end) -> Result<void> {
    const auto first = format::align_up(used_end, format::kRegionAlignment);
    if (first >= region_end) return {};
    return segment.file().punch(first, region_end - first);
  };
  if (!segment.holds_records()) {
    VECTOLITH_TRY(release(header.meta_offset + std::uint64_t{rows} * 64, header.matrix_offset));
  }
  return release(header.matrix_offset + std::uint64_t{rows} * header.row_bytes, header.footer_offset);
}

}  // namespace vectolith::engine
