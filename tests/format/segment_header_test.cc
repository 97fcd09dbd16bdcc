/// @file
/// Segment headers: what decodes is what was encoded, and no hostile field gets through.
#include <functional>
#include <limits>

#include <gtest/gtest.h>

#include <vectolith/format/segment.h>

#include "format/format_samples.h"

namespace vectolith::format {
namespace {

using Change = std::function<void(SegmentHeader&)>;
constexpr std::uint64_t kHuge = std::numeric_limits<std::uint64_t>::max() - 4'095;  // a multiple of 4 KiB

/// The verdict on `header` with `change` applied and the sum made to hold.
ErrorCode refusal(SegmentHeader header, const Change& change) {
  change(header);
  const auto decoded = decode_segment_header(encode_segment_header(header));
  return decoded.has_value() ? ErrorCode{} : decoded.error().code();
}

void expect_corrupt(const SegmentHeader& header,
                    std::initializer_list<std::pair<const char*, Change>> changes) {
  for (const auto& [name, change] : changes) {
    EXPECT_EQ(refusal(header, change), ErrorCode::kCorruption) << name;
  }
}

TEST(DecodeSegmentHeader, ReturnsWhatWasEncodedForAllSixDtypes) {
  for (const Dtype dtype : {Dtype::kF32, Dtype::kF16, Dtype::kBf16, Dtype::kI8, Dtype::kU8, Dtype::kB1}) {
    const auto header = samples::vector_header(dtype);
    const auto decoded = decode_segment_header(encode_segment_header(header));
    ASSERT_TRUE(decoded.has_value()) << decoded.error().to_string();
    EXPECT_EQ(decoded->geometry(), header.geometry());
    EXPECT_EQ(decoded->segment_uuid, header.segment_uuid);
    EXPECT_EQ(decoded->previous_uuid, header.previous_uuid);
    EXPECT_EQ(decoded->family_id, FamilyId(3));
    EXPECT_EQ(segment_spec(*decoded).value(), samples::spec(dtype));
  }
}

TEST(DecodeSegmentHeader, ReturnsRecordHeadersToo) {
  const auto decoded = decode_segment_header(encode_segment_header(samples::record_header()));
  ASSERT_TRUE(decoded.has_value()) << decoded.error().to_string();
  EXPECT_EQ(decoded->kind, SegmentKind::kRecord);
  EXPECT_EQ(decoded->geometry(), record_geometry(kSegmentFileBytesMin).value());
}

TEST(DecodeSegmentHeader, RejectsUnknownEnumerators) {
  expect_corrupt(samples::vector_header(), {{"kind 0", [](auto& h) { h.kind = SegmentKind{}; }},
                                            {"kind 3", [](auto& h) { h.kind = SegmentKind{3}; }},
                                            {"group 3", [](auto& h) { h.group = SegmentGroup{3}; }},
                                            {"unit_norm 2", [](auto& h) { h.unit_norm = 2; }},
                                            {"family 0", [](auto& h) { h.family_id = FamilyId(0); }}});
}

TEST(DecodeSegmentHeader, RejectsASpecThatDisagreesWithTheFields) {
  expect_corrupt(samples::vector_header(),
                 {{"dim", [](auto& h) { h.dim += 8; }},
                  {"dtype", [](auto& h) { h.dtype = Dtype::kBf16; }},
                  {"metric", [](auto& h) { h.metric = Metric::kDot; }},
                  {"unit_norm", [](auto& h) { h.unit_norm = 0; }},
                  {"row_bytes", [](auto& h) { h.row_bytes += 1; }},
                  {"row_bytes 0", [](auto& h) { h.row_bytes = 0; }},
                  {"fingerprint", [](auto& h) { h.fingerprint.bytes[0] ^= std::byte{1}; }},
                  {"spec byte", [](auto& h) { h.spec[20] ^= std::byte{1}; }},
                  {"spec cut", [](auto& h) { h.spec_bytes -= 1; }},
                  {"no spec", [](auto& h) { h.spec_bytes = 0; }},
                  {"spec too long", [](auto& h) { h.spec_bytes = kModelSpecBytesMax + 1; }},
                  {"spec length wraps", [](auto& h) { h.spec_bytes = ~0U; }},
                  {"bytes after the spec", [](auto& h) { h.spec[kModelSpecBytesMax - 1] = std::byte{1}; }}});
}

TEST(DecodeSegmentHeader, RejectsRegionsThatOverlapLeaveTheFileOrWrap) {
  expect_corrupt(
      samples::vector_header(),
      {{"meta in the header", [](auto& h) { h.meta_offset = 0; }},
       {"meta unaligned", [](auto& h) { h.meta_offset += 64; }},
       {"meta over the matrix", [](auto& h) { h.meta_bytes += kRegionAlignment; }},
       {"meta too small", [](auto& h) { h.meta_bytes -= kRegionAlignment; }},
       {"meta wraps",
        [](auto& h) {
          h.meta_offset = kHuge;
          h.meta_bytes = 8'192;
        }},
       {"meta length wraps", [](auto& h) { h.meta_bytes = kHuge; }},
       {"matrix over meta", [](auto& h) { h.matrix_offset -= kRegionAlignment; }},
       {"matrix too small", [](auto& h) { h.matrix_bytes -= kRegionAlignment; }},
       {"matrix length wraps", [](auto& h) { h.matrix_bytes = kHuge; }},
       {"footer over the matrix", [](auto& h) { h.footer_offset = h.matrix_offset; }},
       {"footer leaves the file", [](auto& h) { h.footer_bytes += kRegionAlignment; }},
       {"footer wraps", [](auto& h) { h.footer_offset = kHuge; }},
       {"no footer", [](auto& h) { h.footer_bytes = 0; }},
       {"file too small", [](auto& h) { h.file_bytes -= kRegionAlignment; }},
       {"file unaligned", [](auto& h) { h.file_bytes += 1; }},
       {"file too large", [](auto& h) { h.file_bytes = kSegmentFileBytesMax + kRegionAlignment; }}});
}

TEST(DecodeSegmentHeader, RejectsRowCountsThatOverflow) {
  expect_corrupt(
      samples::vector_header(),
      {{"no rows", [](auto& h) { h.row_capacity = 0; }},
       {"one row more", [](auto& h) { h.row_capacity = static_cast<std::uint32_t>(h.meta_bytes / 64) + 1; }},
       {"above the limit", [](auto& h) { h.row_capacity = kSegmentRowsMax + 1; }},
       {"all ones", [](auto& h) { h.row_capacity = ~0U; }}});
}

TEST(DecodeSegmentHeader, RejectsAFooterTooLargeToLoadAtOnce) {
  auto header = samples::vector_header();
  header.file_bytes = 64U << 20;
  header.matrix_offset = kMatrixAlignment;
  header.footer_bytes = 17U << 20;
  header.footer_offset = header.file_bytes - header.footer_bytes;
  EXPECT_EQ(refusal(header, [](auto&) {}), ErrorCode::kCorruption);
  EXPECT_EQ(refusal(header, [](auto& h) { h.footer_bytes = 16U << 20; }), ErrorCode{});
}

TEST(DecodeSegmentHeader, WantsTheMatrixOfALargeFileOnA64KiBBoundary) {
  auto header = samples::vector_header();
  const auto geometry = vector_geometry(1U << 20, header.row_bytes).value();
  header.file_bytes = geometry.file_bytes;
  header.matrix_offset = geometry.matrix_offset;
  header.footer_offset = geometry.footer_offset;
  header.footer_bytes = geometry.footer_bytes;
  EXPECT_EQ(refusal(header, [](auto&) {}), ErrorCode{});
  EXPECT_EQ(refusal(header, [](auto& h) { h.matrix_offset += kRegionAlignment; }), ErrorCode::kCorruption);
}

TEST(DecodeSegmentHeader, RejectsVectorFieldsInARecordSegment) {
  expect_corrupt(samples::record_header(),
                 {{"dim", [](auto& h) { h.dim = 1; }},
                  {"dtype", [](auto& h) { h.dtype = Dtype::kF32; }},
                  {"metric", [](auto& h) { h.metric = Metric::kDot; }},
                  {"unit_norm", [](auto& h) { h.unit_norm = 1; }},
                  {"fingerprint", [](auto& h) { h.fingerprint = samples::uuid(1); }},
                  {"row_bytes", [](auto& h) { h.row_bytes = 128; }},
                  {"meta_offset", [](auto& h) { h.meta_offset = kSegmentHeaderBytes; }},
                  {"meta_bytes", [](auto& h) { h.meta_bytes = kRegionAlignment; }},
                  {"spec_bytes", [](auto& h) { h.spec_bytes = 1; }},
                  {"spec", [](auto& h) { h.spec[0] = std::byte{1}; }},
                  {"units", [](auto& h) { h.row_capacity += 64; }}});
}

TEST(DecodeSegmentHeader, SaysWhereAndWhatItExpectedAndFound) {
  auto bytes = encode_segment_header(samples::vector_header());
  bytes[300] = std::byte{1};
  const auto error = decode_segment_header(bytes).error();
  EXPECT_EQ(error.offset(), 4'088U);
  EXPECT_TRUE(error.expected().starts_with("0x"));
  EXPECT_TRUE(error.found().starts_with("0x"));
}

}  // namespace
}  // namespace vectolith::format
