/// @file
/// Regions fit, don't overlap, are aligned, and waste little, for every file size and row width.
#include <random>

#include <gtest/gtest.h>

#include <vectolith/format/segment.h>

#include "format/damage.h"
#include "support/random_seed.h"

namespace vectolith::format {
namespace {

constexpr std::uint64_t kMiB = 1U << 20;

std::uint64_t matrix_alignment(const SegmentGeometry& geometry) {
  return geometry.file_bytes >= kMatrixAlignedFileBytesMin ? kMatrixAlignment : kRegionAlignment;
}

void expect_sound(const SegmentGeometry& g, std::uint64_t requested, bool has_meta) {
  EXPECT_LE(g.file_bytes, requested);
  EXPECT_GE(g.file_bytes, kSegmentFileBytesMin);
  EXPECT_EQ(g.file_bytes % kRegionAlignment, 0U);
  EXPECT_GE(g.row_capacity, 1U);
  EXPECT_LE(g.row_capacity, kSegmentRowsMax);
  if (has_meta) {
    EXPECT_EQ(g.meta_offset, kSegmentHeaderBytes);
    EXPECT_GE(g.meta_bytes, std::uint64_t{g.row_capacity} * sizeof(MetaRow));
  } else {
    EXPECT_EQ(g.meta_offset, 0U);
    EXPECT_EQ(g.meta_bytes, 0U);
  }
  EXPECT_GE(g.matrix_offset, std::max<std::uint64_t>(kSegmentHeaderBytes, g.meta_offset + g.meta_bytes));
  EXPECT_EQ(g.matrix_offset % matrix_alignment(g), 0U);
  EXPECT_GE(g.matrix_bytes, std::uint64_t{g.row_capacity} * g.row_bytes);
  EXPECT_EQ(g.matrix_bytes % kRegionAlignment, 0U);
  EXPECT_GE(g.footer_offset, g.matrix_offset + g.matrix_bytes);
  EXPECT_EQ(g.footer_offset % kRegionAlignment, 0U);
  EXPECT_EQ(g.footer_offset + g.footer_bytes, g.file_bytes) << "the footer is the last region";
}

/// Block sums for a full segment and 256 invalid ranges.
std::uint64_t footer_need(const SegmentGeometry& g) {
  const std::uint64_t used = std::uint64_t{g.row_capacity} * g.row_bytes;
  return 80 + 8 * ((used + kMatrixBlockBytes - 1) / kMatrixBlockBytes) + 256 * sizeof(RowRange);
}

/// Whether another row would have fitted, by the documented layout alone.
bool fits_one_more(const SegmentGeometry& g, std::uint64_t requested) {
  const std::uint64_t rows = std::uint64_t{g.row_capacity} + 1;
  const auto up = [](std::uint64_t value, std::uint64_t to) { return (value + to - 1) / to * to; };
  const std::uint64_t meta = g.meta_bytes == 0 ? 0 : up(rows * sizeof(MetaRow), kRegionAlignment);
  const std::uint64_t matrix = up(kSegmentHeaderBytes + meta, matrix_alignment(g));
  return matrix + up(rows * g.row_bytes, kRegionAlignment) + g.footer_bytes <= requested / 4'096 * 4'096;
}

TEST(VectorGeometry, IsSoundAndMaximalForRandomFilesAndRows) {
  std::mt19937_64 random(vectolith::testing::random_seed());
  for (int i = 0; i < 20'000; ++i) {
    const std::uint64_t magnitude = 16 + random() % 25;
    const std::uint64_t file_bytes = std::min(
        kSegmentFileBytesMax, (std::uint64_t{1} << magnitude) + random() % (std::uint64_t{1} << magnitude));
    const auto row_bytes = static_cast<std::uint32_t>(1 + random() % (std::uint64_t{1} << (random() % 19)));
    const auto geometry = vector_geometry(file_bytes, row_bytes);
    if (!geometry.has_value()) {
      ASSERT_EQ(geometry.error().code(), ErrorCode::kInvalidArgument);
      ASSERT_GT(row_bytes + 5 * kRegionAlignment + 2 * kMatrixAlignment, file_bytes)
          << "a row would have fitted";
      continue;
    }
    SCOPED_TRACE(std::to_string(file_bytes) + " bytes, rows of " + std::to_string(row_bytes));
    expect_sound(*geometry, file_bytes, true);
    ASSERT_LE(footer_need(*geometry), geometry->footer_bytes);
    ASSERT_TRUE(geometry->row_capacity == kSegmentRowsMax || !fits_one_more(*geometry, file_bytes));
    if (HasFailure()) return;
  }
}

TEST(RecordGeometry, IsSoundAndMaximalForEverySize) {
  for (std::uint64_t file_bytes = kSegmentFileBytesMin; file_bytes < 4 * kMiB; file_bytes += 1'000) {
    const auto geometry = record_geometry(file_bytes);
    ASSERT_TRUE(geometry.has_value()) << file_bytes;
    SCOPED_TRACE(file_bytes);
    expect_sound(*geometry, file_bytes, false);
    ASSERT_EQ(geometry->row_bytes, 64U);
    ASSERT_FALSE(fits_one_more(*geometry, file_bytes));
    if (HasFailure()) return;
  }
}

TEST(VectorGeometry, OverheadOfUsualVectorsStaysBelowTwoPointSixPercent) {
  const auto geometry = vector_geometry(64 * kMiB, 768 * 4);
  ASSERT_TRUE(geometry.has_value());
  const double payload = 3'072.0 * geometry->row_capacity;
  EXPECT_LE(static_cast<double>(geometry->file_bytes) / payload, 1.026);
}

TEST(Geometry, TheRowLimitBindsAndTheFileShrinksToIt) {
  const auto narrow = vector_geometry(1U << 30, 16);
  ASSERT_TRUE(narrow.has_value());
  EXPECT_EQ(narrow->row_capacity, kSegmentRowsMax);
  EXPECT_LT(narrow->file_bytes, 81 * kMiB) << "2^20 rows of 64 + 16 bytes need 80 MiB";
  const auto records = record_geometry(kSegmentFileBytesMax);
  ASSERT_TRUE(records.has_value());
  EXPECT_EQ(records->row_capacity, kSegmentRowsMax);
  EXPECT_LT(records->file_bytes, 75 * kMiB);
  expect_sound(*narrow, 1U << 30, true);
  expect_sound(*records, kSegmentFileBytesMax, false);
}

TEST(Geometry, TheLargestVectorInTheLargestFileIsSound) {
  const auto geometry = vector_geometry(kSegmentFileBytesMax, kDimMax * 4);
  ASSERT_TRUE(geometry.has_value());
  expect_sound(*geometry, kSegmentFileBytesMax, true);
  EXPECT_LE(footer_need(*geometry), geometry->footer_bytes);
}

TEST(Geometry, RefusesSizesOutsideTheLimitsAndRowsThatDoNotFit) {
  for (const std::uint64_t bytes :
       {std::uint64_t{0}, kSegmentFileBytesMin - 1, kSegmentFileBytesMax + 1, ~std::uint64_t{0}}) {
    EXPECT_EQ(code_of(vector_geometry(bytes, 128)), ErrorCode::kInvalidArgument) << bytes;
    EXPECT_EQ(code_of(record_geometry(bytes)), ErrorCode::kInvalidArgument) << bytes;
  }
  EXPECT_EQ(code_of(vector_geometry(kSegmentFileBytesMin, 65'536)), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of(vector_geometry(kSegmentFileBytesMin, 0)), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of(vector_geometry(kSegmentFileBytesMin, ~std::uint32_t{0})), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace vectolith::format
