/// @file
/// Conversion between vector bytes and JSON numbers.
#include "element_text.h"

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <optional>

namespace vectolith::tools {

namespace {

template <class T>
T load(std::span<const std::byte> bytes, std::size_t index) noexcept {
  T value;
  std::memcpy(&value, bytes.data() + index * sizeof(T), sizeof(T));
  return value;
}

template <class T>
void store(std::span<std::byte> bytes, std::size_t index, T value) noexcept {
  std::memcpy(bytes.data() + index * sizeof(T), &value, sizeof(T));
}

template <class T>
void append_number(std::string& text, T value) {
  std::array<char, 32> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  text.append(digits.data(), end);
}

void append_float(std::string& text, float value) {
  // JSON's "-0" is an integer, which has no negative zero.
  if (value == 0 && std::signbit(value)) {
    text += "-0.0";
  } else {
    append_number(text, value);
  }
}

std::size_t element_count(Dtype dtype, std::span<const std::byte> vector) noexcept {
  switch (dtype) {
    case Dtype::kF32: return vector.size() / 4;
    case Dtype::kF16:
    case Dtype::kBf16: return vector.size() / 2;
    case Dtype::kI8:
    case Dtype::kU8: return vector.size();
    case Dtype::kB1: return vector.size() * 8;
  }
  return 0;
}

void append_element(std::string& text, Dtype dtype, std::span<const std::byte> vector, std::size_t i) {
  switch (dtype) {
    case Dtype::kF32: return append_float(text, load<float>(vector, i));
    case Dtype::kF16: return append_float(text, float_from_half(load<std::uint16_t>(vector, i)));
    case Dtype::kBf16: return append_float(text, float_from_bfloat(load<std::uint16_t>(vector, i)));
    case Dtype::kI8: return append_number(text, int{load<std::int8_t>(vector, i)});
    case Dtype::kU8: return append_number(text, int{load<std::uint8_t>(vector, i)});
    case Dtype::kB1: return append_number(text, load<std::uint8_t>(vector, i / 8) >> (i % 8) & 1);
  }
}

struct IntegerRange {
  std::int64_t min;
  std::int64_t max;
};

std::optional<IntegerRange> integer_range(Dtype dtype) noexcept {
  switch (dtype) {
    case Dtype::kI8: return IntegerRange{-128, 127};
    case Dtype::kU8: return IntegerRange{0, 255};
    case Dtype::kB1: return IntegerRange{0, 1};
    default: return std::nullopt;
  }
}

bool fits(const VectorJson& element, Dtype dtype) {
  const auto range = integer_range(dtype);
  if (!range.has_value()) return element.is_number() && std::isfinite(element.get<float>());
  if (!element.is_number_integer()) return false;
  // Numbers above INT64_MAX are unsigned and would wrap in a signed comparison.
  if (element.is_number_unsigned())
    return element.get<std::uint64_t>() <= static_cast<std::uint64_t>(range->max);
  return element.get<std::int64_t>() >= range->min && element.get<std::int64_t>() <= range->max;
}

void store_element(std::span<std::byte> vector, std::size_t i, Dtype dtype, const VectorJson& element) {
  switch (dtype) {
    case Dtype::kF32: return store(vector, i, element.get<float>());
    case Dtype::kF16: return store(vector, i, half_from_float(element.get<float>()));
    case Dtype::kBf16: return store(vector, i, bfloat_from_float(element.get<float>()));
    case Dtype::kI8:
    case Dtype::kU8: return store(vector, i, static_cast<std::uint8_t>(element.get<std::int64_t>()));
    case Dtype::kB1:
      if (element.get<std::int64_t>() != 0) vector[i / 8] |= static_cast<std::byte>(1U << (i % 8));
  }
}

}  // namespace

void append_vector_text(std::string& text, Dtype dtype, std::span<const std::byte> vector) {
  const std::size_t count = element_count(dtype, vector);
  text += '[';
  for (std::size_t i = 0; i < count; ++i) {
    if (i > 0) text += ',';
    append_element(text, dtype, vector, i);
  }
  text += ']';
}

Result<void> append_vector_bytes(const VectorJson& array, const ModelSpec& spec,
                                 std::vector<std::byte>& out) {
  if (!array.is_array()) return fail(ErrorCode::kInvalidArgument, "the vector is no JSON array of numbers");
  if (array.size() != spec.dim) {
    return std::unexpected(Error(ErrorCode::kInvalidArgument, "the vector has the wrong length")
                               .with_expected(std::to_string(spec.dim) + " elements")
                               .with_found(std::to_string(array.size())));
  }
  for (std::size_t i = 0; i < array.size(); ++i) {
    if (fits(array[i], spec.dtype)) continue;
    return std::unexpected(
        Error(ErrorCode::kInvalidArgument, "element " + std::to_string(i) + " does not fit")
            .with_expected("a finite number of type " + std::string(to_string(spec.dtype)))
            .with_found(array[i].dump()));
  }
  const std::size_t start = out.size();
  out.resize(start + spec.vector_bytes());
  const auto vector = std::span(out).subspan(start);
  for (std::size_t i = 0; i < array.size(); ++i) store_element(vector, i, spec.dtype, array[i]);
  return {};
}

Result<VectorJson> parse_vector_json(std::string_view text) {
  try {
    return VectorJson::parse(text);
  } catch (const VectorJson::parse_error& error) {
    return std::unexpected(
        Error(ErrorCode::kCorruption, "this is no JSON").with_found(error.what()).with_offset(error.byte));
  } catch (const VectorJson::exception& error) {
    // A number beyond the range of float.
    return std::unexpected(
        Error(ErrorCode::kCorruption, "this JSON cannot be read").with_found(error.what()));
  }
}

std::uint16_t half_from_float(float value) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000U);
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  if (magnitude > 0x7F800000U) return static_cast<std::uint16_t>(sign | 0x7E00U);   // NaN
  if (magnitude >= 0x477FF000U) return static_cast<std::uint16_t>(sign | 0x7C00U);  // rounds beyond 65504
  if (magnitude < 0x38800000U) {
    // Subnormal: adding 0.5 puts the last bit of the half at the last bit of the float, rounded.
    const auto shifted = std::bit_cast<float>(magnitude) + 0.5F;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3F000000U));
  }
  const std::uint32_t odd = magnitude >> 13 & 1U;
  return static_cast<std::uint16_t>(sign | ((magnitude - 0x38000000U + 0xFFFU + odd) >> 13));
}

float float_from_half(std::uint16_t half) noexcept {
  const std::uint32_t sign = (half & 0x8000U) << 16;
  const std::uint32_t exponent = half >> 10 & 31U;
  const std::uint32_t mantissa = half & 1023U;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000U | mantissa << 13);
  if (exponent == 0) {
    const float magnitude = std::ldexp(static_cast<float>(mantissa), -24);
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
  }
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
}

std::uint16_t bfloat_from_float(float value) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (std::isnan(value)) return static_cast<std::uint16_t>(bits >> 16 | 0x40U);
  return static_cast<std::uint16_t>((bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16);
}

float float_from_bfloat(std::uint16_t bfloat) noexcept {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bfloat) << 16);
}

}  // namespace vectolith::tools
