/// @file
/// Keys, vectors and access patterns, all from fixed seeds so that runs can be compared.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <vectolith/format/key.h>

namespace vectolith::bench {

constexpr std::uint64_t splitmix64(std::uint64_t x) noexcept {
  x += 0x9E3779B97F4A7C15ULL;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

/// The key of row `number`: a digest as random as a content digest.
Key key_of(std::uint64_t number) noexcept;

/// Makes vectors at the speed of a copy: a pool of random rows, each copy stamped at both ends with its
/// number.
class VectorSource {
 public:
  explicit VectorSource(std::uint32_t dim);
  /// Shapes: `out` has dim f32 elements, at least 4. Two numbers below 2^44 never give the same vector.
  void fill(std::uint64_t number, std::span<std::byte> out) const noexcept;
  [[nodiscard]] std::size_t vector_bytes() const noexcept { return vector_bytes_; }

 private:
  std::size_t vector_bytes_;
  std::vector<float> pool_;
};

/// True if `vector` begins and ends as the vector of `number` does: cheap enough for every read.
bool bears_number(std::span<const std::byte> vector, std::uint64_t number) noexcept;

/// `count` row numbers below `rows`, uniform.
std::vector<std::uint32_t> uniform_rows(std::uint64_t rows, std::size_t count, std::uint64_t seed);
/// `count` row numbers below `rows`, Zipf with exponent 0.99; popular rows lie anywhere in the file.
/// Source: Gray et al., "Quickly generating billion-record synthetic databases", as YCSB does it.
std::vector<std::uint32_t> zipf_rows(std::uint64_t rows, std::size_t count, std::uint64_t seed);
/// Every row number below `rows` once, in random order.
std::vector<std::uint32_t> shuffled_rows(std::uint64_t rows, std::uint64_t seed);
/// The keys of `rows`, in that order: what a caller holds in its hands.
std::vector<Key> keys_of(std::span<const std::uint32_t> rows);
/// `count` keys that no row has.
std::vector<Key> absent_keys(std::size_t count);

}  // namespace vectolith::bench
