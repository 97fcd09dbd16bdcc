/// @file
/// Any bytes as a segment: a header, and behind it what is read both as a footer and as meta rows.

#include <vectolith/format/segment.h>

#include "fuzz_support.h"

namespace vectolith::fuzz {
namespace {

void check_regions(const format::SegmentHeader& header) {
  const auto g = header.geometry();
  VECTOLITH_FUZZ_CHECK(g.file_bytes <= format::kSegmentFileBytesMax);
  VECTOLITH_FUZZ_CHECK(g.row_capacity >= 1 && g.row_capacity <= format::kSegmentRowsMax);
  VECTOLITH_FUZZ_CHECK(g.meta_offset <= g.file_bytes && g.meta_bytes <= g.file_bytes - g.meta_offset);
  VECTOLITH_FUZZ_CHECK(g.matrix_offset >= format::kSegmentHeaderBytes &&
                       g.matrix_offset >= g.meta_offset + g.meta_bytes);
  VECTOLITH_FUZZ_CHECK(g.matrix_bytes >= std::uint64_t{g.row_capacity} * g.row_bytes);
  VECTOLITH_FUZZ_CHECK(g.footer_offset >= g.matrix_offset + g.matrix_bytes);
  VECTOLITH_FUZZ_CHECK(g.footer_bytes <= g.file_bytes - g.footer_offset);
}

void check_footer(std::span<const std::byte> region, const format::SegmentHeader& header) {
  const auto footer = format::decode_segment_footer(region, header);
  if (!footer.has_value()) return;
  VECTOLITH_FUZZ_CHECK(footer->row_count <= header.row_capacity);
  for (const auto& range : footer->invalid)
    VECTOLITH_FUZZ_CHECK(range.first <= range.last && range.last < footer->row_count);
  const auto encoded = format::encode_segment_footer(*footer, region.size());
  VECTOLITH_FUZZ_CHECK(encoded.has_value() && is_prefix(*encoded, region));
}

/// Makes the footer's sum hold if its length lies inside the region.
void reseal_footer(std::span<std::byte> region, const Uuid& life) {
  if (region.size() < 80) return;
  const auto footer_bytes = load<std::uint32_t>(region, 32);
  if (footer_bytes < 80 || footer_bytes > region.size()) return;
  const std::uint64_t seed = format::position_seed(life, ~std::uint64_t{0});
  store(region, 8, format::checksum64(region.first(footer_bytes).subspan(16), seed));
}

void check_meta_rows(std::span<const std::byte> column, const format::SegmentHeader& header) {
  for (std::uint32_t row = 0; std::size_t{row + 1} * 64 <= column.size() && row < header.row_capacity;
       ++row) {
    auto meta = load<format::MetaRow>(column, std::size_t{row} * 64);
    const auto state = format::classify_row(meta, header.segment_uuid, header.previous_uuid, RowIndex(row));
    if (state == format::RowState::kValid) VECTOLITH_FUZZ_CHECK(meta.sequence().value != 0);
    meta.row_sum = format::row_sum(header.segment_uuid, RowIndex(row), meta);
    const bool legal = meta.sequence().value != 0 && (meta.flags & ~format::kRowFlagsKnown) == 0;
    const auto resealed =
        format::classify_row(meta, header.segment_uuid, header.previous_uuid, RowIndex(row));
    VECTOLITH_FUZZ_CHECK((resealed == format::RowState::kValid) == legal);
  }
}

void check(Bytes bytes) {
  const auto header = format::decode_segment_header(bytes);
  if (!header.has_value()) return;
  check_regions(*header);
  VECTOLITH_FUZZ_CHECK(is_prefix(format::encode_segment_header(*header), bytes));
  const bool is_vector = header->kind == format::SegmentKind::kVector;
  VECTOLITH_FUZZ_CHECK(!is_vector || format::segment_spec(*header).has_value());
  const auto rest = std::span(bytes).subspan(format::kSegmentHeaderBytes);
  check_meta_rows(rest, *header);
  check_footer(rest, *header);
  reseal_footer(rest, header->segment_uuid);
  check_footer(rest, *header);
}

}  // namespace
}  // namespace vectolith::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto bytes = vectolith::fuzz::copy_of(data, size);
  vectolith::fuzz::check(bytes);
  vectolith::fuzz::reseal_header(bytes);
  vectolith::fuzz::check(bytes);
  return 0;
}
