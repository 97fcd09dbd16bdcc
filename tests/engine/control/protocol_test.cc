/// @file
/// Frames of the control protocol: what is written is read back, and nothing else is accepted.
#include "control/protocol.h"

#include <algorithm>
#include <cstring>
#include <random>

#include <gtest/gtest.h>

#include <vectolith/format/checksum.h>

#include "engine/control/control_samples.h"
#include "support/random_seed.h"
#include "support/temp_directory.h"

namespace vectolith::engine {
namespace {

using testing::reencode;
using testing::reencode_frame;
using testing::sample_frames;

/// The frame after its header was changed, with a sum that holds: what an enemy would send.
template <class Change>
std::vector<std::byte> forged(std::vector<std::byte> frame, Change&& change) {
  ControlHeader header;
  std::memcpy(&header, frame.data(), sizeof(header));
  change(header);
  const auto head = std::as_bytes(std::span(&header, 1)).first(16);
  header.checksum =
      format::checksum64(std::span(frame).subspan(kControlHeaderBytes), format::checksum64(head));
  std::memcpy(frame.data(), &header, sizeof(header));
  return frame;
}

std::vector<std::byte> hello_frame() { return ControlFrame(ControlVerb::kHello).finish(1).value(); }

TEST(ControlFrame, HasTheBytesOfTheSpecification) {
  ControlFrame frame(ControlVerb::kScan);
  encode_control(frame.payload(), ScanRequest{"ab"});
  const auto bytes = std::move(frame).finish(0x01020304).value();
  const std::vector<std::uint8_t> head = {'V', 'L', 'C', 'T', 3, 0, 8, 0, 4, 0, 0, 0, 4, 3, 2, 1};
  ASSERT_EQ(bytes.size(), 28U);
  for (std::size_t i = 0; i < head.size(); ++i) EXPECT_EQ(std::to_integer<int>(bytes[i]), head[i]) << i;
  const std::vector<std::uint8_t> payload = {2, 0, 'a', 'b'};
  for (std::size_t i = 0; i < payload.size(); ++i)
    EXPECT_EQ(std::to_integer<int>(bytes[24 + i]), payload[i]) << i;
  const auto sum =
      format::checksum64(std::span(bytes).subspan(24), format::checksum64(std::span(bytes).first(16)));
  EXPECT_EQ(std::memcmp(&sum, bytes.data() + 16, 8), 0);
}

TEST(ControlFrame, OfEveryVerbHasTheBytesThatItsVersionHad) {
  for (const auto& sample : sample_frames()) {
    const auto golden =
        vectolith::testing::read_file(VECTOLITH_SOURCE_DIR "/fuzz/corpus/control/" + sample.name);
    EXPECT_EQ(sample.frame, golden) << sample.name << ": other bytes are another kControlVersion";
  }
}

TEST(ControlFrame, OfEveryVerbIsReadBackAsItWasWritten) {
  for (const auto& sample : sample_frames()) {
    const auto again = reencode_frame(sample.frame, sample.reader);
    ASSERT_TRUE(again.has_value()) << sample.name << ": " << again.error().to_string();
    EXPECT_TRUE(std::ranges::equal(*again, std::span(sample.frame).subspan(kControlHeaderBytes)))
        << sample.name;
  }
}

TEST(ControlFrame, IsRejectedWhenAnyBitIsFlipped) {
  for (const auto& sample : sample_frames()) {
    auto frame = sample.frame;
    for (std::size_t bit = 0; bit < frame.size() * 8; ++bit) {
      const auto mask = std::byte{1} << (bit % 8);
      frame[bit / 8] ^= mask;
      EXPECT_FALSE(reencode_frame(frame, sample.reader).has_value()) << sample.name << ", bit " << bit;
      frame[bit / 8] ^= mask;
    }
  }
}

TEST(ControlFrame, IsRejectedAtEveryTruncationAndWithTrailingBytes) {
  for (const auto& sample : sample_frames()) {
    for (std::size_t length = 0; length < sample.frame.size(); ++length) {
      const auto cut = reencode_frame(std::span(sample.frame).first(length), sample.reader);
      ASSERT_FALSE(cut.has_value()) << sample.name << ", " << length;
      EXPECT_EQ(cut.error().code(), ErrorCode::kCorruption) << sample.name << ", " << length;
    }
    auto longer = sample.frame;
    longer.push_back(std::byte{0});
    EXPECT_FALSE(reencode_frame(longer, sample.reader).has_value()) << sample.name;
  }
}

TEST(ControlPayload, IsRejectedAtEveryTruncationEvenWhenItsSumHolds) {
  for (const auto& sample : sample_frames()) {
    ControlHeader header;
    std::memcpy(&header, sample.frame.data(), sizeof(header));
    const auto payload = std::span(sample.frame).subspan(kControlHeaderBytes);
    for (std::size_t length = 0; length < payload.size(); ++length) {
      // A batch has no count: cut between two rows it is a shorter batch, and ScanEnd tells.
      const bool row_boundary = header.verb == ControlVerb::kScanBatch && length > 0 && length % 80 == 0;
      EXPECT_EQ(reencode(header.verb, payload.first(length)).has_value(), row_boundary)
          << sample.name << ", " << length;
    }
  }
}

TEST(ControlHeader, OfAnotherVersionIsUnsupportedAndNamesBoth) {
  const auto newer = forged(hello_frame(), [](auto& header) { header.version = 9; });
  const auto header = decode_control_header(newer, ControlRole::kServer);
  ASSERT_FALSE(header.has_value());
  EXPECT_EQ(header.error().code(), ErrorCode::kUnsupported);
  EXPECT_EQ(header.error().expected(), "version " + std::to_string(kControlVersion));
  EXPECT_EQ(header.error().found(), "version 9");
}

TEST(ControlHeader, OfAnErrorIsReadByAClientWhateverItsVersion) {
  ControlFrame frame(ControlVerb::kError);
  encode_control(frame.payload(), Error(ErrorCode::kUnsupported, "too old"));
  const auto newer = forged(std::move(frame).finish(0).value(), [](auto& header) { header.version = 9; });
  EXPECT_TRUE(reencode_frame(newer, ControlRole::kClient).has_value());
  EXPECT_FALSE(reencode_frame(newer, ControlRole::kServer).has_value());
}

TEST(ControlHeader, WithAVerbOfTheOtherSideOrNoneIsUnsupported) {
  for (const auto& sample : sample_frames()) {
    const auto other = sample.reader == ControlRole::kServer ? ControlRole::kClient : ControlRole::kServer;
    EXPECT_FALSE(decode_control_header(sample.frame, other).has_value()) << sample.name;
  }
  for (const std::uint32_t verb : {0U, 13U, 0x7FFFU, 0x8000U, 0x800BU, 0x800DU, 0xFFFEU}) {
    const auto unknown =
        forged(hello_frame(), [verb](auto& header) { header.verb = static_cast<ControlVerb>(verb); });
    for (const auto reader : {ControlRole::kServer, ControlRole::kClient}) {
      const auto header = decode_control_header(unknown, reader);
      ASSERT_FALSE(header.has_value()) << verb;
      EXPECT_EQ(header.error().code(), ErrorCode::kUnsupported) << verb;
    }
  }
}

TEST(ControlHeader, ClaimingMoreThanItsVerbMayCarryIsRejectedBeforeThePayload) {
  struct Limit {
    ControlVerb verb;
    ControlRole reader;
    std::uint32_t bytes_max;
  };
  for (const auto& limit : {Limit{ControlVerb::kHello, ControlRole::kServer, 1'024},
                            Limit{ControlVerb::kGet, ControlRole::kServer, 1'024},
                            Limit{ControlVerb::kPut, ControlRole::kServer, (16U << 20) + 1'024},
                            Limit{ControlVerb::kScanBatch, ControlRole::kClient, 64U << 20},
                            Limit{ControlVerb::kError, ControlRole::kClient, 64U << 20}}) {
    for (const std::uint64_t claimed :
         {std::uint64_t{limit.bytes_max}, limit.bytes_max + std::uint64_t{1}, 0xFFFF'FFFFUL}) {
      const auto frame = forged(hello_frame(), [&](auto& header) {
        header.verb = limit.verb;
        header.payload_bytes = static_cast<std::uint32_t>(claimed);
      });
      EXPECT_EQ(decode_control_header(frame, limit.reader).has_value(), claimed <= limit.bytes_max)
          << claimed;
    }
  }
}

TEST(ControlFrame, ThatIsTooLongIsNeverFinished) {
  ControlFrame frame(ControlVerb::kGet);
  encode_control(frame.payload(), GetRequest{std::string(2'000, 'x'), Key{}});
  const auto finished = std::move(frame).finish(1);
  ASSERT_FALSE(finished.has_value());
  EXPECT_EQ(finished.error().code(), ErrorCode::kLimit);
}

TEST(ControlPayload, WithAValueOutOfRangeIsCorruptAndSaysWhere) {
  format::Writer durability;
  encode_control(durability, EraseRequest{"f", Key{}, static_cast<Durability>(3)});
  const auto erase = decode_erase_request(durability.bytes());
  ASSERT_FALSE(erase.has_value());
  EXPECT_EQ(erase.error().offset(), 3U + sizeof(Key));

  format::Writer no_family, long_family, flag;
  encode_control(no_family, ScanRequest{""});
  encode_control(long_family, ScanRequest{std::string(256, 'x')});
  EXPECT_FALSE(decode_scan_request(no_family.bytes()).has_value());
  EXPECT_FALSE(decode_scan_request(long_family.bytes()).has_value());
  flag.write(std::uint8_t{2});
  flag.write(std::uint64_t{0});
  EXPECT_FALSE(decode_erase_answer(flag.bytes()).has_value());
  EXPECT_FALSE(decode_scan_batch({}).has_value()) << "a batch without a row would never end a scan";
}

TEST(ControlPayload, StatingMoreEntriesThanItCanHoldIsRejectedAtTheCount) {
  format::Writer families;
  families.write(std::uint32_t{0xFFFF'FFFF});
  for (int i = 0; i < 100; ++i) families.write(std::uint8_t{1});
  const auto decoded = decode_families_answer(families.bytes());
  ASSERT_FALSE(decoded.has_value());
  EXPECT_EQ(decoded.error().offset(), 0U);
  EXPECT_EQ(decoded.error().found(), "4294967295");
}

TEST(ControlError, TravelsWithCodeMessageFileOffsetAndErrno) {
  format::Writer writer;
  encode_control(writer, testing::sample_error());
  const auto decoded = decode_error(writer.bytes());
  ASSERT_TRUE(decoded.has_value());
  const Error& error = *decoded;
  EXPECT_EQ(error.code(), ErrorCode::kCorruption);
  EXPECT_EQ(error.message(), "a row's sum does not hold");
  EXPECT_EQ(error.system_errno(), 5);
  EXPECT_EQ(error.file(), "0000000000000001.vls");
  EXPECT_EQ(error.offset(), 4'096U);
  EXPECT_EQ(error.expected(), "1234");
  EXPECT_EQ(error.found(), "4321");
  EXPECT_EQ(error.to_string(), testing::sample_error().to_string());
}

TEST(ControlError, OfACodeFromALaterVersionBecomesInternalAndNamesTheNumber) {
  format::Writer writer;
  encode_control(writer, Error(static_cast<ErrorCode>(999), "something new"));
  const auto decoded = decode_error(writer.bytes());
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(decoded->code(), ErrorCode::kInternal);
  EXPECT_EQ(decoded->message(), "something new");
  EXPECT_EQ(decoded->found(), "error code 999");
}

TEST(ControlError, LongerThanItsLengthFieldIsCutNotTorn) {
  format::Writer writer;
  encode_control(writer, Error(ErrorCode::kIo, std::string(100'000, 'm')).with_found("kept"));
  const auto decoded = decode_error(writer.bytes());
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(decoded->message().size(), 65'535U);
  EXPECT_EQ(decoded->found(), "kept");
}

TEST(ControlCodec, NeverAcceptsRandomBytesThatItWouldNotHaveWritten) {
  std::mt19937_64 random(vectolith::testing::random_seed());
  const auto samples = sample_frames();
  for (int round = 0; round < 20'000; ++round) {
    const auto& sample = samples[random() % samples.size()];
    ControlHeader header;
    std::memcpy(&header, sample.frame.data(), sizeof(header));
    std::vector<std::byte> payload(sample.frame.begin() + kControlHeaderBytes, sample.frame.end());
    if (round % 2 == 0) payload.assign(random() % 300, std::byte{});
    const auto changes = round % 2 == 0 ? payload.size() : 1 + random() % 4;
    for (std::size_t i = 0; i < changes && !payload.empty(); ++i)
      payload[random() % payload.size()] = std::byte(random());

    const auto again = reencode(header.verb, payload);
    // An unknown error code is replaced by kInternal and a note: the one lossy decoder.
    if (!again.has_value() || header.verb == ControlVerb::kError) continue;
    EXPECT_TRUE(std::ranges::equal(*again, payload)) << sample.name << ", round " << round;
  }
}

}  // namespace
}  // namespace vectolith::engine
