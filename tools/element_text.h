/// @file
/// Vectors as JSON arrays of numbers, for every element type, both ways.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include <vectolith/format/model_spec.h>
#include <vectolith/format/result.h>

namespace vectolith::tools {

/// JSON whose numbers are f32: a decimal number is rounded once, to the nearest float.
using VectorJson =
    nlohmann::basic_json<std::map, std::vector, std::string, bool, std::int64_t, std::uint64_t, float>;

/// Appends the vector as a JSON array. Floats have the shortest digits that read back to the same bits;
/// a b1 vector is an array of its bits, 0 or 1, lowest bit of the first byte first.
void append_vector_text(std::string& text, Dtype dtype, std::span<const std::byte> vector);

/// Appends the bytes of `array` to `out`.
/// Errors: kInvalidArgument naming the element, when it is no array, has another length than `spec.dim`,
///         or holds something that the element type cannot hold.
Result<void> append_vector_bytes(const VectorJson& array, const ModelSpec& spec, std::vector<std::byte>& out);

/// Errors: kCorruption with the byte at which `text` stops being JSON.
Result<VectorJson> parse_vector_json(std::string_view text);

/// IEEE 754 binary16, rounded to nearest even; overflow becomes infinity.
std::uint16_t half_from_float(float value) noexcept;
float float_from_half(std::uint16_t half) noexcept;
/// bfloat16, rounded to nearest even.
std::uint16_t bfloat_from_float(float value) noexcept;
float float_from_bfloat(std::uint16_t bfloat) noexcept;

}  // namespace vectolith::tools
