/// @file
/// Serves the control socket of an open store until it is destroyed.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>

#include <vectolith/store.h>

#include "control/control_session.h"
#include "io/environment.h"

namespace vectolith::engine {

/// Bounds of a control server.
struct ControlServerOptions {
  std::size_t sessions_max = 16;  ///< Further peers are answered kBusy.
  ControlPatience patience;
  ControlScrub scrub{};  ///< None: a request for it is kUnsupported.
};

/// The control socket of one store: accepts peers of this machine and serves each on a worker of its own.
///
/// Lifetime: environment, directory and store outlive it. Destroy it before the store is closed, and on
/// none of its own threads: the destructor ends the peers' connections, waits for the request that each
/// of them has running, and removes the socket.
class ControlServer {
 public:
  /// Errors: kLocked when a live process serves the socket, kIo, kNoMemory.
  static Result<std::unique_ptr<ControlServer>> start(Environment& environment, Directory& directory,
                                                      Store& store, ControlFsck fsck,
                                                      const ControlServerOptions& options = {});
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;
  ~ControlServer();

 private:
  /// A session and the worker that runs it; the worker goes first.
  struct Served {
    ControlSession session;
    std::unique_ptr<Worker> worker;
    Served(ControlContext& context, std::unique_ptr<Connection> connection) noexcept
        : session(context, std::move(connection)) {}
  };

  ControlServer(Environment& environment, Store& store, ControlFsck fsck,
                const ControlServerOptions& options);
  std::chrono::nanoseconds accept_one() noexcept;
  std::chrono::nanoseconds step(ControlSession& session) noexcept;
  std::chrono::nanoseconds watch() noexcept;
  void serve(std::unique_ptr<Connection> connection);
  std::list<Served> take_ended() noexcept;

  ControlContext context_;
  const std::size_t sessions_max_;
  std::unique_ptr<Listener> listener_;
  std::mutex mutex_;  ///< Guards the list, not the sessions in it.
  std::list<Served> sessions_;
  std::unique_ptr<Worker> watcher_;   ///< Removes ended sessions and ends overdue ones.
  std::unique_ptr<Worker> acceptor_;  ///< Starts sessions.
};

}  // namespace vectolith::engine
