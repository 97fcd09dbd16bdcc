/// @file
/// What the fuzz targets share: a check that aborts, exact copies, and the repair that each of them defines.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

/// Aborts, so that the fuzzer keeps the input.
#define VECTOLITH_FUZZ_CHECK(condition)                                                          \
  do {                                                                                           \
    if (!(condition)) {                                                                          \
      std::fprintf(stderr, "%s:%d: VECTOLITH_FUZZ_CHECK(%s)\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                              \
    }                                                                                            \
  } while (false)

namespace vectolith::fuzz {

using Bytes = std::vector<std::byte>;

inline constexpr std::size_t kHeaderBytes = 4'096;

/// A copy of exactly the input's size: a sanitizer sees every read behind it.
inline Bytes copy_of(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  return {bytes.begin(), bytes.end()};
}

template <class T>
T load(std::span<const std::byte> bytes, std::size_t offset) {
  T value;
  std::memcpy(&value, bytes.subspan(offset, sizeof(value)).data(), sizeof(value));
  return value;
}

template <class T>
void store(std::span<std::byte> bytes, std::size_t offset, const T& value) {
  std::memcpy(bytes.subspan(offset, sizeof(value)).data(), &value, sizeof(value));
}

/// Makes the sums inside an input hold as far as its lengths can be followed, so that the checks behind them
/// are reached. Every target defines its own; the mutator calls it, and a replay tries inputs with and
/// without.
void repair(std::span<std::byte> input);

inline bool is_prefix(std::span<const std::byte> front, std::span<const std::byte> bytes) {
  return front.size() <= bytes.size() && std::memcmp(front.data(), bytes.data(), front.size()) == 0;
}

}  // namespace vectolith::fuzz
