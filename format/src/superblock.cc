/// @file
/// Both copies of the superblock, written and read.
#include <vectolith/format/superblock.h>

#include "decode_checks.h"

namespace vectolith::format {
namespace {

Result<Superblock> decode_copy(std::span<const std::byte> bytes) {
  constexpr std::string_view kWhat = "superblock";
  VECTOLITH_TRY_ASSIGN(const auto superblock, decode_header<Superblock>(bytes, kSuperblockMagic, kWhat));
  if (superblock.superblock_bytes != kSuperblockBytes) {
    return corrupt("superblock: wrong size", offsetof(Superblock, superblock_bytes), kSuperblockBytes,
                   superblock.superblock_bytes);
  }
  VECTOLITH_TRY(check_reserved(bytes_of(superblock.reserved0), kWhat, offsetof(Superblock, reserved0)));
  VECTOLITH_TRY(check_reserved(superblock.reserved1, kWhat, offsetof(Superblock, reserved1)));
  return superblock;
}

}  // namespace

std::vector<std::byte> encode_superblock(Superblock superblock) {
  const auto copy = encode_header(superblock);
  std::vector<std::byte> file;
  file.reserve(kSuperblockFileBytes);
  file.insert(file.end(), copy.begin(), copy.end());
  file.insert(file.end(), copy.begin(), copy.end());
  return file;
}

Result<Superblock> decode_superblock(std::span<const std::byte> file_bytes) {
  auto first = decode_copy(file_bytes.first(std::min(file_bytes.size(), kSuperblockBytes)));
  // A whole first copy decides, also when it says that this reader is too old.
  if (first.has_value() || first.error().code() != ErrorCode::kCorruption) return first;
  if (file_bytes.size() >= kSuperblockFileBytes) {
    auto second = decode_copy(file_bytes.subspan(kSuperblockBytes, kSuperblockBytes));
    if (second.has_value() || second.error().code() != ErrorCode::kCorruption) return second;
  }
  return first;
}

}  // namespace vectolith::format
