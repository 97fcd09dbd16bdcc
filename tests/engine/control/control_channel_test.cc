/// @file
/// Frames over a connection: memory follows the bytes that came, and a peer's end is told from damage.
#include "control/control_channel.h"

#include <algorithm>
#include <cstring>

#include <gtest/gtest.h>

#include "engine/control/control_samples.h"

namespace vectolith::engine {
namespace {

/// A peer that has sent some bytes and gone.
class SentAndGone final : public Connection {
 public:
  explicit SentAndGone(std::vector<std::byte> sent) : sent_(std::move(sent)) {}
  Result<void> read_exact(std::span<std::byte> bytes) override {
    asked_bytes_max = std::max(asked_bytes_max, bytes.size());
    if (sent_.size() - read_ < bytes.size()) return fail(ErrorCode::kClosed, "the peer is gone");
    std::memcpy(bytes.data(), sent_.data() + read_, bytes.size());
    read_ += bytes.size();
    return {};
  }
  Result<void> write_all(std::span<const std::byte> bytes) override {
    ++writes;
    written.insert(written.end(), bytes.begin(), bytes.end());
    return {};
  }
  void shutdown() noexcept override {}

  std::size_t asked_bytes_max = 0;
  std::size_t writes = 0;
  std::vector<std::byte> written;

 private:
  std::vector<std::byte> sent_;
  std::size_t read_ = 0;
};

TEST(ControlChannel, ReadsAFrameThatAnotherChannelWroteInOneCall) {
  std::vector<std::byte> payload(3'000'000);
  for (std::size_t i = 0; i < payload.size(); ++i) payload[i] = std::byte(i * 31 >> 3);
  ControlFrame frame(ControlVerb::kPut);
  encode_control(frame.payload(), PutRequest{"f", Key{}, Durability::kBuffered, false, payload});
  SentAndGone writer({});
  ASSERT_TRUE(write_control_frame(writer, std::move(frame), 5).has_value());
  EXPECT_EQ(writer.writes, 1U);

  SentAndGone reader(writer.written);
  const auto header = read_control_header(reader, ControlRole::kServer);
  ASSERT_TRUE(header.has_value()) << header.error().to_string();
  EXPECT_EQ(header->request, 5U);
  const auto received = read_control_payload(reader, *header);
  ASSERT_TRUE(received.has_value()) << received.error().to_string();
  const auto put = decode_put_request(*received);
  ASSERT_TRUE(put.has_value());
  EXPECT_TRUE(std::ranges::equal(put->vector, payload));
}

TEST(ControlChannel, TakesMemoryForBytesThatCameAndNotForBytesThatWereClaimed) {
  ControlHeader header;
  header.verb = ControlVerb::kScanBatch;
  header.payload_bytes = kControlPayloadBytesMax;
  SentAndGone peer({});
  const auto payload = read_control_payload(peer, header);
  ASSERT_FALSE(payload.has_value());
  EXPECT_EQ(payload.error().code(), ErrorCode::kClosed);
  EXPECT_LE(peer.asked_bytes_max, 1U << 20);
}

TEST(ControlChannel, TellsAPeerThatWentAwayFromDamageAtEveryByte) {
  for (const auto& sample : testing::sample_frames()) {
    for (std::size_t length = 0; length < sample.frame.size(); ++length) {
      SentAndGone peer({sample.frame.begin(), sample.frame.begin() + static_cast<std::ptrdiff_t>(length)});
      const auto header = read_control_header(peer, sample.reader);
      const auto code =
          header.has_value() ? read_control_payload(peer, *header).error().code() : header.error().code();
      ASSERT_EQ(code, ErrorCode::kClosed) << sample.name << ", " << length;
    }
  }
}

}  // namespace
}  // namespace vectolith::engine
