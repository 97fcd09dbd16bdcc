/// @file
/// Any bytes as a segment: a header, and behind it what is read both as a footer and as meta rows.

#include <vectolith/format/segment.h>

#include "fuzz_support.h"
#include "sum_repair.h"

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

void check_meta_rows(std::span<const std::byte> column, const format::SegmentHeader& header) {
  for (std::uint32_t row = 0; std::size_t{row + 1} * 64 <= column.size() && row < header.row_capacity;
       ++row) {
    const auto meta = load<format::MetaRow>(column, std::size_t{row} * 64);
    const auto state = format::classify_row(meta, header.segment_uuid, header.previous_uuid, RowIndex(row));
    const bool legal = meta.sequence().value != 0 && (meta.flags & ~format::kRowFlagsKnown) == 0;
    const bool holds = meta.row_sum == format::row_sum(header.segment_uuid, RowIndex(row), meta);
    VECTOLITH_FUZZ_CHECK((state == format::RowState::kValid) == (legal && holds));
  }
}

void check(const Bytes& bytes) {
  const auto header = format::decode_segment_header(bytes);
  if (!header.has_value()) return;
  check_regions(*header);
  VECTOLITH_FUZZ_CHECK(is_prefix(format::encode_segment_header(*header), bytes));
  const bool is_vector = header->kind == format::SegmentKind::kVector;
  VECTOLITH_FUZZ_CHECK(!is_vector || format::segment_spec(*header).has_value());
  const auto rest = std::span(bytes).subspan(format::kSegmentHeaderBytes);
  check_meta_rows(rest, *header);
  check_footer(rest, *header);
}

}  // namespace

void repair(std::span<std::byte> input) {
  if (input.size() < kHeaderBytes) return;
  repair_header(input);
  const auto life = load<Uuid>(input, offsetof(format::SegmentHeader, segment_uuid));
  const auto rest = input.subspan(kHeaderBytes);
  if (rest.size() >= 8 && std::memcmp(rest.data(), format::kFooterMagic.data(), 8) == 0) {
    return repair_footer(rest, life);
  }
  for (std::uint32_t row = 0; std::size_t{row + 1} * 64 <= rest.size(); ++row) {
    repair_meta_row(rest.subspan(std::size_t{row} * 64, 64), life, RowIndex(row));
  }
}

}  // namespace vectolith::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  vectolith::fuzz::check(vectolith::fuzz::copy_of(data, size));
  return 0;
}
