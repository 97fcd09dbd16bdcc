/// @file
/// The model spec: everything that makes two vectors comparable, its canonical bytes and fingerprint.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <vectolith/format/ids.h>
#include <vectolith/format/result.h>

namespace vectolith {

/// Element type of a vector. Persistent values; 0 is invalid.
enum class Dtype : std::uint16_t { kF32 = 1, kF16 = 2, kBf16 = 3, kI8 = 4, kU8 = 5, kB1 = 6 };
/// How two vectors of a family are compared. Persistent values; 0 is invalid.
enum class Metric : std::uint16_t { kCosine = 1, kDot = 2, kL2 = 3 };
/// Which side of a retrieval the model embeds. Persistent values; 0 is invalid.
enum class Role : std::uint16_t { kDocument = 1, kQuery = 2 };

std::string_view to_string(Dtype dtype) noexcept;    ///< "f32", "f16", "bf16", "i8", "u8", "b1".
std::string_view to_string(Metric metric) noexcept;  ///< "cosine", "dot", "l2".
std::string_view to_string(Role role) noexcept;      ///< "document", "query".
std::optional<Dtype> parse_dtype(std::string_view name) noexcept;
std::optional<Metric> parse_metric(std::string_view name) noexcept;
std::optional<Role> parse_role(std::string_view name) noexcept;

inline constexpr std::uint32_t kDimMax = 65'536;
/// Longest canonical encoding of a spec: it must fit into a segment header.
inline constexpr std::size_t kModelSpecBytesMax = 2'048;

/// Bytes of one vector. Shapes: b1 packs 8 elements a byte (dim must be a multiple of 8).
constexpr std::uint32_t vector_bytes(Dtype dtype, std::uint32_t dim) noexcept {
  switch (dtype) {
    case Dtype::kF32: return dim * 4;
    case Dtype::kF16:
    case Dtype::kBf16: return dim * 2;
    case Dtype::kI8:
    case Dtype::kU8: return dim;
    case Dtype::kB1: return dim / 8;
  }
  return 0;
}

/// What makes two vectors comparable. Two families with different specs never mix.
struct ModelSpec {
  std::string model{};       ///< Model id, for example "text-embedding-3-small". May be empty.
  std::string revision{};    ///< Weights revision. May be empty.
  std::string parameters{};  ///< Prompt, pooling, truncation: the caller's canonical text.
  Role role = Role::kDocument;
  std::uint32_t dim = 0;
  Dtype dtype = Dtype::kF32;
  Metric metric = Metric::kCosine;
  bool unit_norm = false;  ///< Every vector has L2 norm 1; checked at put.

  friend bool operator==(const ModelSpec&, const ModelSpec&) = default;
  [[nodiscard]] std::uint32_t vector_bytes() const noexcept { return vectolith::vector_bytes(dtype, dim); }
};

/// 128-bit identity of a spec: XXH3-128 of its canonical bytes.
using Fingerprint = Uuid;

namespace format {

/// Errors: kInvalidArgument naming the field, when dim is 0 or above kDimMax, b1's dim is no multiple
/// of 8, unit_norm is asked of a dtype without a norm (i8, u8, b1), or the encoding would be too long.
Result<void> check_model_spec(const ModelSpec& spec);
/// Canonical bytes: every string length-prefixed, never concatenated. docs/format.md, "Model spec".
std::vector<std::byte> encode_model_spec(const ModelSpec& spec);
/// Errors: kCorruption for truncated or trailing bytes and for values out of range.
Result<ModelSpec> decode_model_spec(std::span<const std::byte> bytes);
Fingerprint fingerprint(const ModelSpec& spec);
/// Names each field that differs, for example "dim: 384 here, 768 in the store"; empty if equal.
std::string difference(const ModelSpec& here, const ModelSpec& stored);

}  // namespace format
}  // namespace vectolith
