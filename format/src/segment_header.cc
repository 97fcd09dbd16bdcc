/// @file
/// Segment headers: encoding, and every check a hostile one has to pass.
#include <algorithm>
#include <string>
#include <utility>

#include <vectolith/format/segment.h>

#include "decode_checks.h"

namespace vectolith::format {
namespace {

constexpr std::string_view kWhat = "segment header";
constexpr std::uint32_t kRecordUnitBytes = 64;
/// Readers load a footer at once: this bounds what a hostile header can make them allocate.
constexpr std::uint64_t kFooterBytesMax = 16U << 20;

struct Region {
  std::string_view name;
  std::uint64_t offset;
  std::uint64_t bytes;
  std::uint64_t bytes_min;
  std::size_t field_offset;
};

Result<void> check_fixed_fields(const SegmentHeader& header) {
  if (header.header_bytes != kSegmentHeaderBytes) {
    return corrupt("segment header: wrong size", offsetof(SegmentHeader, header_bytes), kSegmentHeaderBytes,
                   header.header_bytes);
  }
  VECTOLITH_TRY(check_reserved(header.reserved, kWhat, offsetof(SegmentHeader, reserved)));
  VECTOLITH_TRY(check_reserved(header.reserved1, kWhat, offsetof(SegmentHeader, reserved1)));
  if (header.kind != SegmentKind::kVector && header.kind != SegmentKind::kRecord) {
    return corrupt("segment header: unknown kind", offsetof(SegmentHeader, kind), "1 or 2",
                   std::to_string(std::to_underlying(header.kind)));
  }
  if (header.group > SegmentGroup::kMain) {
    return corrupt("segment header: unknown group", offsetof(SegmentHeader, group), "0 to 2",
                   std::to_string(std::to_underlying(header.group)));
  }
  if (header.family_id.value == 0) {
    return corrupt("segment header: no family", offsetof(SegmentHeader, family_id), "not 0", "0");
  }
  if (header.spec_bytes > kModelSpecBytesMax) {
    return corrupt("segment header: model spec is too long", offsetof(SegmentHeader, spec_bytes),
                   kModelSpecBytesMax, header.spec_bytes);
  }
  return check_reserved(std::span(header.spec).subspan(header.spec_bytes), kWhat,
                        offsetof(SegmentHeader, spec) + header.spec_bytes);
}

/// Errors: kCorruption unless `region` starts at or after `*end` and ends inside the file.
Result<void> place_region(const Region& region, std::uint64_t file_bytes, std::uint64_t alignment,
                          std::uint64_t* end) {
  const std::string name = "segment header: " + std::string(region.name);
  if (region.offset % alignment != 0 || region.bytes % kRegionAlignment != 0) {
    return corrupt(name + " is not aligned", region.field_offset, "multiples of " + std::to_string(alignment),
                   std::to_string(region.offset) + " + " + std::to_string(region.bytes));
  }
  if (region.offset < *end) {
    return corrupt(name + " overlaps the region before it", region.field_offset, *end, region.offset);
  }
  // Subtraction, not addition: offset + bytes of a hostile header wraps.
  if (region.offset > file_bytes || region.bytes > file_bytes - region.offset) {
    return corrupt(name + " leaves the file", region.field_offset, "end within " + std::to_string(file_bytes),
                   std::to_string(region.offset) + " + " + std::to_string(region.bytes));
  }
  if (region.bytes < region.bytes_min) {
    return corrupt(name + " is too small for its rows", region.field_offset, region.bytes_min, region.bytes);
  }
  *end = region.offset + region.bytes;
  return {};
}

Result<void> check_sizes(const SegmentHeader& header) {
  if (header.file_bytes < kSegmentFileBytesMin || header.file_bytes > kSegmentFileBytesMax ||
      header.file_bytes % kRegionAlignment != 0) {
    return corrupt("segment header: illegal file size", offsetof(SegmentHeader, file_bytes),
                   "a multiple of 4096 from 65536 to 2^40", std::to_string(header.file_bytes));
  }
  if (header.row_capacity == 0 || header.row_capacity > kSegmentRowsMax) {
    return corrupt("segment header: illegal row capacity", offsetof(SegmentHeader, row_capacity),
                   "1 to " + std::to_string(kSegmentRowsMax), std::to_string(header.row_capacity));
  }
  if (header.footer_bytes < kRegionAlignment || header.footer_bytes > kFooterBytesMax) {
    return corrupt("segment header: illegal footer size", offsetof(SegmentHeader, footer_bytes),
                   "4096 to 16777216", std::to_string(header.footer_bytes));
  }
  return {};
}

Result<void> check_regions(const SegmentHeader& header) {
  VECTOLITH_TRY(check_sizes(header));
  const std::uint64_t rows = header.row_capacity;
  std::uint64_t end = kSegmentHeaderBytes;
  if (header.kind == SegmentKind::kVector) {
    const Region meta{"meta column", header.meta_offset, header.meta_bytes, rows * sizeof(MetaRow),
                      offsetof(SegmentHeader, meta_offset)};
    VECTOLITH_TRY(place_region(meta, header.file_bytes, kRegionAlignment, &end));
  } else if (header.meta_offset != 0 || header.meta_bytes != 0) {
    return corrupt("segment header: a record segment has no meta column",
                   offsetof(SegmentHeader, meta_offset), "0",
                   std::to_string(header.meta_offset) + " + " + std::to_string(header.meta_bytes));
  }
  const Region matrix{"matrix", header.matrix_offset, header.matrix_bytes, rows * header.row_bytes,
                      offsetof(SegmentHeader, matrix_offset)};
  const bool large = header.file_bytes >= kMatrixAlignedFileBytesMin;
  VECTOLITH_TRY(place_region(matrix, header.file_bytes, large ? kMatrixAlignment : kRegionAlignment, &end));
  const Region footer{"footer", header.footer_offset, header.footer_bytes, kRegionAlignment,
                      offsetof(SegmentHeader, footer_offset)};
  return place_region(footer, header.file_bytes, kRegionAlignment, &end);
}

Result<void> check_record_fields(const SegmentHeader& header) {
  const bool plain = header.dim == 0 && std::to_underlying(header.dtype) == 0 &&
                     std::to_underlying(header.metric) == 0 && header.unit_norm == 0 &&
                     header.spec_bytes == 0 && header.fingerprint.is_nil();
  if (!plain) {
    return corrupt("segment header: a record segment has no model spec", offsetof(SegmentHeader, dim), "0",
                   "other");
  }
  if (header.row_bytes != kRecordUnitBytes) {
    return corrupt("segment header: record units are 64 bytes", offsetof(SegmentHeader, row_bytes),
                   kRecordUnitBytes, header.row_bytes);
  }
  return {};
}

Result<void> check_vector_fields(const SegmentHeader& header) {
  VECTOLITH_TRY_ASSIGN(const auto spec, segment_spec(header));
  if (header.dim != spec.dim || header.dtype != spec.dtype || header.metric != spec.metric ||
      header.unit_norm != (spec.unit_norm ? 1 : 0)) {
    return corrupt("segment header: dim, dtype, metric or unit_norm disagrees with the model spec",
                   offsetof(SegmentHeader, dim),
                   std::to_string(spec.dim) + " " + std::string(to_string(spec.dtype)),
                   std::to_string(header.dim) + " " + std::string(to_string(header.dtype)));
  }
  if (header.row_bytes != spec.vector_bytes()) {
    return corrupt("segment header: row size disagrees with the model spec",
                   offsetof(SegmentHeader, row_bytes), spec.vector_bytes(), header.row_bytes);
  }
  if (const auto expected = fingerprint(spec); header.fingerprint != expected) {
    return corrupt("segment header: fingerprint disagrees with the model spec",
                   offsetof(SegmentHeader, fingerprint), hex_of(expected.bytes),
                   hex_of(header.fingerprint.bytes));
  }
  return {};
}

}  // namespace

std::array<std::byte, kSegmentHeaderBytes> encode_segment_header(SegmentHeader header) {
  return encode_header(header);
}

Result<SegmentHeader> decode_segment_header(std::span<const std::byte> bytes) {
  VECTOLITH_TRY_ASSIGN(const auto header, decode_header<SegmentHeader>(bytes, kSegmentMagic, kWhat));
  VECTOLITH_TRY(check_fixed_fields(header));
  VECTOLITH_TRY(header.kind == SegmentKind::kVector ? check_vector_fields(header)
                                                    : check_record_fields(header));
  VECTOLITH_TRY(check_regions(header));
  return header;
}

void SegmentHeader::set_spec(const ModelSpec& model) {
  dim = model.dim;
  dtype = model.dtype;
  metric = model.metric;
  unit_norm = model.unit_norm ? 1 : 0;
  fingerprint = format::fingerprint(model);
  const auto encoded = encode_model_spec(model);
  spec_bytes = static_cast<std::uint32_t>(encoded.size());
  std::ranges::copy(encoded, spec.begin());
}

Result<ModelSpec> segment_spec(const SegmentHeader& header) {
  if (header.spec_bytes > header.spec.size()) {
    return corrupt("segment header: model spec is too long", offsetof(SegmentHeader, spec_bytes),
                   header.spec.size(), header.spec_bytes);
  }
  return decode_model_spec(std::span(header.spec).first(header.spec_bytes));
}

}  // namespace vectolith::format
