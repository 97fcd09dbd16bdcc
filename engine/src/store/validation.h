/// @file
/// Checks of a vector before it is stored: length, finite values, not all zero, unit norm.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include <vectolith/format/model_spec.h>
#include <vectolith/stats.h>

namespace vectolith::engine {

/// Largest deviation of a squared norm from 1 that still counts as unit norm: rounding of f32, f16
/// and bf16 elements at up to kDimMax dimensions stays well below it.
inline constexpr double kUnitNormTolerance = 1e-2;

struct Rejection {
  RejectReason reason{};
  std::string message;
};
/// What is wrong with `vector` under `spec`; nullopt if nothing is. `is_unit` tells, for float types,
/// whether its norm is 1 within tolerance. Cost: one pass over the vector.
std::optional<Rejection> validate(std::span<const std::byte> vector, const ModelSpec& spec, bool& is_unit);

}  // namespace vectolith::engine
