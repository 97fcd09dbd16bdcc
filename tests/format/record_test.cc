/// @file
/// Records: round trips with and without zstd, their place, and every lie about sizes.
#include <vectolith/format/record.h>

#include <cstring>
#include <functional>
#include <random>

#include <gtest/gtest.h>
#include <zstd.h>

#include <vectolith/format/checksum.h>
#include <vectolith/format/segment.h>

#include "format/damage.h"
#include "format/format_samples.h"
#include "support/random_seed.h"

namespace vectolith::format {
namespace {

const Uuid kLife = samples::uuid(0x20);
constexpr RowIndex kUnit(37);

const auto kDecode = [](std::span<const std::byte> bytes) { return decode_record(bytes, kLife, kUnit); };

std::vector<std::byte> noise(std::size_t bytes, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::byte> noise(bytes);
  for (auto& byte : noise) byte = static_cast<std::byte>(random());
  return noise;
}

std::vector<std::byte> record(std::span<const std::byte> payload, bool compress = true) {
  return samples::record(payload, compress, kLife, kUnit);
}

/// A record whose sums hold but whose prefix and stored bytes are the attacker's.
std::vector<std::byte> forged(std::span<const std::byte> stored, std::uint32_t raw_bytes,
                              std::uint16_t flags) {
  auto bytes = record(stored, false);
  RecordPrefix prefix;
  std::memcpy(&prefix, bytes.data() + sizeof(RecordHeader), sizeof(prefix));
  prefix.raw_bytes = raw_bytes;
  prefix.flags = flags;
  std::memcpy(bytes.data() + sizeof(RecordHeader), &prefix, sizeof(prefix));
  prefix.payload_sum =
      checksum64(std::span(bytes).subspan(72, 8 + stored.size()), position_seed(kLife, kUnit.value));
  std::memcpy(bytes.data() + sizeof(RecordHeader), &prefix, sizeof(prefix));
  return bytes;
}

/// A record whose header is the attacker's, with a sum that holds.
std::vector<std::byte> with_header(const std::function<void(RecordHeader&)>& change) {
  auto bytes = record(samples::text(100), false);
  RecordHeader header;
  std::memcpy(&header, bytes.data(), sizeof(header));
  change(header);
  header.header_sum = static_cast<std::uint32_t>(
      checksum64(std::as_bytes(std::span(&header, 1)).first(60), position_seed(kLife, kUnit.value)));
  std::memcpy(bytes.data(), &header, sizeof(header));
  return bytes;
}

ErrorCode payload_refusal(const std::vector<std::byte>& bytes) {
  const auto view = decode_record(bytes, kLife, kUnit);
  if (!view.has_value()) return view.error().code();
  const auto payload = record_payload(*view);
  return payload.has_value() ? ErrorCode{} : payload.error().code();
}

TEST(Record, ReadsBackAtEveryLengthAndWithBothEncodings) {
  for (std::size_t length = 0; length < 700; ++length) {
    for (const bool compress : {false, true}) {
      const auto payload = length % 2 == 0 ? samples::text(length) : noise(length, length);
      const auto bytes = record(payload, compress);
      ASSERT_EQ(bytes.size() % kRecordAlignment, 0U);
      const auto view = kDecode(bytes);
      ASSERT_TRUE(view.has_value()) << view.error().to_string();
      EXPECT_EQ(std::size_t{view->units()} * kRecordAlignment, bytes.size());
      ASSERT_EQ(record_payload(*view).value(), payload) << length;
    }
  }
}

TEST(Record, KeepsEveryField) {
  const auto bytes = record(samples::text(1'000));
  const auto view = kDecode(bytes).value();
  const auto fields = samples::record_fields();
  EXPECT_EQ(view.header.key, fields.key);
  EXPECT_EQ(view.header.sequence(), fields.sequence);
  EXPECT_EQ(view.header.flags(), fields.flags);
  EXPECT_EQ(view.header.created_at_ms, fields.created_at_ms);
  EXPECT_EQ(view.prefix.lag_or_count, fields.lag_or_count);
  EXPECT_EQ(view.prefix.raw_bytes, 1'000U);
}

TEST(Record, LeavesTheBytesBehindItToTheNextOne) {
  auto bytes = record(samples::text(300));
  const auto first_bytes = bytes.size();
  bytes.resize(first_bytes + 4'096, std::byte{0xEE});
  const auto view = kDecode(bytes);
  ASSERT_TRUE(view.has_value());
  EXPECT_EQ(std::size_t{view->units()} * kRecordAlignment, first_bytes);
}

TEST(PreparePayload, CompressesOnlyWhenItSavesAUnit) {
  const auto text = samples::text(10'000);
  const auto random = noise(10'000, 1);
  const auto tiny = samples::text(40);
  EXPECT_TRUE(prepare_payload(text)->compressed);
  EXPECT_LT(prepare_payload(text)->bytes().size(), 1'000U);
  EXPECT_FALSE(prepare_payload(text, false)->compressed);
  EXPECT_FALSE(prepare_payload(random)->compressed);
  EXPECT_FALSE(prepare_payload(tiny)->compressed);
  EXPECT_TRUE(prepare_payload(random)->stored.empty());
  EXPECT_EQ(prepare_payload(random)->bytes().data(), random.data());
}

TEST(PreparePayload, TakesSixteenMiBAndNotAByteMore) {
  const std::vector<std::byte> zeros(kRecordPayloadBytesMax + 1);
  const auto largest = std::span(zeros).first(kRecordPayloadBytesMax);
  EXPECT_EQ(code_of(prepare_payload(zeros)), ErrorCode::kInvalidArgument);
  const auto bytes = record(largest);
  EXPECT_LT(bytes.size(), 10'000U);
  EXPECT_EQ(record_payload(kDecode(bytes).value())->size(), kRecordPayloadBytesMax);
}

TEST(DecodeRecord, TreatsEveryTruncationAsCorruption) {
  testing::expect_every_truncation_fails(record(samples::text(500)), kDecode);
  testing::expect_every_truncation_fails(record(noise(500, 1)), kDecode);
}

TEST(DecodeRecord, TreatsEveryFlippedBitAsCorruption) {
  testing::expect_every_bit_flip_fails(record(samples::text(500)), kDecode);
  testing::expect_every_bit_flip_fails(record(noise(150, 1)), kDecode);
  testing::expect_every_bit_flip_fails(record({}), kDecode);
}

TEST(DecodeRecord, RejectsARecordInAnotherPlaceOrLife) {
  const auto bytes = record(samples::text(100));
  for (std::uint32_t unit = 0; unit < 100; ++unit) {
    if (unit == kUnit.value) continue;
    ASSERT_EQ(code_of(decode_record(bytes, kLife, RowIndex(unit))), ErrorCode::kCorruption) << unit;
  }
  EXPECT_EQ(code_of(decode_record(bytes, samples::uuid(0x30), kUnit)), ErrorCode::kCorruption);
}

TEST(DecodeRecord, TakesZerosForNeverWritten) {
  EXPECT_EQ(code_of(kDecode(std::vector<std::byte>(128))), ErrorCode::kNotFound);
  EXPECT_EQ(code_of(kDecode(std::vector<std::byte>(64))), ErrorCode::kNotFound);
}

TEST(DecodeRecord, RejectsAHeaderThatLiesUnderAGoodSum) {
  const std::function<void(RecordHeader&)> lies[] = {
      [](auto& h) { h.stored_bytes = 0xFFFF'FFFF; },
      [](auto& h) { h.stored_bytes = kRecordPayloadBytesMax + 1; },
      [](auto& h) { h.stored_bytes = 113; },
      [](auto& h) { h.sequence_and_flags = 0; },
      [](auto& h) { h.sequence_and_flags |= std::uint64_t{kRowFlagsKnown + 1} << 48; },
  };
  for (const auto& lie : lies) {
    const auto bytes = with_header(lie);
    EXPECT_EQ(code_of(decode_record_header(bytes, kLife, kUnit)), ErrorCode::kCorruption);
  }
  EXPECT_TRUE(decode_record_header(with_header([](auto&) {}), kLife, kUnit).has_value());
}

TEST(DecodeRecordHeader, DoesNotVouchForThePayload) {
  auto bytes = record(samples::text(100), false);
  bytes[100] ^= std::byte{1};
  EXPECT_TRUE(decode_record_header(bytes, kLife, kUnit).has_value());
  EXPECT_EQ(code_of(kDecode(bytes)), ErrorCode::kCorruption);
}

TEST(RecordPayload, RejectsSizesThatLieUnderAGoodSum) {
  const auto stored = noise(100, 3);
  EXPECT_EQ(payload_refusal(forged(stored, 100, 0)), ErrorCode{});
  EXPECT_EQ(payload_refusal(forged(stored, 99, 0)), ErrorCode::kCorruption);
  EXPECT_EQ(payload_refusal(forged(stored, 0xFFFF'FFFF, 0)), ErrorCode::kCorruption);
  EXPECT_EQ(payload_refusal(forged(stored, 100, 2)), ErrorCode::kCorruption) << "unknown flag";
  EXPECT_EQ(payload_refusal(forged(stored, 1'000, kRecordZstd)), ErrorCode::kCorruption) << "no zstd frame";
  EXPECT_EQ(payload_refusal(forged({}, 10, kRecordZstd)), ErrorCode::kCorruption) << "empty frame";
}

TEST(RecordPayload, RejectsZstdFramesThatLieAboutTheirSize) {
  const auto text = samples::text(2'000);
  std::vector<std::byte> frame(ZSTD_compressBound(text.size()));
  frame.resize(ZSTD_compress(frame.data(), frame.size(), text.data(), text.size(), 3));
  EXPECT_EQ(payload_refusal(forged(frame, 2'000, kRecordZstd)), ErrorCode{});
  EXPECT_EQ(payload_refusal(forged(frame, 1'999, kRecordZstd)), ErrorCode::kCorruption);
  EXPECT_EQ(payload_refusal(forged(frame, 2'001, kRecordZstd)), ErrorCode::kCorruption);
  auto two_frames = frame;
  two_frames.insert(two_frames.end(), frame.begin(), frame.end());
  EXPECT_EQ(payload_refusal(forged(two_frames, 2'000, kRecordZstd)), ErrorCode::kCorruption);
  EXPECT_EQ(payload_refusal(forged(two_frames, 4'000, kRecordZstd)), ErrorCode::kCorruption);
  EXPECT_EQ(payload_refusal(forged(std::span(frame).first(frame.size() - 1), 2'000, kRecordZstd)),
            ErrorCode::kCorruption);
}

TEST(RecordPayload, RejectsZstdFramesThatDoNotAnnounceTheirSize) {
  const auto text = samples::text(2'000);
  std::vector<std::byte> frame(ZSTD_compressBound(text.size()));
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ASSERT_FALSE(ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0)));
  frame.resize(ZSTD_compress2(context, frame.data(), frame.size(), text.data(), text.size()));
  ZSTD_freeCCtx(context);
  EXPECT_EQ(payload_refusal(forged(frame, 2'000, kRecordZstd)), ErrorCode::kCorruption);
}

TEST(RecordPayload, NeverUnpacksAZstdBomb) {
  // 1 GiB of zeros in about 32 KiB, and the same with a prefix that names the limit.
  std::vector<std::byte> zeros(64U << 20);
  std::vector<std::byte> bomb(1U << 20);
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_outBuffer out{bomb.data(), bomb.size(), 0};
  ASSERT_FALSE(ZSTD_isError(ZSTD_CCtx_setPledgedSrcSize(context, 16 * zeros.size())));
  for (int i = 0; i < 16; ++i) {
    ZSTD_inBuffer in{zeros.data(), zeros.size(), 0};
    while (in.pos < in.size || (i == 15 && ZSTD_compressStream2(context, &out, &in, ZSTD_e_end) != 0)) {
      ASSERT_FALSE(
          ZSTD_isError(ZSTD_compressStream2(context, &out, &in, i == 15 ? ZSTD_e_end : ZSTD_e_continue)));
    }
  }
  ZSTD_freeCCtx(context);
  bomb.resize(out.pos);
  EXPECT_EQ(payload_refusal(forged(bomb, 1U << 30, kRecordZstd)), ErrorCode::kCorruption);
  EXPECT_EQ(payload_refusal(forged(bomb, kRecordPayloadBytesMax, kRecordZstd)), ErrorCode::kCorruption);
}

TEST(RecordPayload, SurvivesRandomDamageBehindAGoodSum) {
  std::mt19937_64 random(vectolith::testing::random_seed());
  const auto text = samples::text(5'000);
  const auto prepared = prepare_payload(text).value();
  for (int i = 0; i < 2'000; ++i) {
    auto stored = prepared.stored;
    for (int flips = 0; flips < 3; ++flips)
      stored[random() % stored.size()] = static_cast<std::byte>(random());
    const auto bytes = forged(stored, 5'000, kRecordZstd);
    const auto view = kDecode(bytes);
    ASSERT_TRUE(view.has_value());
    const auto payload = record_payload(*view);
    ASSERT_TRUE(!payload.has_value() || payload->size() == 5'000U);
  }
}

TEST(RecordHeader, SharesItsFirstBytesWithMetaRows) {
  EXPECT_EQ(offsetof(RecordHeader, key), offsetof(MetaRow, key));
  EXPECT_EQ(offsetof(RecordHeader, sequence_and_flags), offsetof(MetaRow, sequence_and_build));
}

}  // namespace
}  // namespace vectolith::format
