/// @file
/// Peers that break off, lie, dawdle or come in crowds: the control server outlives them all.
#include "control/control_session.h"

#include <algorithm>
#include <cstring>
#include <latch>
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include <vectolith/format/checksum.h>

#include "engine/control/served_store.h"
#include "support/random_seed.h"

namespace vectolith::engine {
namespace {

using testing::PassingTime;
using testing::ServedStore;

constexpr auto kNever = std::chrono::hours(24 * 365);
constexpr auto kShort = std::chrono::milliseconds(1);

ControlServerOptions options_with(std::size_t sessions_max, ControlPatience patience = {kNever, kNever}) {
  return {.sessions_max = sessions_max, .patience = patience};
}

std::vector<std::byte> hello_of_version(std::uint16_t version) {
  auto frame = ControlFrame(ControlVerb::kHello).finish(1).value();
  std::memcpy(frame.data() + 4, &version, sizeof(version));
  const auto sum = format::checksum64({}, format::checksum64(std::span(frame).first(16)));
  std::memcpy(frame.data() + 16, &sum, sizeof(sum));
  return frame;
}

/// Connects until the server has room: a session counts until its peer's absence is seen. Where time
/// passes, the greeting itself may take too long and be cut off.
void expect_room_for_one(ServedStore& served) {
  while (true) {
    auto client = ControlClient::connect(served.path());
    if (client.has_value()) return;
    const auto code = client.error().code();
    ASSERT_TRUE(code == ErrorCode::kBusy || code == ErrorCode::kClosed) << client.error().to_string();
    std::this_thread::yield();
  }
}

TEST(ControlSession, AnswersAnotherVersionWithUnsupportedAndHangsUp) {
  ServedStore served;
  auto peer = served.raw_peer();
  ASSERT_TRUE(peer.send_bytes(hello_of_version(kControlVersion + 1)).has_value());
  const auto error = peer.receive_error();
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::kUnsupported);
  EXPECT_EQ(error->expected(), "version " + std::to_string(kControlVersion));
  EXPECT_EQ(error->found(), "version " + std::to_string(kControlVersion + 1));
  EXPECT_TRUE(peer.ends());
}

TEST(ControlSession, BlamesThePeerForBytesThatAreNoFrameAndNeverTheStore) {
  ServedStore served;
  auto peer = served.raw_peer();
  ASSERT_TRUE(peer.send_bytes(std::vector<std::byte>(kControlHeaderBytes, std::byte{0x42})).has_value());
  const auto error = peer.receive_error();
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::kInvalidArgument);
  EXPECT_TRUE(peer.ends());
}

TEST(ControlSession, AnswersAMalformedPayloadAndServesOn) {
  ServedStore served;
  auto peer = served.raw_peer();
  ControlFrame frame(ControlVerb::kSync);
  frame.payload().write(std::uint8_t{1});
  ASSERT_TRUE(peer.send_bytes(std::move(frame).finish(8).value()).has_value());
  const auto error = peer.receive_error();
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), ErrorCode::kInvalidArgument);
  ASSERT_TRUE(peer.send(ControlVerb::kSync, 9).has_value());
  const auto synced = peer.receive();
  ASSERT_TRUE(synced.has_value());
  EXPECT_EQ(synced->verb, ControlVerb::kSyncAnswer);
  EXPECT_EQ(synced->request, 9U);
}

TEST(ControlSession, TakesScanMoreOnlyAfterABatch) {
  ServedStore served;
  auto peer = served.raw_peer();
  ASSERT_TRUE(peer.send(ControlVerb::kScanMore).has_value());
  EXPECT_EQ(peer.receive_error().value().code(), ErrorCode::kInvalidArgument);
}

TEST(ControlSession, TakesNothingButMoreOrCancelAfterABatch) {
  ServedStore served;
  served.fill(600);
  auto peer = served.raw_peer();
  ASSERT_TRUE(peer.send_scan("vectors").has_value());
  ASSERT_EQ(peer.receive().value().verb, ControlVerb::kScanBatch);
  ASSERT_TRUE(peer.send(ControlVerb::kSync).has_value());
  EXPECT_EQ(peer.receive_error().value().code(), ErrorCode::kInvalidArgument);
  EXPECT_TRUE(peer.ends());
}

TEST(ControlSession, SendsNoMoreRowsOnceItsPeerCancels) {
  ServedStore served;
  served.fill(600);
  auto peer = served.raw_peer();
  ASSERT_TRUE(peer.send_scan("vectors").has_value());
  const auto batch = peer.receive().value();
  ASSERT_EQ(batch.verb, ControlVerb::kScanBatch);
  ASSERT_TRUE(peer.send(ControlVerb::kScanCancel).has_value());
  const auto end = peer.receive().value();
  ASSERT_EQ(end.verb, ControlVerb::kScanEnd);
  EXPECT_EQ(decode_scan_end(end.payload).value().rows, decode_scan_batch(batch.payload).value().size());
}

TEST(ControlSession, SurvivesRandomBytesFromItsPeers) {
  ServedStore served;
  std::mt19937_64 random(vectolith::testing::random_seed());
  const auto samples = testing::sample_frames();
  for (int round = 0; round < 200; ++round) {
    auto frame = samples[random() % samples.size()].frame;
    for (auto changes = random() % 4; changes > 0; --changes)
      frame[random() % frame.size()] = std::byte(random());
    frame.resize(random() % (frame.size() + 1));
    auto peer = served.raw_peer();
    // The server may hang up before it has read everything.
    static_cast<void>(peer.send_bytes(frame));
  }
  expect_room_for_one(served);
}

TEST(ControlSession, EndsWhenItsPeerGoesAwayInTheMiddleOfAScan) {
  ServedStore served(options_with(1));
  served.fill(600);
  for (int round = 0; round < 5; ++round) {
    while (true) {
      auto peer = served.raw_peer();
      if (!peer.send_scan("vectors").has_value()) continue;
      const auto batch = peer.receive();
      if (batch.has_value() && batch->verb == ControlVerb::kScanBatch) break;
    }
  }
  expect_room_for_one(served);
}

TEST(ControlSession, EndsWhenItsPeerGoesAwayAtAnyByteOfARequest) {
  ServedStore served(options_with(1));
  const auto frame = ControlFrame(ControlVerb::kSync).finish(1).value();
  for (std::size_t length = 0; length < frame.size(); ++length) {
    auto peer = served.raw_peer();
    static_cast<void>(peer.send_bytes(std::span(frame).first(length)));
  }
  expect_room_for_one(served);
}

TEST(ControlServerBounds, RefuseAPeerTooManyAndAdmitTheNextWhenOneLeaves) {
  ServedStore served(options_with(2));
  auto first = served.client();
  {
    auto second = served.client();
    const auto third = ControlClient::connect(served.path());
    ASSERT_FALSE(third.has_value());
    EXPECT_EQ(third.error().code(), ErrorCode::kBusy);
    EXPECT_NE(third.error().message().find("2 connections"), std::string::npos);
    EXPECT_TRUE(second.sync().has_value());
  }
  expect_room_for_one(served);
  EXPECT_TRUE(first.sync().has_value());
}

TEST(ControlServerBounds, EndAPeerThatIsIdleForTooLong) {
  ServedStore served(options_with(2, {kShort, kNever}));
  auto peer = served.raw_peer();
  const PassingTime time(served.environment());
  EXPECT_TRUE(peer.ends());
}

TEST(ControlServerBounds, EndAPeerThatLeavesItsRequestUnfinished) {
  ServedStore served(options_with(2, {kNever, kShort}));
  auto peer = served.raw_peer();
  ControlFrame frame(ControlVerb::kGet);
  encode_control(frame.payload(), GetRequest{"vectors", testing::served_key(1)});
  const auto bytes = std::move(frame).finish(1).value();
  ASSERT_TRUE(peer.send_bytes(std::span(bytes).first(bytes.size() - 1)).has_value());
  const PassingTime time(served.environment());
  EXPECT_TRUE(peer.ends());
}

TEST(ControlServerBounds, EndAPeerThatDoesNotReadItsAnswer) {
  ServedStore served(options_with(1, {kNever, kShort}));
  // More than any socket buffers, so that the server has to wait for its reader.
  const std::vector<std::byte> payload(8U << 20, std::byte{7});
  ASSERT_TRUE(served.records().put(testing::served_key(1), std::span<const std::byte>(payload)).has_value());
  auto peer = served.raw_peer();
  ASSERT_TRUE(peer.send_scan("records").has_value());
  // Its place is free again although the peer is still there.
  const PassingTime time(served.environment());
  expect_room_for_one(served);
}

TEST(ControlServerBounds, LetWorkOfTheStoreTakeLongerThanAnyPatience) {
  std::latch started(1), release(1);
  ServedStore served(options_with(4, {kShort, kShort}), [&]() -> Result<FsckReport> {
    started.count_down();
    release.wait();
    return testing::sample_report();
  });
  auto worker = served.raw_peer();
  ASSERT_TRUE(worker.send(ControlVerb::kFsck).has_value());
  started.wait();
  {
    // Two peers in a row outlast their patience while the fsck still runs. (Both fit in, even when the
    // first one still counts.)
    const PassingTime time(served.environment());
    for (int i = 0; i < 2; ++i) EXPECT_TRUE(served.raw_peer().ends());
  }
  release.count_down();
  const auto answer = worker.receive();
  ASSERT_TRUE(answer.has_value()) << answer.error().to_string();
  EXPECT_EQ(answer->verb, ControlVerb::kFsckAnswer);
}

TEST(ControlServerBounds, RunOneFsckAtATime) {
  std::latch started(1), release(1);
  std::atomic<int> calls = 0;
  ServedStore served(options_with(4), [&]() -> Result<FsckReport> {
    if (++calls == 1) {
      started.count_down();
      release.wait();
    }
    return testing::sample_report();
  });
  auto first = served.raw_peer();
  ASSERT_TRUE(first.send(ControlVerb::kFsck).has_value());
  started.wait();
  EXPECT_EQ(served.client().fsck().error().code(), ErrorCode::kBusy);
  release.count_down();
  EXPECT_EQ(first.receive().value().verb, ControlVerb::kFsckAnswer);
  EXPECT_TRUE(served.client().fsck().has_value());
}

TEST(ControlServerShutdown, ReleasesClientsThatAreBlockedInEveryWay) {
  ServedStore served(options_with(4));
  served.fill(600);
  const std::vector<std::byte> payload(8U << 20, std::byte{7});
  ASSERT_TRUE(served.records().put(testing::served_key(1), std::span<const std::byte>(payload)).has_value());

  auto idle = served.raw_peer();
  auto half_a_request = served.raw_peer();
  const auto request = hello_of_version(kControlVersion);
  ASSERT_TRUE(half_a_request.send_bytes(request).has_value());
  ASSERT_TRUE(half_a_request.receive().has_value());
  ASSERT_TRUE(half_a_request.send_bytes(std::span(request).first(5)).has_value());
  auto between_batches = served.raw_peer();
  ASSERT_TRUE(between_batches.send_scan("vectors").has_value());
  ASSERT_EQ(between_batches.receive().value().verb, ControlVerb::kScanBatch);
  auto unread_answer = served.raw_peer();
  ASSERT_TRUE(unread_answer.send_scan("records").has_value());

  std::thread waiting([&idle] { EXPECT_TRUE(idle.ends()); });
  served.stop_server();
  waiting.join();
  EXPECT_TRUE(half_a_request.ends());
  EXPECT_TRUE(between_batches.ends());
  EXPECT_FALSE(unread_answer.receive().has_value());
}

TEST(ControlServerShutdown, WaitsForTheWorkThatAPeerStarted) {
  std::latch started(1), release(1);
  std::atomic<bool> finished = false;
  ServedStore served(options_with(4), [&]() -> Result<FsckReport> {
    started.count_down();
    release.wait();
    finished = true;
    return testing::sample_report();
  });
  auto peer = served.raw_peer();
  ASSERT_TRUE(peer.send(ControlVerb::kFsck).has_value());
  started.wait();
  std::thread releasing([&release] { release.count_down(); });
  served.stop_server();
  EXPECT_TRUE(finished);
  releasing.join();
}

TEST(ControlServerShutdown, RemovesTheSocketSoThatClientsFindNobody) {
  ServedStore served;
  EXPECT_TRUE(ControlClient::connect(served.path()).has_value());
  served.stop_server();
  EXPECT_EQ(ControlClient::connect(served.path()).error().code(), ErrorCode::kNotFound);
}

TEST(ControlServerShutdown, LeavesTheSocketToTheServerThatHasIt) {
  ServedStore served;
  const auto second = ControlServer::start(served.environment(), served.directory(), served.store(), nullptr);
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code(), ErrorCode::kLocked);
  EXPECT_TRUE(served.client().sync().has_value());
}

}  // namespace
}  // namespace vectolith::engine
