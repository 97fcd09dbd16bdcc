/// @file
/// Either copy of the superblock is enough; two damaged ones are not.
#include <vectolith/format/superblock.h>

#include <cstring>

#include <gtest/gtest.h>

#include "format/damage.h"
#include "format/format_samples.h"

namespace vectolith::format {
namespace {

TEST(DecodeSuperblock, ReturnsWhatWasEncoded) {
  const auto file = encode_superblock(samples::superblock());
  ASSERT_EQ(file.size(), kSuperblockFileBytes);
  const auto superblock = decode_superblock(file);
  ASSERT_TRUE(superblock.has_value());
  EXPECT_EQ(superblock->store_uuid, samples::uuid(0x10));
  EXPECT_EQ(superblock->created_at_s, samples::superblock().created_at_s);
  EXPECT_EQ(superblock->version_major, kVersionMajor);
}

TEST(DecodeSuperblock, EitherCopyIsEnough) {
  for (const std::size_t damaged : {std::size_t{0}, kSuperblockBytes}) {
    auto file = encode_superblock(samples::superblock());
    std::memset(file.data() + damaged, 0, kSuperblockBytes);
    ASSERT_TRUE(decode_superblock(file).has_value()) << damaged;
    EXPECT_EQ(decode_superblock(file)->store_uuid, samples::uuid(0x10));
  }
}

TEST(DecodeSuperblock, TheFirstWholeCopyCounts) {
  auto file = encode_superblock(samples::superblock());
  auto newer = samples::superblock();
  newer.created_at_s = 5;
  std::memcpy(file.data() + kSuperblockBytes, encode_superblock(newer).data(), kSuperblockBytes);
  EXPECT_EQ(decode_superblock(file)->created_at_s, samples::superblock().created_at_s);
  file[0] = std::byte{0};
  EXPECT_EQ(decode_superblock(file)->created_at_s, 5U);
}

TEST(DecodeSuperblock, OneFlippedBitInEachCopyIsCorruption) {
  const auto decode_twice_damaged = [](std::span<const std::byte> copy) {
    std::vector<std::byte> file(copy.begin(), copy.end());
    file.insert(file.end(), copy.begin(), copy.end());
    return decode_superblock(file);
  };
  auto copy = encode_superblock(samples::superblock());
  copy.resize(kSuperblockBytes);
  testing::expect_every_bit_flip_fails(copy, decode_twice_damaged);
}

TEST(DecodeSuperblock, AWholeFirstCopyOfANewerVersionIsRefusedNotSkipped) {
  auto newer = samples::superblock();
  newer.version_major = kVersionMajor + 1;
  auto file = encode_superblock(newer);
  std::memcpy(file.data() + kSuperblockBytes, encode_superblock(samples::superblock()).data(),
              kSuperblockBytes);
  EXPECT_EQ(code_of(decode_superblock(file)), ErrorCode::kUnsupported);
}

TEST(DecodeSuperblock, ADamagedFirstCopyDoesNotHideThatTheSecondIsTooNew) {
  auto newer = samples::superblock();
  newer.incompat = 1;
  auto file = encode_superblock(newer);
  file[100] ^= std::byte{1};
  EXPECT_EQ(code_of(decode_superblock(file)), ErrorCode::kUnsupported);
}

TEST(DecodeSuperblock, AnEmptyFileIsCorruption) {
  EXPECT_EQ(code_of(decode_superblock({})), ErrorCode::kCorruption);
}

}  // namespace
}  // namespace vectolith::format
