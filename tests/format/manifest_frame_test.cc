/// @file
/// Frames are atoms in one place of one life; manifest headers bound their snapshot.
#include <cstring>
#include <functional>

#include <gtest/gtest.h>

#include <vectolith/format/checksum.h>
#include <vectolith/format/manifest.h>

#include "format/damage.h"
#include "format/format_samples.h"

namespace vectolith::format {
namespace {

const Uuid kLife = samples::uuid(0x50);
constexpr std::uint64_t kOffset = 4'096 + 640;
const auto kDecode = [](std::span<const std::byte> bytes) { return decode_frame(bytes, kLife, kOffset); };

std::vector<std::byte> frame() { return encode_frame(samples::edits(), ManifestVersion(43), kLife, kOffset); }

template <class T>
ErrorCode refusal_with(std::size_t offset, T value) {
  auto bytes = frame();
  std::memcpy(bytes.data() + offset, &value, sizeof(value));
  const std::uint64_t sum = checksum64(std::span(bytes).subspan(8), position_seed(kLife, kOffset));
  std::memcpy(bytes.data(), &sum, sizeof(sum));
  const auto decoded = kDecode(bytes);
  return decoded.has_value() ? ErrorCode{} : decoded.error().code();
}

ErrorCode refusal(const std::function<void(ManifestHeader&)>& change) {
  auto header = samples::manifest_header();
  change(header);
  const auto decoded = decode_manifest_header(encode_manifest_header(header));
  return decoded.has_value() ? ErrorCode{} : decoded.error().code();
}

TEST(DecodeFrame, ReturnsVersionEditsAndLength) {
  auto bytes = frame();
  const auto frame_bytes = bytes.size();
  ASSERT_EQ(frame_bytes % kFrameAlignment, 0U);
  bytes.resize(frame_bytes + 4'096, std::byte{0xEE});
  const auto decoded = kDecode(bytes);
  ASSERT_TRUE(decoded.has_value()) << decoded.error().to_string();
  EXPECT_EQ(decoded->version, ManifestVersion(43));
  EXPECT_EQ(decoded->edits, samples::edits());
  EXPECT_EQ(decoded->frame_bytes, frame_bytes);
}

TEST(DecodeFrame, AFrameWithoutEditsIsAFrame) {
  const auto bytes = encode_frame({}, ManifestVersion(1), kLife, kOffset);
  EXPECT_EQ(bytes.size(), kFrameAlignment);
  EXPECT_TRUE(kDecode(bytes)->edits.empty());
}

TEST(DecodeFrame, TakesZerosForTheEnd) {
  EXPECT_EQ(code_of(kDecode(std::vector<std::byte>(64))), ErrorCode::kNotFound);
  auto almost = std::vector<std::byte>(64);
  almost[63] = std::byte{1};
  EXPECT_EQ(code_of(kDecode(almost)), ErrorCode::kCorruption);
}

TEST(DecodeFrame, TreatsEveryTruncationAsCorruption) {
  testing::expect_every_truncation_fails(frame(), kDecode);
}

TEST(DecodeFrame, TreatsEveryFlippedBitAsCorruptionPaddingIncluded) {
  testing::expect_every_bit_flip_fails(frame(), kDecode);
}

TEST(DecodeFrame, TreatsEveryTornFrameAsCorruption) {
  const auto whole = frame();
  for (std::size_t written = 1; written < whole.size(); ++written) {
    std::vector<std::byte> torn(whole.size());
    std::memcpy(torn.data(), whole.data(), written);
    if (torn == whole) continue;
    ASSERT_EQ(code_of(kDecode(torn)), ErrorCode::kCorruption) << written;
  }
}

TEST(DecodeFrame, RejectsAFrameOfAnotherLifeOrOffset) {
  const auto bytes = frame();
  EXPECT_EQ(code_of(decode_frame(bytes, samples::uuid(0x51), kOffset)), ErrorCode::kCorruption);
  for (std::uint64_t offset = 0; offset < 64 * 1'024; offset += kFrameAlignment) {
    if (offset == kOffset) continue;
    ASSERT_EQ(code_of(decode_frame(bytes, kLife, offset)), ErrorCode::kCorruption) << offset;
  }
}

TEST(DecodeFrame, RejectsLengthsAndCountsThatLieUnderAGoodSum) {
  EXPECT_EQ(refusal_with(0, std::uint64_t{0}), ErrorCode{}) << "the sum is made to hold";
  for (const std::uint32_t bytes : {0U, 1U, 0xFFFF'FFFFU, 0xFFFF'FFE0U, 0x7FFF'FFFFU}) {
    EXPECT_EQ(refusal_with(16, bytes), ErrorCode::kCorruption) << bytes;
  }
  for (const std::uint32_t count : {0U, 12U, 14U, 0xFFFF'FFFFU, 0x2000'0000U}) {
    EXPECT_EQ(refusal_with(20, count), ErrorCode::kCorruption) << count;
  }
  EXPECT_EQ(refusal_with(24, std::uint64_t{1}), ErrorCode::kCorruption) << "reserved";
}

TEST(DecodeFrame, RejectsPaddingThatIsNotZeroUnderAGoodSum) {
  const std::size_t last = frame().size() - 1;
  ASSERT_EQ(frame()[last], std::byte{0}) << "the sample needs padding";
  EXPECT_EQ(refusal_with(last, std::uint8_t{1}), ErrorCode::kCorruption);
}

TEST(ManifestHeader, ReturnsWhatWasEncoded) {
  const auto header = decode_manifest_header(encode_manifest_header(samples::manifest_header()));
  ASSERT_TRUE(header.has_value()) << header.error().to_string();
  EXPECT_EQ(header->life, kLife);
  EXPECT_EQ(header->snapshot_version, ManifestVersion(42));
  EXPECT_EQ(header->snapshot_bytes, 64U);
  EXPECT_EQ(header->file_bytes, kManifestFileBytesMin);
}

TEST(ManifestHeader, BoundsItsSnapshotByItsFile) {
  EXPECT_EQ(refusal([](auto& h) { h.snapshot_bytes = h.file_bytes - 4'096; }), ErrorCode{});
  EXPECT_EQ(refusal([](auto& h) { h.snapshot_bytes = h.file_bytes - 4'096 + 64; }), ErrorCode::kCorruption);
  EXPECT_EQ(refusal([](auto& h) { h.snapshot_bytes = ~std::uint64_t{63}; }), ErrorCode::kCorruption);
  EXPECT_EQ(refusal([](auto& h) { h.snapshot_bytes = 0; }), ErrorCode::kCorruption);
  EXPECT_EQ(refusal([](auto& h) { h.snapshot_bytes = 65; }), ErrorCode::kCorruption);
  EXPECT_EQ(refusal([](auto& h) { h.file_bytes = kManifestFileBytesMin - 1; }), ErrorCode::kCorruption);
  EXPECT_EQ(refusal([](auto& h) { h.file_bytes = 0; }), ErrorCode::kCorruption);
  EXPECT_EQ(refusal([](auto& h) { h.file_bytes = ~std::uint64_t{0}; }), ErrorCode::kCorruption);
}

}  // namespace
}  // namespace vectolith::format
