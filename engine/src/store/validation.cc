/// @file
/// Validation per dtype; floats of 16 bits are widened for the norm.
#include "store/validation.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace vectolith {

std::string_view to_string(RejectReason reason) noexcept {
  switch (reason) {
    case RejectReason::kLength: return "length";
    case RejectReason::kNotFinite: return "not_finite";
    case RejectReason::kAllZero: return "all_zero";
    case RejectReason::kNotUnitNorm: return "not_unit_norm";
    case RejectReason::kValidator: return "validator";
    case RejectReason::kCount: break;
  }
  return "unknown";
}

namespace engine {
namespace {

float widen_bf16(std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16); }

/// IEEE 754 binary16 to binary32; exact.
float widen_f16(std::uint16_t bits) {
  const std::uint32_t sign = (bits & 0x8000U) << 16;
  const std::uint32_t exponent = bits >> 10 & 0x1FU;
  const std::uint32_t fraction = bits & 0x3FFU;
  if (exponent == 0) {
    const float value = std::ldexp(static_cast<float>(fraction), -24);
    return sign != 0 ? -value : value;
  }
  const std::uint32_t wide = exponent == 31 ? 0xFFU : exponent + 112;
  return std::bit_cast<float>(sign | wide << 23 | fraction << 13);
}

/// Sum of squares over all elements. A NaN or an infinity anywhere makes it not finite.
template <class Element, class Widen>
double sum_of_squares(std::span<const std::byte> vector, const Widen& widen) {
  constexpr std::size_t kLanes = 16;  // Independent sums, so that the loop vectorises.
  std::array<float, kLanes> lanes{};
  const std::size_t count = vector.size() / sizeof(Element);
  double total = 0;
  for (std::size_t first = 0; first < count;) {
    const std::size_t end = std::min(count, first + 1'024);
    lanes.fill(0);
    for (; first + kLanes <= end; first += kLanes) {
      std::array<Element, kLanes> chunk;
      std::memcpy(chunk.data(), vector.data() + first * sizeof(Element), sizeof(chunk));
      for (std::size_t i = 0; i < kLanes; ++i) lanes[i] += widen(chunk[i]) * widen(chunk[i]);
    }
    for (; first < end; ++first) {
      Element element;
      std::memcpy(&element, vector.data() + first * sizeof(Element), sizeof(element));
      lanes[0] += widen(element) * widen(element);
    }
    for (const float lane : lanes) total += static_cast<double>(lane);
  }
  return total;
}

/// Squares can overflow or vanish where the elements are fine: looks at the elements themselves.
template <class Element, class Widen>
bool all_finite(std::span<const std::byte> vector, const Widen& widen) {
  for (std::size_t at = 0; at < vector.size(); at += sizeof(Element)) {
    Element element;
    std::memcpy(&element, vector.data() + at, sizeof(element));
    if (!std::isfinite(widen(element))) return false;
  }
  return true;
}

bool all_zero(std::span<const std::byte> vector) {
  return std::ranges::all_of(vector, [](std::byte b) { return b == std::byte{0}; });
}

template <class Element, class Widen>
std::optional<Rejection> validate_floats(std::span<const std::byte> vector, const ModelSpec& spec,
                                         bool& is_unit, const Widen& widen) {
  const double squares = sum_of_squares<Element>(vector, widen);
  if (!std::isfinite(squares) && !all_finite<Element>(vector, widen)) {
    return Rejection{RejectReason::kNotFinite, "the vector holds a NaN or an infinity"};
  }
  if (squares == 0) {
    // Negative zeros are zeros, and tiny elements are not, though their squares may vanish.
    for (std::size_t at = 0; at < vector.size(); at += sizeof(Element)) {
      Element element;
      std::memcpy(&element, vector.data() + at, sizeof(element));
      if (widen(element) != 0.0F) return std::nullopt;
    }
    return Rejection{RejectReason::kAllZero, "the vector is all zero"};
  }
  is_unit = std::abs(squares - 1) <= kUnitNormTolerance;
  if (spec.unit_norm && !is_unit) {
    return Rejection{RejectReason::kNotUnitNorm, "the family is of unit norm, the vector's norm is " +
                                                     std::to_string(std::sqrt(squares))};
  }
  return std::nullopt;
}

}  // namespace

std::optional<Rejection> validate(std::span<const std::byte> vector, const ModelSpec& spec, bool& is_unit) {
  is_unit = false;
  if (vector.size() != spec.vector_bytes()) {
    return Rejection{RejectReason::kLength,
                     "the vector has " + std::to_string(vector.size()) + " bytes, the family's have " +
                         std::to_string(spec.vector_bytes()) + " (" + std::to_string(spec.dim) + " x " +
                         std::string(to_string(spec.dtype)) + ")"};
  }
  switch (spec.dtype) {
    case Dtype::kF32: return validate_floats<float>(vector, spec, is_unit, [](float value) { return value; });
    case Dtype::kF16: return validate_floats<std::uint16_t>(vector, spec, is_unit, widen_f16);
    case Dtype::kBf16: return validate_floats<std::uint16_t>(vector, spec, is_unit, widen_bf16);
    case Dtype::kI8:
    case Dtype::kU8:
    case Dtype::kB1: break;
  }
  if (all_zero(vector)) return Rejection{RejectReason::kAllZero, "the vector is all zero"};
  return std::nullopt;
}

}  // namespace engine
}  // namespace vectolith
