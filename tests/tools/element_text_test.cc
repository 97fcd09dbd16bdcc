/// @file
/// Vectors as JSON: digits that read back to the same bits, and every reason to refuse one.
#include "element_text.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include <gtest/gtest.h>

#include "support/random_seed.h"

namespace vectolith::tools {
namespace {

ModelSpec spec_of(Dtype dtype, std::uint32_t dim) {
  ModelSpec spec;
  spec.dtype = dtype;
  spec.dim = dim;
  return spec;
}

Result<std::vector<std::byte>> bytes_of(std::string_view text, const ModelSpec& spec) {
  VECTOLITH_TRY_ASSIGN(const auto json, parse_vector_json(text));
  std::vector<std::byte> bytes;
  VECTOLITH_TRY(append_vector_bytes(json, spec, bytes));
  return bytes;
}

TEST(ElementText, EveryFiniteFloatReadsBackToTheSameBits) {
  std::mt19937_64 random(testing::random_seed());
  for (int round = 0; round < 20'000; ++round) {
    const auto value = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    if (!std::isfinite(value)) continue;
    std::string text;
    append_vector_text(text, Dtype::kF32, std::as_bytes(std::span(&value, 1)));
    const auto bytes = bytes_of(text, spec_of(Dtype::kF32, 1));
    ASSERT_TRUE(bytes.has_value()) << text << ": " << bytes.error().to_string();
    EXPECT_EQ(std::memcmp(bytes->data(), &value, 4), 0) << text;
  }
}

TEST(ElementText, EveryFiniteHalfAndBfloatReadsBackToTheSameBits) {
  for (std::uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    if (std::isfinite(float_from_half(half))) {
      EXPECT_EQ(half_from_float(float_from_half(half)), half);
    }
    if (std::isfinite(float_from_bfloat(half))) {
      EXPECT_EQ(bfloat_from_float(float_from_bfloat(half)), half);
    }
  }
}

TEST(ElementText, NegativeZeroKeepsItsSign) {
  for (const auto dtype : {Dtype::kF32, Dtype::kF16, Dtype::kBf16}) {
    const auto spec = spec_of(dtype, 2);
    std::vector<std::byte> vector(spec.vector_bytes());
    vector.back() = std::byte{0x80};
    std::string text;
    append_vector_text(text, dtype, vector);
    const auto bytes = bytes_of(text, spec);
    ASSERT_TRUE(bytes.has_value()) << text << ": " << bytes.error().to_string();
    EXPECT_EQ(*bytes, vector) << text;
  }
}

TEST(ElementText, FloatsRoundToTheNearestHalfAndTiesToEven) {
  std::mt19937_64 random(testing::random_seed());
  for (int round = 0; round < 20'000; ++round) {
    const auto low = static_cast<std::uint16_t>(random() % 0x7BFF);  // a finite half and its successor
    const double below = float_from_half(low);
    const double above = float_from_half(static_cast<std::uint16_t>(low + 1));
    const double share = static_cast<double>(random() % 1'001) / 1'000;
    const auto value = static_cast<float>(below + share * (above - below));
    const double middle = (below + above) / 2;
    const std::uint16_t even = low % 2 == 0 ? low : static_cast<std::uint16_t>(low + 1);
    const std::uint16_t nearest = double{value} < middle   ? low
                                  : double{value} > middle ? static_cast<std::uint16_t>(low + 1)
                                                           : even;
    EXPECT_EQ(half_from_float(value), nearest) << value;
  }
  EXPECT_EQ(half_from_float(65'520.0F), 0x7C00);
  EXPECT_EQ(half_from_float(65'519.0F), 0x7BFF);
  EXPECT_TRUE(std::isnan(float_from_half(half_from_float(std::numeric_limits<float>::quiet_NaN()))));
}

TEST(ElementText, IntegersAndBitsReadBackToTheSameBytes) {
  const std::array<std::byte, 2> bytes = {std::byte{0x81}, std::byte{0x7F}};
  const std::array<std::pair<Dtype, std::string>, 3> cases = {
      {{Dtype::kI8, "[-127,127]"},
       {Dtype::kU8, "[129,127]"},
       {Dtype::kB1, "[1,0,0,0,0,0,0,1,1,1,1,1,1,1,1,0]"}}};
  for (const auto& [dtype, text] : cases) {
    std::string written;
    append_vector_text(written, dtype, bytes);
    EXPECT_EQ(written, text);
    const auto read = bytes_of(text, spec_of(dtype, dtype == Dtype::kB1 ? 16 : 2));
    ASSERT_TRUE(read.has_value());
    EXPECT_EQ(std::memcmp(read->data(), bytes.data(), 2), 0);
  }
}

TEST(ElementText, RefusesWhatTheElementTypeCannotHold) {
  const std::array<std::pair<std::string, Dtype>, 9> cases = {{{"[1,\"2\"]", Dtype::kF32},
                                                               {"[1,null]", Dtype::kF32},
                                                               {"[1]", Dtype::kF32},
                                                               {"[1,2,3]", Dtype::kF32},
                                                               {"{\"a\":1}", Dtype::kF32},
                                                               {"[1,128]", Dtype::kI8},
                                                               {"[1,-1]", Dtype::kU8},
                                                               {"[1,18446744073709551615]", Dtype::kI8},
                                                               {"[0.5,1]", Dtype::kU8}}};
  for (const auto& [text, dtype] : cases) {
    const auto bytes = bytes_of(text, spec_of(dtype, 2));
    ASSERT_FALSE(bytes.has_value()) << text;
    EXPECT_EQ(bytes.error().code(), ErrorCode::kInvalidArgument) << text;
  }
}

TEST(ElementText, NamesTheByteWhereTextStopsBeingJson) {
  const auto json = parse_vector_json("[1, 2, oops]");
  ASSERT_FALSE(json.has_value());
  EXPECT_EQ(json.error().code(), ErrorCode::kCorruption);
  EXPECT_EQ(json.error().offset(), 8U);  // the parser counts from 1
  EXPECT_FALSE(parse_vector_json("[1e99]").has_value());
}

}  // namespace
}  // namespace vectolith::tools
