/// @file
/// One connection to the control socket, seen from the store's side: reads requests, answers them.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include <vectolith/store.h>
#include <vectolith/verify.h>

#include "control/control_channel.h"
#include "control/protocol.h"
#include "io/environment.h"

namespace vectolith::engine {

/// How long a peer may keep a connection waiting before it is closed.
struct ControlPatience {
  std::chrono::nanoseconds between_requests = std::chrono::minutes(5);
  std::chrono::nanoseconds within_request = std::chrono::seconds(30);  ///< For one frame to come or to go.
};

/// fsck of the open store. Called by one thread at a time.
using ControlFsck = std::function<Result<FsckReport>()>;
/// One piece of a scrub of the open store. Called by one thread at a time, and not beside the fsck.
using ControlScrub = std::function<Result<ScrubReport>(ScrubPosition from, std::uint64_t bytes_max)>;

/// What all sessions of a server share.
struct ControlContext {
  Environment& environment;
  Store& store;
  ControlFsck fsck;
  ControlScrub scrub;
  ControlPatience patience;
  std::atomic<bool> fsck_running{false};
};

/// Serves one peer. `serve_one` belongs to one thread; the other members may be called by any.
class ControlSession {
 public:
  ControlSession(ControlContext& context, std::unique_ptr<Connection> connection) noexcept;

  /// Waits for a request and answers it. False when the connection has ended; then call it no more.
  bool serve_one() noexcept;
  /// Tells the peer why it is not served, and ends the connection. In place of the first `serve_one`.
  void refuse(const Error& error) { end_after(error); }
  /// Ends the connection: a `serve_one` that waits for the peer returns.
  void shutdown() noexcept { connection_->shutdown(); }
  /// Ends the connection if its peer has kept it waiting for longer than the patience allows.
  /// Work of the store itself is never cut short.
  void shutdown_if_overdue(std::uint64_t now_ns) noexcept;
  [[nodiscard]] bool ended() const noexcept { return ended_.load(std::memory_order_acquire); }

 private:
  class Waiting;
  class ScanStream;

  bool serve_request();
  Result<ControlHeader> read_header(std::chrono::nanoseconds limit);
  Result<std::vector<std::byte>> read_payload(const ControlHeader& header);
  bool send(ControlFrame frame);
  bool send_error(const Error& error);
  bool end() noexcept;
  bool end_after(const Error& error);

  Result<ControlFrame> run(ControlVerb verb, std::span<const std::byte> payload);
  Result<ControlFrame> stats() const;
  Result<ControlFrame> families() const;
  Result<ControlFrame> get(std::span<const std::byte> payload) const;
  Result<ControlFrame> put(std::span<const std::byte> payload) const;
  Result<ControlFrame> erase(std::span<const std::byte> payload) const;
  Result<ControlFrame> sync() const;
  Result<ControlFrame> scan(std::span<const std::byte> payload);
  Result<ControlFrame> fsck() const;
  Result<ControlFrame> scrub(std::span<const std::byte> payload) const;

  ControlContext& context_;
  std::unique_ptr<Connection> connection_;
  std::uint32_t request_ = 0;                    ///< Number of the request being served.
  std::atomic<std::uint64_t> overdue_at_ns_{0};  ///< 0 while the peer is not waited for.
  std::atomic<bool> ended_{false};
};

}  // namespace vectolith::engine
