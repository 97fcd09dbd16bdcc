/// @file
/// What the fuzz targets share: a check that aborts, and sums made to hold so that deeper checks are reached.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include <vectolith/format/checksum.h>
#include <vectolith/format/ids.h>

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

/// Makes the sum of the 4 KiB header at the front hold; does nothing to shorter inputs.
inline void reseal_header(std::span<std::byte> bytes) {
  if (bytes.size() < kHeaderBytes) return;
  store(bytes, kHeaderBytes - 8, format::checksum64(bytes.first(kHeaderBytes - 8)));
}

inline bool is_prefix(std::span<const std::byte> front, std::span<const std::byte> bytes) {
  return front.size() <= bytes.size() && std::memcmp(front.data(), bytes.data(), front.size()) == 0;
}

}  // namespace vectolith::fuzz
