/// @file
/// The seeded 128-bit sum, internal: lets key.cc hash contents without including xxHash.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <vectolith/format/ids.h>

namespace vectolith::format {

/// XXH3-128 with `seed`, canonical (big-endian) byte order.
Uuid checksum128(std::span<const std::byte> bytes, std::uint64_t seed) noexcept;

}  // namespace vectolith::format
