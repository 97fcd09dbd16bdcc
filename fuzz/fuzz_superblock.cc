/// @file
/// Any bytes as a STORE file: decoding is safe, and what it accepts encodes to the same bytes.
#include <vectolith/format/superblock.h>

#include "fuzz_support.h"
#include "sum_repair.h"

namespace vectolith::fuzz {
namespace {

void check(std::span<const std::byte> bytes) {
  const auto superblock = format::decode_superblock(bytes);
  if (!superblock.has_value()) return;
  const auto encoded = format::encode_superblock(*superblock);
  const auto copy = std::span(encoded).first(format::kSuperblockBytes);
  const bool is_first = is_prefix(copy, bytes);
  VECTOLITH_FUZZ_CHECK(is_first || is_prefix(copy, bytes.subspan(format::kSuperblockBytes)));
}

}  // namespace

void repair(std::span<std::byte> input) { repair_superblock(input); }

}  // namespace vectolith::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  vectolith::fuzz::check(vectolith::fuzz::copy_of(data, size));
  return 0;
}
