/// @file
/// The root file of a store, `STORE`: identity, version, feature bits; two copies of 4 KiB each.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

#include <vectolith/format/features.h>
#include <vectolith/format/ids.h>
#include <vectolith/format/result.h>

namespace vectolith::format {

inline constexpr std::array<char, 8> kSuperblockMagic = {'V', 'L', 'I', 'T', 'H', 'S', 'T', 'O'};
inline constexpr std::size_t kSuperblockBytes = 4'096;
inline constexpr std::size_t kSuperblockFileBytes = 2 * kSuperblockBytes;

/// One copy of the superblock. Written once, at create; the second copy follows at offset 4,096.
struct Superblock {
  std::array<char, 8> magic = kSuperblockMagic;
  std::uint16_t version_major = kVersionMajor;
  std::uint16_t version_minor = kVersionMinor;
  std::uint32_t superblock_bytes = kSuperblockBytes;
  std::uint32_t compat = 0;
  std::uint32_t ro_compat = 0;
  std::uint32_t incompat = 0;
  std::uint32_t reserved0 = 0;
  Uuid store_uuid;
  std::uint64_t created_at_s = 0;            ///< Seconds since 1970.
  std::array<std::byte, 4'032> reserved1{};  ///< Zero; a reader rejects other values.
  std::uint64_t checksum = 0;                ///< XXH3-64 over bytes [0, 4088).
};
static_assert(sizeof(Superblock) == kSuperblockBytes);
static_assert(std::has_unique_object_representations_v<Superblock>);

/// Both copies, ready to write: kSuperblockFileBytes bytes. Fills in the checksum.
std::vector<std::byte> encode_superblock(Superblock superblock);
/// Takes the first copy that is whole.
/// Errors: kCorruption if neither is (wrong magic, sum or reserved bytes), kUnsupported for a newer
/// major version or an unknown incompatible feature (checked after the sum).
Result<Superblock> decode_superblock(std::span<const std::byte> file_bytes);

}  // namespace vectolith::format
