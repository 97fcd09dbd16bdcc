/// @file
/// Threads of the real operating system: plain ones, parallel loops, workers.
#include "io/os_thread.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <new>
#include <system_error>
#include <utility>
#include <vector>

#include <pthread.h>
#include <signal.h>

namespace vectolith::engine {
namespace {

/// Blocks the signals that a process receives from outside while it lives; new threads inherit the mask.
/// We are linked into somebody's process: their handlers should interrupt their threads, not ours.
/// Signals that a thread raises by its own fault stay open, or a crash could not be reported.
class BlockedSignals {
 public:
  BlockedSignals() noexcept {
    sigset_t blocked;
    ::sigfillset(&blocked);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS, SIGPROF}) {
      ::sigdelset(&blocked, fault);
    }
    ::pthread_sigmask(SIG_BLOCK, &blocked, &before_);
  }
  ~BlockedSignals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;

 private:
  sigset_t before_{};
};

void name_this_thread(const std::string& name) {
  constexpr std::size_t kThreadNameBytesMax = 15;  // The kernel refuses longer names instead of cutting them.
  static_cast<void>(::pthread_setname_np(::pthread_self(), name.substr(0, kThreadNameBytesMax).c_str()));
}

/// Starts up to `count` threads with `body`; fewer if the system refuses threads or memory.
void start_helpers(std::vector<std::thread>& helpers, std::size_t count, const std::function<void()>& body) {
  try {
    helpers.reserve(count);
    while (helpers.size() < count) {
      auto helper = start_thread("vl-parallel", body);
      if (!helper) return;
      helpers.push_back(*std::move(helper));
    }
  } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): the caller does without.
  }
}

}  // namespace

std::optional<std::thread> start_thread(std::string_view name, std::function<void()> body) {
  const BlockedSignals blocked;
  try {
    return std::thread([name = std::string(name), body = std::move(body)] {
      name_this_thread(name);
      body();
    });
  } catch (const std::system_error&) {
    return std::nullopt;  // EAGAIN: a limit on threads or memory.
  }
}

void run_side_by_side(std::size_t count, std::size_t threads_max,
                      const std::function<void(std::size_t)>& task) {
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (std::size_t i = next++; i < count; i = next++) task(i);
  };
  std::vector<std::thread> helpers;
  const std::size_t threads = std::min(count, threads_max);
  if (threads > 1) start_helpers(helpers, threads - 1, std::cref(work));
  work();
  for (auto& helper : helpers) helper.join();
}

std::unique_ptr<Worker> OsWorker::make(std::string_view name,
                                       std::function<std::chrono::nanoseconds()> step) {
  auto worker = std::make_unique<OsWorker>(std::move(step));
  auto thread = start_thread(name, [self = worker.get()] { self->run(); });
  if (!thread) return nullptr;
  worker->thread_ = *std::move(thread);
  return worker;
}

OsWorker::OsWorker(std::function<std::chrono::nanoseconds()> step) : step_(std::move(step)) {}

OsWorker::~OsWorker() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void OsWorker::notify() noexcept {
  {
    const std::lock_guard lock(mutex_);
    notified_ = true;
  }
  wake_.notify_all();
}

void OsWorker::run() {
  while (pause(step_())) {
  }
}

bool OsWorker::pause(std::chrono::nanoseconds duration) {
  // "For ever" as a duration would overflow the deadline; a century of days does not.
  constexpr std::chrono::nanoseconds kPauseMax = std::chrono::hours(24 * 36'500);
  std::unique_lock lock(mutex_);
  if (duration.count() > 0) {
    wake_.wait_for(lock, std::min(duration, kPauseMax), [this] { return notified_ || stopping_; });
  }
  notified_ = false;
  return !stopping_;
}

}  // namespace vectolith::engine
