/// @file
/// The control client against owners that misbehave: it never hangs, never invents, and says what is wrong.
#include <cstring>
#include <functional>
#include <stdexcept>
#include <thread>

#include <gtest/gtest.h>

#include <vectolith/control.h>
#include <vectolith/format/checksum.h>
#include <vectolith/format/file_name.h>

#include "control/control_channel.h"
#include "engine/control/control_samples.h"
#include "support/temp_directory.h"

namespace vectolith::engine {
namespace {

/// Plays the owner of a store for one peer: answers each request with the bytes that a script returns.
class FakeOwner {
 public:
  using Script = std::function<std::vector<std::byte>(const ControlHeader& request)>;

  explicit FakeOwner(Script script) : script_(std::move(script)) {
    directory_ = environment_->open_directory(temp_.path(), false).value();
    listener_ = environment_->listen(*directory_, format::kControlSocketName).value();
    thread_ = std::thread([this] { run(); });
  }
  ~FakeOwner() {
    listener_->shutdown();
    thread_.join();
  }
  [[nodiscard]] const std::string& path() const { return temp_.path(); }

 private:
  void run() {
    const auto peer = listener_->accept();
    if (!peer.has_value()) return;
    while (true) {
      const auto request = read_control_header(**peer, ControlRole::kServer);
      if (!request.has_value() || !read_control_payload(**peer, *request).has_value()) return;
      const auto answer = script_(*request);
      // No bytes: the owner dies.
      if (answer.empty() || !(*peer)->write_all(answer).has_value()) return;
    }
  }

  vectolith::testing::TempDirectory temp_;
  std::shared_ptr<Environment> environment_ = vectolith::testing::test_environment();
  std::unique_ptr<Directory> directory_;
  std::unique_ptr<Listener> listener_;
  Script script_;
  std::thread thread_;
};

std::vector<std::byte> empty_frame(ControlVerb verb, std::uint32_t request) {
  return ControlFrame(verb).finish(request).value();
}

std::vector<std::byte> error_frame(const Error& error, std::uint32_t request) {
  ControlFrame frame(ControlVerb::kError);
  encode_control(frame.payload(), error);
  return std::move(frame).finish(request).value();
}

std::vector<std::byte> batch_frame(std::uint64_t rows, std::uint32_t request) {
  ControlFrame frame(ControlVerb::kScanBatch);
  for (std::uint64_t i = 0; i < rows; ++i) encode_control(frame.payload(), testing::sample_row(i));
  return std::move(frame).finish(request).value();
}

std::vector<std::byte> end_frame(std::uint64_t rows, std::uint32_t request) {
  ControlFrame frame(ControlVerb::kScanEnd);
  encode_control(frame.payload(), ScanEnd{rows});
  return std::move(frame).finish(request).value();
}

/// An owner that greets properly and then follows `script`.
FakeOwner::Script greeting(FakeOwner::Script script) {
  return [script = std::move(script)](const ControlHeader& request) {
    return request.verb == ControlVerb::kHello ? empty_frame(ControlVerb::kHelloAnswer, request.request)
                                               : script(request);
  };
}

constexpr auto kVisitAll = [](const RemoteRow&) { return true; };

TEST(ControlClient, WithoutAnOwnerFindsNobodyAndSaysWhatToDo) {
  const vectolith::testing::TempDirectory temp;
  const auto client = ControlClient::connect(temp.path());
  ASSERT_FALSE(client.has_value());
  EXPECT_EQ(client.error().code(), ErrorCode::kNotFound);
  EXPECT_NE(client.error().message().find("Options::control"), std::string::npos);
  EXPECT_EQ(client.error().file(), temp.file("CONTROL"));
}

TEST(ControlClient, WithoutADirectoryFindsNothing) {
  const vectolith::testing::TempDirectory temp;
  EXPECT_EQ(ControlClient::connect(temp.file("gone")).error().code(), ErrorCode::kNotFound);
}

TEST(ControlClient, IsToldWhenTheOwnerSpeaksAnotherVersion) {
  const FakeOwner owner([](const ControlHeader&) {
    auto frame = error_frame(Error(ErrorCode::kUnsupported, "we speak version 9"), 0);
    frame[4] = std::byte{9};
    // The sum covers the version: let the later version state it correctly.
    const auto sum = format::checksum64(std::span(frame).subspan(kControlHeaderBytes),
                                        format::checksum64(std::span(frame).first(16)));
    std::memcpy(frame.data() + 16, &sum, sizeof(sum));
    return frame;
  });
  const auto client = ControlClient::connect(owner.path());
  ASSERT_FALSE(client.has_value());
  EXPECT_EQ(client.error().code(), ErrorCode::kUnsupported);
  EXPECT_EQ(client.error().message(), "we speak version 9");
}

TEST(ControlClient, HandsOnTheOwnersErrorWholeAndServesOn) {
  const FakeOwner owner(greeting([](const ControlHeader& request) {
    if (request.verb == ControlVerb::kSync) return empty_frame(ControlVerb::kSyncAnswer, request.request);
    return error_frame(testing::sample_error(), request.request);
  }));
  auto client = ControlClient::connect(owner.path()).value();
  const auto stats = client.stats();
  ASSERT_FALSE(stats.has_value());
  EXPECT_EQ(stats.error().code(), ErrorCode::kCorruption);
  EXPECT_EQ(stats.error().to_string(), testing::sample_error().to_string());
  EXPECT_TRUE(client.sync().has_value());
}

TEST(ControlClient, TakesNoAnswerThatBelongsToAnotherRequestVerbOrFamilyOfBytes) {
  const auto garbage = [](const ControlHeader&) { return std::vector<std::byte>(64, std::byte{0x42}); };
  const auto other_request = [](const ControlHeader& request) {
    return empty_frame(ControlVerb::kSyncAnswer, request.request + 1);
  };
  const auto other_verb = [](const ControlHeader& request) {
    return empty_frame(ControlVerb::kHelloAnswer, request.request);
  };
  const auto damaged = [](const ControlHeader& request) {
    auto frame = error_frame(testing::sample_error(), request.request);
    frame.back() ^= std::byte{1};
    return frame;
  };
  for (const FakeOwner::Script& script : {FakeOwner::Script(garbage), FakeOwner::Script(other_request),
                                          FakeOwner::Script(other_verb), FakeOwner::Script(damaged)}) {
    const FakeOwner owner(greeting(script));
    auto client = ControlClient::connect(owner.path()).value();
    const auto synced = client.sync();
    ASSERT_FALSE(synced.has_value());
    EXPECT_EQ(synced.error().code(), ErrorCode::kIo) << "kCorruption would accuse the store";
    const auto later = client.stats();
    ASSERT_FALSE(later.has_value());
    EXPECT_EQ(later.error().code(), ErrorCode::kClosed);
    EXPECT_NE(later.error().found().find(synced.error().message()), std::string::npos);
  }
}

TEST(ControlClient, HearsThatTheOwnerDied) {
  const FakeOwner owner(greeting([](const ControlHeader&) { return std::vector<std::byte>(); }));
  auto client = ControlClient::connect(owner.path()).value();
  EXPECT_EQ(client.fsck().error().code(), ErrorCode::kClosed);
  EXPECT_EQ(client.fsck().error().code(), ErrorCode::kClosed);
}

TEST(ControlClient, NoticesRowsThatAScanLost) {
  const FakeOwner owner(greeting([](const ControlHeader& request) {
    return request.verb == ControlVerb::kScan ? batch_frame(3, request.request)
                                              : end_frame(4, request.request);
  }));
  auto client = ControlClient::connect(owner.path()).value();
  const auto scanned = client.scan("f", kVisitAll);
  ASSERT_FALSE(scanned.has_value());
  EXPECT_EQ(scanned.error().code(), ErrorCode::kIo);
  EXPECT_EQ(scanned.error().expected(), "4 rows");
  EXPECT_EQ(scanned.error().found(), "3 rows");
}

TEST(ControlClient, CancelsAScanThatItsVisitorStopsAndServesOn) {
  const FakeOwner owner(greeting([](const ControlHeader& request) {
    switch (request.verb) {
      case ControlVerb::kScan:
      case ControlVerb::kScanMore: return batch_frame(3, request.request);
      case ControlVerb::kScanCancel: return end_frame(6, request.request);
      default: return empty_frame(ControlVerb::kSyncAnswer, request.request);
    }
  }));
  auto client = ControlClient::connect(owner.path()).value();
  int visited = 0;
  EXPECT_TRUE(client.scan("f", [&](const RemoteRow&) { return ++visited < 2; }).has_value());
  EXPECT_EQ(visited, 2);
  EXPECT_TRUE(client.sync().has_value());
}

TEST(ControlClient, DeliversTheRowsBeforeADamagedOneAndThenTheError) {
  const FakeOwner owner(greeting([](const ControlHeader& request) {
    return request.verb == ControlVerb::kScan ? batch_frame(2, request.request)
                                              : error_frame(testing::sample_error(), request.request);
  }));
  auto client = ControlClient::connect(owner.path()).value();
  std::vector<RemoteRow> rows;
  const auto scanned = client.scan("f", [&](const RemoteRow& row) {
    rows.push_back(row);
    return true;
  });
  ASSERT_FALSE(scanned.has_value());
  EXPECT_EQ(scanned.error().code(), ErrorCode::kCorruption);
  EXPECT_EQ(scanned.error().offset(), testing::sample_error().offset());
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[1].family, "f");
  EXPECT_EQ(rows[1].key, testing::sample_row(1).key);
  EXPECT_EQ(rows[1].sequence, testing::sample_row(1).sequence);
  EXPECT_EQ(rows[1].created_at_s, testing::sample_row(1).created_at_s);
  EXPECT_EQ(rows[1].vector, testing::sample_vector());
}

TEST(ControlClient, TurnsAVisitorThatThrowsIntoAnErrorAndServesOn) {
  const FakeOwner owner(greeting([](const ControlHeader& request) {
    if (request.verb == ControlVerb::kScan) return batch_frame(3, request.request);
    if (request.verb == ControlVerb::kScanMore) return end_frame(3, request.request);
    return empty_frame(ControlVerb::kSyncAnswer, request.request);
  }));
  auto client = ControlClient::connect(owner.path()).value();
  const auto scanned = client.scan("f", [](const RemoteRow&) -> bool { throw std::runtime_error("mine"); });
  ASSERT_FALSE(scanned.has_value());
  EXPECT_EQ(scanned.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_TRUE(client.sync().has_value());
}

TEST(ControlClient, RefusesARequestFromWithinItsScan) {
  const FakeOwner owner(greeting([](const ControlHeader& request) {
    return request.verb == ControlVerb::kScan ? batch_frame(1, request.request)
                                              : end_frame(1, request.request);
  }));
  auto client = ControlClient::connect(owner.path()).value();
  ErrorCode inner{};
  const auto scanned = client.scan("f", [&](const RemoteRow&) {
    inner = client.sync().error().code();
    return true;
  });
  EXPECT_EQ(inner, ErrorCode::kBusy);
  EXPECT_TRUE(scanned.has_value()) << scanned.error().to_string();
}

TEST(ControlClient, SendsNothingThatTheOwnerWouldHaveToRefuseForItsLength) {
  const FakeOwner owner(greeting(
      [](const ControlHeader& request) { return empty_frame(ControlVerb::kSyncAnswer, request.request); }));
  auto client = ControlClient::connect(owner.path()).value();
  const std::vector<std::byte> huge(kControlPutBytesMax + 1U);
  EXPECT_EQ(client.put("f", Key{}, huge, Durability::kBuffered, false).error().code(), ErrorCode::kLimit);
  EXPECT_EQ(client.get(std::string(2'000, 'x'), Key{}).error().code(), ErrorCode::kLimit);
  EXPECT_TRUE(client.sync().has_value());
}

}  // namespace
}  // namespace vectolith::engine
