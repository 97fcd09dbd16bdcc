/// @file
/// Where the regions of a segment go: the most rows that fit a file of a given size.
#include <algorithm>
#include <string>

#include <vectolith/format/bytes.h>
#include <vectolith/format/segment.h>

#include "fixed_layouts.h"

namespace vectolith::format {
namespace {

constexpr std::uint32_t kRecordUnitBytes = 64;
/// A footer has room for this many invalid ranges besides its block sums.
constexpr std::uint64_t kFooterRangesMin = 256;

/// Small files get small footers; huge ones room for the sum of every block.
std::uint64_t footer_region_bytes(std::uint64_t file_bytes) noexcept {
  constexpr std::uint64_t kKiB = 1'024;
  constexpr std::uint64_t kMiB = kKiB * kKiB;
  const std::uint64_t usual = file_bytes >= 4 * kMiB ? 64 * kKiB : file_bytes >= kMiB ? 16 * kKiB : 4 * kKiB;
  const std::uint64_t blocks = file_bytes / kMatrixBlockBytes + 1;
  const std::uint64_t needed =
      sizeof(FooterHead) + blocks * sizeof(std::uint64_t) + kFooterRangesMin * sizeof(RowRange);
  return std::max(usual, align_up(needed, kRegionAlignment));
}

std::uint64_t matrix_alignment(std::uint64_t file_bytes) noexcept {
  return file_bytes >= kMatrixAlignedFileBytesMin ? kMatrixAlignment : kRegionAlignment;
}

/// Regions for exactly `rows` rows, packed; `file_bytes` is where the last one ends.
SegmentGeometry packed(std::uint64_t file_bytes, std::uint32_t row_bytes, std::uint32_t rows,
                       bool has_meta) noexcept {
  SegmentGeometry geometry;
  geometry.row_bytes = row_bytes;
  geometry.row_capacity = rows;
  geometry.meta_offset = has_meta ? kSegmentHeaderBytes : 0;
  geometry.meta_bytes = has_meta ? align_up(std::uint64_t{rows} * sizeof(MetaRow), kRegionAlignment) : 0;
  geometry.matrix_offset = align_up(kSegmentHeaderBytes + geometry.meta_bytes, matrix_alignment(file_bytes));
  geometry.matrix_bytes = align_up(std::uint64_t{rows} * row_bytes, kRegionAlignment);
  geometry.footer_offset = geometry.matrix_offset + geometry.matrix_bytes;
  geometry.footer_bytes = footer_region_bytes(file_bytes);
  geometry.file_bytes = geometry.footer_offset + geometry.footer_bytes;
  return geometry;
}

Result<SegmentGeometry> largest(std::uint64_t requested_bytes, std::uint32_t row_bytes, bool has_meta) {
  if (requested_bytes < kSegmentFileBytesMin || requested_bytes > kSegmentFileBytesMax) {
    return std::unexpected(Error(ErrorCode::kInvalidArgument, "segment file size is out of range")
                               .with_expected(std::to_string(kSegmentFileBytesMin) + " to " +
                                              std::to_string(kSegmentFileBytesMax) + " bytes")
                               .with_found(std::to_string(requested_bytes)));
  }
  const std::uint64_t file_bytes = requested_bytes / kRegionAlignment * kRegionAlignment;
  const auto fits = [&](std::uint32_t rows) {
    return packed(file_bytes, row_bytes, rows, has_meta).file_bytes <= file_bytes;
  };
  if (row_bytes == 0 || !fits(1)) {
    return std::unexpected(Error(ErrorCode::kInvalidArgument, "segment file holds no row of this size")
                               .with_expected("at least 1 row of 1 byte or more")
                               .with_found(std::to_string(row_bytes) + " bytes a row, " +
                                           std::to_string(file_bytes) + " bytes in the file"));
  }
  // The size grows with the rows, so the last count that fits is found by bisection.
  std::uint32_t fitting = 1;
  std::uint32_t excessive = kSegmentRowsMax + 1;
  while (excessive - fitting > 1) {
    const std::uint32_t middle = fitting + (excessive - fitting) / 2;
    (fits(middle) ? fitting : excessive) = middle;
  }
  SegmentGeometry geometry = packed(file_bytes, row_bytes, fitting, has_meta);
  // Where the row limit binds the file is made smaller: space behind it could hold nothing.
  if (fitting < kSegmentRowsMax) {
    geometry.footer_offset = file_bytes - geometry.footer_bytes;
    geometry.file_bytes = file_bytes;
  }
  return geometry;
}

}  // namespace

Result<SegmentGeometry> vector_geometry(std::uint64_t file_bytes, std::uint32_t row_bytes) {
  return largest(file_bytes, row_bytes, true);
}

Result<SegmentGeometry> record_geometry(std::uint64_t file_bytes) {
  return largest(file_bytes, kRecordUnitBytes, false);
}

SegmentGeometry SegmentHeader::geometry() const noexcept {
  return {.row_bytes = row_bytes,
          .row_capacity = row_capacity,
          .meta_offset = meta_offset,
          .meta_bytes = meta_bytes,
          .matrix_offset = matrix_offset,
          .matrix_bytes = matrix_bytes,
          .footer_offset = footer_offset,
          .footer_bytes = footer_bytes,
          .file_bytes = file_bytes};
}

void SegmentHeader::set_geometry(const SegmentGeometry& geometry) noexcept {
  row_bytes = geometry.row_bytes;
  row_capacity = geometry.row_capacity;
  meta_offset = geometry.meta_offset;
  meta_bytes = geometry.meta_bytes;
  matrix_offset = geometry.matrix_offset;
  matrix_bytes = geometry.matrix_bytes;
  footer_offset = geometry.footer_offset;
  footer_bytes = geometry.footer_bytes;
  file_bytes = geometry.file_bytes;
}

}  // namespace vectolith::format
