/// @file
/// Generators with fixed seeds.
#include "support/bench_data.h"

#include <array>
#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

namespace vectolith::bench {
namespace {

/// Prime, so that neighbouring rows of any power-of-two batch differ; 12 MB at 768-d, more than a cache.
constexpr std::uint64_t kPoolRows = 4'093;
constexpr double kZipfExponent = 0.99;
constexpr std::uint64_t kAbsentFrom = std::uint64_t{1} << 48;

/// What lies at both ends of the vector of `number`: finite, and exact as f32 below 2^44.
std::array<float, 2> stamp_of(std::uint64_t number) noexcept {
  return {1.0F + static_cast<float>(number & 0xFFFFF), static_cast<float>(number >> 20)};
}

double unit_interval(std::uint64_t random) noexcept { return static_cast<double>(random >> 11) * 0x1p-53; }

}  // namespace

Key key_of(std::uint64_t number) noexcept {
  Key key;
  key.digest = Digest::xxh3(std::as_bytes(std::span(&number, 1)));
  return key;
}

VectorSource::VectorSource(std::uint32_t dim)
    : vector_bytes_(std::size_t{dim} * sizeof(float)), pool_(kPoolRows * dim) {
  std::uint64_t state = 1;
  for (float& element : pool_) element = static_cast<float>(splitmix64(state++) >> 40) / 8388608.0F - 1.0F;
}

void VectorSource::fill(std::uint64_t number, std::span<std::byte> out) const noexcept {
  const std::size_t dim = vector_bytes_ / sizeof(float);
  std::memcpy(out.data(), pool_.data() + number % kPoolRows * dim, vector_bytes_);
  const auto stamp = stamp_of(number);
  std::memcpy(out.data(), stamp.data(), sizeof stamp);
  std::memcpy(out.data() + vector_bytes_ - sizeof stamp, stamp.data(), sizeof stamp);
}

bool bears_number(std::span<const std::byte> vector, std::uint64_t number) noexcept {
  const auto stamp = stamp_of(number);
  return vector.size() >= 2 * sizeof stamp && std::memcmp(vector.data(), stamp.data(), sizeof stamp) == 0 &&
         std::memcmp(vector.data() + vector.size() - sizeof stamp, stamp.data(), sizeof stamp) == 0;
}

std::vector<std::uint32_t> uniform_rows(std::uint64_t rows, std::size_t count, std::uint64_t seed) {
  std::vector<std::uint32_t> picks(count);
  for (auto& pick : picks) pick = static_cast<std::uint32_t>(splitmix64(seed++) % rows);
  return picks;
}

std::vector<std::uint32_t> zipf_rows(std::uint64_t rows, std::size_t count, std::uint64_t seed) {
  double zeta = 0;
  for (std::uint64_t rank = 1; rank <= rows; ++rank)
    zeta += std::pow(static_cast<double>(rank), -kZipfExponent);
  const double zeta2 = 1 + std::pow(0.5, kZipfExponent);
  const double alpha = 1 / (1 - kZipfExponent);
  const auto n = static_cast<double>(rows);
  const double eta = (1 - std::pow(2 / n, 1 - kZipfExponent)) / (1 - zeta2 / zeta);
  std::vector<std::uint32_t> picks(count);
  for (auto& pick : picks) {
    const double u = unit_interval(splitmix64(seed++));
    std::uint64_t rank = 0;
    if (u * zeta >= zeta2) {
      rank = static_cast<std::uint64_t>(n * std::pow(eta * u - eta + 1, alpha));
    } else if (u * zeta >= 1) {
      rank = 1;
    }
    pick = static_cast<std::uint32_t>(splitmix64(rank) % rows);
  }
  return picks;
}

std::vector<std::uint32_t> shuffled_rows(std::uint64_t rows, std::uint64_t seed) {
  std::vector<std::uint32_t> order(rows);
  std::iota(order.begin(), order.end(), 0U);
  for (std::size_t left = order.size(); left > 1; --left)
    std::swap(order[left - 1], order[splitmix64(seed++) % left]);
  return order;
}

std::vector<Key> keys_of(std::span<const std::uint32_t> rows) {
  std::vector<Key> keys;
  keys.reserve(rows.size());
  for (const auto row : rows) keys.push_back(key_of(row));
  return keys;
}

std::vector<Key> absent_keys(std::size_t count) {
  std::vector<Key> keys;
  keys.reserve(count);
  for (std::size_t i = 0; i < count; ++i) keys.push_back(key_of(kAbsentFrom + i));
  return keys;
}

}  // namespace vectolith::bench
