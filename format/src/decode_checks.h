/// @file
/// Checks that every decoder of a fixed header makes, in the order the format prescribes.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include <vectolith/format/checksum.h>
#include <vectolith/format/features.h>
#include <vectolith/format/result.h>

#include "hexadecimal.h"

namespace vectolith::format {

/// A kCorruption error with its place and both values.
[[nodiscard]] inline std::unexpected<Error> corrupt(std::string_view message, std::uint64_t offset,
                                                    std::string_view expected,
                                                    std::string_view found) noexcept {
  return std::unexpected(
      Error(ErrorCode::kCorruption, message).with_offset(offset).with_expected(expected).with_found(found));
}

[[nodiscard]] inline std::unexpected<Error> corrupt(std::string_view message, std::uint64_t offset,
                                                    std::uint64_t expected, std::uint64_t found) {
  return corrupt(message, offset, std::to_string(expected), std::to_string(found));
}

[[nodiscard]] inline std::unexpected<Error> corrupt_sum(std::string_view message, std::uint64_t offset,
                                                        std::uint64_t expected, std::uint64_t found) {
  return corrupt(message, offset, "0x" + hex16(expected), "0x" + hex16(found));
}

inline bool all_zero(std::span<const std::byte> bytes) noexcept {
  // The first byte is zero, and every other one equals its predecessor: as fast as memcmp.
  return bytes.empty() ||
         (bytes[0] == std::byte{0} && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

/// The object representation of `value`.
template <class T>
  requires std::has_unique_object_representations_v<T>
std::span<const std::byte, sizeof(T)> bytes_of(const T& value) noexcept {
  return std::as_bytes(std::span<const T, 1>(&value, 1));
}

/// Errors: kCorruption naming the place unless every byte of `reserved` is zero.
inline Result<void> check_reserved(std::span<const std::byte> reserved, std::string_view what,
                                   std::uint64_t offset) {
  if (all_zero(reserved)) return {};
  return corrupt(std::string(what) + ": reserved bytes are not zero", offset, "0",
                 hex_of(reserved.first(std::min<std::size_t>(reserved.size(), 16))));
}

/// Every 4 KiB header ends with its sum; the other 4,088 bytes are what it covers.
template <class Header>
std::uint64_t header_sum(const Header& header) noexcept {
  static_assert(offsetof(Header, checksum) == sizeof(Header) - sizeof(header.checksum));
  return checksum64(bytes_of(header).template first<offsetof(Header, checksum)>());
}

/// Fills in the sum and returns the bytes.
template <class Header>
std::array<std::byte, sizeof(Header)> encode_header(Header header) noexcept {
  header.checksum = header_sum(header);
  std::array<std::byte, sizeof(Header)> bytes;
  std::memcpy(bytes.data(), &header, sizeof(Header));
  return bytes;
}

/// Size, magic, sum, version, features, in this order: no other field is looked at before.
/// Reserved bytes come after the features, because an incompatible feature may use them.
template <class Header>
Result<Header> decode_header(std::span<const std::byte> bytes, const std::array<char, 8>& magic,
                             std::string_view what) {
  if (bytes.size() < sizeof(Header)) {
    return corrupt(std::string(what) + " is truncated", bytes.size(), sizeof(Header), bytes.size());
  }
  Header header;
  std::memcpy(&header, bytes.data(), sizeof(Header));
  if (header.magic != magic) {
    return corrupt(std::string(what) + ": wrong magic", 0, std::string(magic.begin(), magic.end()),
                   "0x" + hex_of(bytes.first(magic.size())));
  }
  if (const auto sum = header_sum(header); sum != header.checksum) {
    return corrupt_sum(std::string(what) + ": checksum does not hold", offsetof(Header, checksum), sum,
                       header.checksum);
  }
  VECTOLITH_TRY(
      check_features(header.version_major, {header.compat, header.ro_compat, header.incompat}, what));
  return header;
}

}  // namespace vectolith::format
