/// @file
/// Threads of the real operating system: plain ones, parallel loops, workers.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "io/environment.h"

namespace vectolith::engine {

/// Starts a thread on which the host's signal handlers do not run; nothing if the system refuses.
std::optional<std::thread> start_thread(std::string_view name, std::function<void()> body);

/// Runs `task(0) ... task(count - 1)`, each once, on the calling thread and up to `threads_max - 1`
/// others. With fewer threads than wished it takes longer and does the same.
void run_side_by_side(std::size_t count, std::size_t threads_max,
                      const std::function<void(std::size_t)>& task);

/// Calls `step` on a thread of its own until it is destroyed (not from within `step`).
class OsWorker final : public Worker {
 public:
  /// Null if the system refuses another thread.
  static std::unique_ptr<Worker> make(std::string_view name, std::function<std::chrono::nanoseconds()> step);

  explicit OsWorker(std::function<std::chrono::nanoseconds()> step);
  ~OsWorker() override;
  OsWorker(const OsWorker&) = delete;
  OsWorker& operator=(const OsWorker&) = delete;

  void notify() noexcept override;

 private:
  void run();
  /// Waits as asked, or until it is notified. False when the worker shall end.
  bool pause(std::chrono::nanoseconds duration);

  std::function<std::chrono::nanoseconds()> step_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool notified_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace vectolith::engine
