/// @file
/// Follows the format's own lengths from sum to sum.
#include "sum_repair.h"

#include <algorithm>
#include <cstring>

#include <vectolith/format/bytes.h>
#include <vectolith/format/checksum.h>
#include <vectolith/format/journal.h>
#include <vectolith/format/manifest.h>
#include <vectolith/format/record.h>

#include "fuzz_support.h"

namespace vectolith::fuzz {
namespace {

constexpr std::size_t kFrameHeadBytes = 32;
constexpr std::size_t kFooterHeadBytes = 80;
constexpr std::size_t kRowBytes = 64;

bool all_zero(std::span<const std::byte> bytes) {
  return std::ranges::all_of(bytes, [](std::byte byte) { return byte == std::byte{0}; });
}

bool is_wanted(const Wanted& wanted, std::size_t offset, std::size_t bytes) {
  return !wanted || wanted(offset, bytes);
}

bool inside(std::uint64_t offset, std::uint64_t bytes, std::span<const std::byte> file) {
  return offset <= file.size() && bytes <= file.size() - offset;
}

/// Both sums of row `row`, if it was ever written.
void repair_row(std::span<std::byte> file, const format::SegmentHeader& header, std::uint32_t row,
                const Wanted& wanted) {
  const std::uint64_t meta_at = header.meta_offset + std::uint64_t{row} * kRowBytes;
  const std::uint64_t vector_at = header.matrix_offset + std::uint64_t{row} * header.row_bytes;
  if (!inside(vector_at, header.row_bytes, file) || all_zero(file.subspan(meta_at, kRowBytes))) return;
  const auto meta = file.subspan(meta_at, kRowBytes);
  if (is_wanted(wanted, vector_at, header.row_bytes)) {
    const auto sum =
        format::vector_sum(header.segment_uuid, RowIndex(row), file.subspan(vector_at, header.row_bytes));
    store(meta, offsetof(format::MetaRow, vector_sum), sum);
  }
  if (is_wanted(wanted, meta_at, kRowBytes)) repair_meta_row(meta, header.segment_uuid, RowIndex(row));
}

void repair_rows(std::span<std::byte> file, const format::SegmentHeader& header, const Wanted& wanted) {
  for (std::uint32_t row = 0; row < header.row_capacity; ++row) {
    if (!inside(header.meta_offset + std::uint64_t{row} * kRowBytes, kRowBytes, file)) return;
    repair_row(file, header, row, wanted);
  }
}

void repair_records(std::span<std::byte> file, const format::SegmentHeader& header, const Wanted& wanted) {
  for (std::uint64_t unit = 0; unit < header.row_capacity;) {
    const std::uint64_t at = header.matrix_offset + unit * kRowBytes;
    if (!inside(at, kRowBytes, file) || all_zero(file.subspan(at, kRowBytes))) return;
    const auto stored_bytes = load<std::uint32_t>(file, at + offsetof(format::RecordHeader, stored_bytes));
    const std::uint64_t units = (80 + std::uint64_t{stored_bytes} + kRowBytes - 1) / kRowBytes;
    if (inside(at, units * kRowBytes, file) && is_wanted(wanted, at, units * kRowBytes)) {
      repair_record(file.subspan(at), header.segment_uuid, RowIndex(static_cast<std::uint32_t>(unit)));
    }
    unit += units;
  }
}

/// Sums over meta column and matrix, where the footer decodes.
void repair_footer_contents(std::span<std::byte> file, const format::SegmentHeader& header) {
  const auto region = file.subspan(header.footer_offset, header.footer_bytes);
  auto footer = format::decode_segment_footer(region, header);
  if (!footer.has_value()) return;
  const std::uint64_t meta_bytes = std::uint64_t{footer->row_count} * kRowBytes;
  if (header.kind == format::SegmentKind::kVector && inside(header.meta_offset, meta_bytes, file)) {
    footer->meta_sum = format::checksum64(file.subspan(header.meta_offset, meta_bytes));
  }
  std::uint64_t left = std::uint64_t{footer->row_count} * header.row_bytes;
  std::uint64_t at = header.matrix_offset;
  for (auto& sum : footer->block_sums) {
    const std::uint64_t bytes = std::min(format::kMatrixBlockBytes, left);
    if (!inside(at, bytes, file)) return;
    sum = format::checksum64(file.subspan(at, bytes));
    at += bytes;
    left -= bytes;
  }
  const auto encoded = format::encode_segment_footer(*footer, region.size());
  if (encoded.has_value()) std::ranges::copy(*encoded, region.begin());
}

}  // namespace

void repair_header(std::span<std::byte> file) {
  if (file.size() < kHeaderBytes) return;
  store(file, kHeaderBytes - 8, format::checksum64(file.first(kHeaderBytes - 8)));
}

void repair_superblock(std::span<std::byte> file) {
  repair_header(file);
  if (file.size() >= 2 * kHeaderBytes) repair_header(file.subspan(kHeaderBytes));
}

void repair_manifest(std::span<std::byte> file, const Wanted& wanted) {
  if (file.size() < kHeaderBytes || all_zero(file.first(kHeaderBytes))) return;
  if (is_wanted(wanted, 0, kHeaderBytes)) repair_header(file);
  const auto life = load<Uuid>(file, offsetof(format::ManifestHeader, life));
  for (std::uint64_t offset = kHeaderBytes; inside(offset, format::kFrameAlignment, file);) {
    const auto rest = file.subspan(offset);
    if (all_zero(rest.first(kFrameHeadBytes))) return;
    const auto frame_bytes = format::align_up(kFrameHeadBytes + std::uint64_t{load<std::uint32_t>(rest, 16)},
                                              format::kFrameAlignment);
    if (frame_bytes > rest.size()) return;
    if (is_wanted(wanted, offset, frame_bytes)) {
      store(rest, 0,
            format::checksum64(rest.first(frame_bytes).subspan(8), format::position_seed(life, offset)));
    }
    offset += frame_bytes;
  }
}

void repair_journal(std::span<std::byte> file, const Wanted& wanted) {
  if (file.size() < kHeaderBytes) return;
  if (is_wanted(wanted, 0, kHeaderBytes)) repair_header(file);
  const auto life = load<Uuid>(file, offsetof(format::JournalHeader, journal_uuid));
  for (std::size_t row = 0; inside(kHeaderBytes + row * kRowBytes, kRowBytes, file); ++row) {
    const auto bytes = file.subspan(kHeaderBytes + row * kRowBytes, kRowBytes);
    if (all_zero(bytes) || !is_wanted(wanted, kHeaderBytes + row * kRowBytes, kRowBytes)) continue;
    auto value = load<format::JournalRow>(bytes, 0);
    format::seal_journal_row(value, life, static_cast<std::uint32_t>(row));
    store(bytes, 0, value);
  }
}

void repair_segment(std::span<std::byte> file, const Wanted& wanted) {
  if (file.size() < kHeaderBytes) return;
  if (is_wanted(wanted, 0, kHeaderBytes)) repair_header(file);
  const auto header = format::decode_segment_header(file);
  if (!header.has_value()) return;
  if (header->kind == format::SegmentKind::kVector) {
    repair_rows(file, *header, wanted);
  } else {
    repair_records(file, *header, wanted);
  }
  if (!inside(header->footer_offset, header->footer_bytes, file)) return;
  const auto region = file.subspan(header->footer_offset, header->footer_bytes);
  repair_footer(region, header->segment_uuid);
  repair_footer_contents(file, *header);
}

void repair_meta_row(std::span<std::byte> row, const Uuid& life, RowIndex index) {
  const auto meta = load<format::MetaRow>(row, 0);
  store(row, offsetof(format::MetaRow, row_sum), format::row_sum(life, index, meta));
}

std::uint32_t repair_record(std::span<std::byte> bytes, const Uuid& life, RowIndex unit) {
  constexpr std::size_t kPayloadOffset = sizeof(format::RecordHeader) + sizeof(format::RecordPrefix);
  if (bytes.size() < kPayloadOffset) return 0;
  const std::uint64_t seed = format::position_seed(life, unit.value);
  store(bytes, 60, static_cast<std::uint32_t>(format::checksum64(bytes.first(60), seed)));
  const auto stored_bytes = load<std::uint32_t>(bytes, offsetof(format::RecordHeader, stored_bytes));
  if (stored_bytes > bytes.size() - kPayloadOffset) return 0;
  store(bytes, 64, format::checksum64(bytes.subspan(72, 8 + std::size_t{stored_bytes}), seed));
  return format::record_units(stored_bytes);
}

void repair_footer(std::span<std::byte> region, const Uuid& life) {
  if (region.size() < kFooterHeadBytes || all_zero(region.first(kFooterHeadBytes))) return;
  const auto footer_bytes = load<std::uint32_t>(region, 32);
  if (footer_bytes < kFooterHeadBytes || footer_bytes > region.size()) return;
  const std::uint64_t seed = format::position_seed(life, ~std::uint64_t{0});
  store(region, 8, format::checksum64(region.first(footer_bytes).subspan(16), seed));
}

}  // namespace vectolith::fuzz
