/// @file
/// A small store with a control server, and a peer that speaks raw frames to it.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <vectolith/control.h>
#include <vectolith/format/file_name.h>
#include <vectolith/store.h>

#include "control/control_server.h"
#include "engine/control/control_samples.h"
#include "support/fault_environment.h"
#include "support/temp_directory.h"

namespace vectolith::engine::testing {

inline constexpr std::uint32_t kServedDim = 256;

inline Key served_key(std::uint64_t number) { return {Digest::from_number(number + 1), {}, {}}; }

inline std::vector<std::byte> served_vector(std::uint64_t number) {
  std::vector<float> values(kServedDim);
  for (std::uint32_t i = 0; i < kServedDim; ++i)
    values[i] = static_cast<float>(number + 1) + static_cast<float>(i) / 512;
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

/// A frame as it came.
struct Received {
  ControlVerb verb{};
  std::uint32_t request = 0;
  std::vector<std::byte> payload;
};

/// A peer without manners: sends what it is told and looks at each frame.
class RawPeer {
 public:
  RawPeer(Environment& environment, Directory& directory)
      : connection_(environment.connect(directory, format::kControlSocketName).value()) {}

  Result<void> send_bytes(std::span<const std::byte> bytes) { return connection_->write_all(bytes); }
  Result<void> send(ControlVerb verb, std::uint32_t request = 1) {
    return write_control_frame(*connection_, ControlFrame(verb), request);
  }
  Result<void> send_scan(std::string family) {
    ControlFrame frame(ControlVerb::kScan);
    encode_control(frame.payload(), ScanRequest{std::move(family)});
    return write_control_frame(*connection_, std::move(frame), 1);
  }
  Result<Received> receive() {
    VECTOLITH_TRY_ASSIGN(const auto header, read_control_header(*connection_, ControlRole::kClient));
    VECTOLITH_TRY_ASSIGN(auto payload, read_control_payload(*connection_, header));
    return Received{header.verb, header.request, std::move(payload)};
  }
  /// The error that comes next. Errors: whatever came instead of a kError frame.
  Result<Error> receive_error() {
    VECTOLITH_TRY_ASSIGN(const auto received, receive());
    if (received.verb != ControlVerb::kError) return fail(ErrorCode::kInternal, "this is no error frame");
    return decode_error(received.payload);
  }
  /// Whether the server has hung up, once everything that it sent was read.
  bool ends() {
    std::array<std::byte, 1> byte;
    const auto read = connection_->read_exact(byte);
    return !read.has_value() && read.error().code() == ErrorCode::kClosed;
  }

 private:
  std::unique_ptr<Connection> connection_;
};

/// The real environment with a clock that stands still until a test moves it.
class HandClock final : public vectolith::testing::FaultEnvironment {
 public:
  using FaultEnvironment::FaultEnvironment;
  [[nodiscard]] std::uint64_t steady_ns() const noexcept override { return now_ns_.load(); }
  void advance(std::chrono::nanoseconds by) { now_ns_ += static_cast<std::uint64_t>(by.count()); }

 private:
  std::atomic<std::uint64_t> now_ns_{1};
};

/// While it lives, time passes: a millisecond at a time, as fast as the machine goes.
class PassingTime {
 public:
  explicit PassingTime(HandClock& clock)
      : thread_([this, &clock] {
          while (!stop_) {
            clock.advance(std::chrono::milliseconds(1));
            std::this_thread::yield();
          }
        }) {}
  ~PassingTime() {
    stop_ = true;
    thread_.join();
  }
  PassingTime(const PassingTime&) = delete;
  PassingTime& operator=(const PassingTime&) = delete;

 private:
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

/// A store with the families "vectors" (f32, kServedDim) and "records", served.
class ServedStore {
 public:
  explicit ServedStore(const ControlServerOptions& server_options = {}, ControlFsck fsck = nullptr)
      : environment_(std::make_shared<HandClock>(vectolith::testing::test_environment())) {
    Options options;
    options.environment = vectolith::testing::test_environment();
    store_ = Store::create(temp_.file("store"), options).value();
    ModelSpec spec;
    spec.dim = kServedDim;
    vectors_ = store_->family("vectors", spec).value();
    records_ = store_->record_family("records").value();
    directory_ = environment_->open_directory(path(), false).value();
    server_ =
        ControlServer::start(*environment_, *directory_, *store_, std::move(fsck), server_options).value();
  }

  [[nodiscard]] std::string path() const { return temp_.file("store"); }
  [[nodiscard]] HandClock& environment() { return *environment_; }
  [[nodiscard]] Directory& directory() { return *directory_; }
  [[nodiscard]] Store& store() { return *store_; }
  [[nodiscard]] Family& vectors() { return *vectors_; }
  [[nodiscard]] RecordFamily& records() { return *records_; }
  [[nodiscard]] ControlClient client() { return ControlClient::connect(path()).value(); }
  [[nodiscard]] RawPeer raw_peer() { return {*environment_, *directory_}; }
  void stop_server() { server_.reset(); }

  /// Puts vectors 0 to count - 1 past the socket.
  void fill(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      ASSERT_TRUE(vectors_->put(served_key(i), std::span<const std::byte>(served_vector(i))).has_value());
    }
  }

 private:
  vectolith::testing::TempDirectory temp_;
  std::shared_ptr<HandClock> environment_;
  std::unique_ptr<Store> store_;
  std::optional<Family> vectors_;
  std::optional<RecordFamily> records_;
  std::unique_ptr<Directory> directory_;
  std::unique_ptr<ControlServer> server_;
};

}  // namespace vectolith::engine::testing
