/// @file
/// Accepts control connections, bounds and watches them, and ends them in order.
#include "control/control_server.h"

#include <algorithm>
#include <string>
#include <utility>

#include <vectolith/format/file_name.h>

#include "io/sanitizer.h"
#include "no_memory.h"
#include "store/control_start.h"
#include "verify/fsck_directory.h"
#include "verify/scrub.h"

namespace vectolith::engine {
namespace {

/// For a step that has nothing left to do until its worker is destroyed.
constexpr std::chrono::nanoseconds kForever = std::chrono::hours(24);
/// Before the next accept when one failed: descriptors or memory may be short for a while.
constexpr std::chrono::nanoseconds kAcceptRetry = std::chrono::milliseconds(100);

/// How often the sessions are looked at: often enough that patience is overrun by a quarter at most.
std::chrono::nanoseconds watch_pause(const ControlPatience& patience) {
  const auto shortest = std::min(patience.between_requests, patience.within_request);
  return std::clamp<std::chrono::nanoseconds>(shortest / 4, std::chrono::milliseconds(1),
                                              std::chrono::seconds(10));
}

Error busy(std::string_view reason) noexcept { return Error(ErrorCode::kBusy, reason); }

}  // namespace

ControlServer::ControlServer(Environment& environment, Store& store, ControlFsck fsck,
                             const ControlServerOptions& options)
    : context_{environment, store, std::move(fsck), options.scrub, options.patience},
      sessions_max_(options.sessions_max) {}

Result<std::unique_ptr<ControlServer>> ControlServer::start(Environment& environment, Directory& directory,
                                                            Store& store, ControlFsck fsck,
                                                            const ControlServerOptions& options) {
  std::unique_ptr<ControlServer> server(new ControlServer(environment, store, std::move(fsck), options));
  VECTOLITH_TRY_ASSIGN(server->listener_, environment.listen(directory, format::kControlSocketName));
  auto* self = server.get();
  server->watcher_ = environment.start_worker("vl-ctl-watch", [self] { return self->watch(); });
  if (server->watcher_ != nullptr) {
    server->acceptor_ = environment.start_worker("vl-ctl-accept", [self] { return self->accept_one(); });
  }
  if (server->acceptor_ == nullptr) {
    return fail(ErrorCode::kNoMemory, "the system refuses the control socket another thread");
  }
  return server;
}

ControlServer::~ControlServer() {
  if (listener_ != nullptr) listener_->shutdown();
  acceptor_.reset();  // From here on the list only shrinks.
  // Sessions wake the watcher when they end: they go with this list, before it.
  std::list<Served> sessions;
  const std::scoped_lock lock(mutex_);
  for (auto& served : sessions_) served.session.shutdown();
  sessions.swap(sessions_);
}

std::chrono::nanoseconds ControlServer::accept_one() noexcept {
  const auto connection = catch_no_memory([this]() -> Result<void> {
    VECTOLITH_TRY_ASSIGN(auto accepted, listener_->accept());
    serve(std::move(accepted));
    return {};
  });
  if (connection.has_value()) return {};
  return connection.error().code() == ErrorCode::kClosed ? kForever : kAcceptRetry;
}

void ControlServer::serve(std::unique_ptr<Connection> connection) {
  // What is left in either list goes after the lock is released.
  const auto ended = take_ended();
  std::list<Served> admitted;
  auto* served = &admitted.emplace_back(context_, std::move(connection));
  const std::scoped_lock lock(mutex_);
  if (sessions_.size() >= sessions_max_) {
    return served->session.refuse(
        busy("the control socket already serves " + std::to_string(sessions_max_) + " connections"));
  }
  served->worker =
      context_.environment.start_worker("vl-ctl-serve", [this, served] { return step(served->session); });
  if (served->worker == nullptr) return served->session.refuse(busy("the system refuses another thread"));
  sessions_.splice(sessions_.end(), admitted);
}

std::chrono::nanoseconds ControlServer::step(ControlSession& session) noexcept {
  if (session.ended()) return kForever;
  if (session.serve_one()) return {};
  watcher_->notify();
  return kForever;
}

std::chrono::nanoseconds ControlServer::watch() noexcept {
  const auto ended = take_ended();
  const auto now_ns = context_.environment.steady_ns();
  const std::scoped_lock lock(mutex_);
  for (auto& served : sessions_) served.session.shutdown_if_overdue(now_ns);
  return watch_pause(context_.patience);
}

std::list<ControlServer::Served> ControlServer::take_ended() noexcept {
  std::list<Served> ended;
  const std::scoped_lock lock(mutex_);
  for (auto it = sessions_.begin(); it != sessions_.end();) {
    const auto next = std::next(it);
    if (it->session.ended()) ended.splice(ended.end(), sessions_, it);
    it = next;
  }
  return ended;
}

Result<std::shared_ptr<void>> start_control_service(Store& store, Environment& environment,
                                                    Directory& directory) {
  const auto check = [&store, &directory] {
    // What was written so far is then known to be durable: damage to it can't pass for a write that goes on.
    // A store that cannot sync any more is checked all the same.
    (void)store.sync();
    FsckOptions options;
    options.online = true;
    return fsck_directory(directory, options);
  };
  ControlServerOptions options;
  options.scrub = [&store, &environment, &directory](ScrubPosition from, std::uint64_t bytes_max) {
    (void)store.sync();
    return scrub_directory(environment, directory,
                           {.from = from,
                            .bytes_per_s = 0,
                            .bytes_max = bytes_max,
                            .on_progress = {},
                            .environment = {},
                            .online = true});
  };
  VECTOLITH_TRY_ASSIGN(auto server, ControlServer::start(environment, directory, store, check, options));
  // A forked child must not end the parent's connections.
  const auto dispose = [mark = environment.process_mark()](ControlServer* ended) {
    if (mark == nullptr || mark->load() != 0) {
      delete ended;
    } else {
      sanitizer::leave_behind(ended);
    }
  };
  return std::shared_ptr<void>(std::shared_ptr<ControlServer>(server.release(), dispose));
}

}  // namespace vectolith::engine
