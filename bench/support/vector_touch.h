/// @file
/// What a bench does with a vector it was given: read all of it, or multiply it with a query.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace vectolith::bench {

/// The sum of the 8-byte words: reads every byte once, and nothing can be skipped.
/// Shapes: a multiple of 32 bytes, 8-byte aligned.
std::uint64_t touch(std::span<const std::byte> vector) noexcept;

/// Dot product of two f32 vectors of `dim` elements. Shapes: `dim` is a multiple of 32.
float dot(const float* a, const float* b, std::size_t dim) noexcept;

}  // namespace vectolith::bench
