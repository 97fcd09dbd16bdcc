/// @file
/// The handler of SIGINT and SIGTERM, and the flag it sets.
#include "stop_signal.h"

#include <atomic>
#include <csignal>

namespace vectolith::tools {

namespace {

std::atomic<bool> stop_wanted = false;
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may set it");

}  // namespace

void catch_stop_signals() noexcept {
  struct sigaction action{};
  action.sa_handler = [](int) { stop_wanted.store(true, std::memory_order_relaxed); };
  action.sa_flags = static_cast<int>(SA_RESTART | SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool is_stop_wanted() noexcept { return stop_wanted.load(std::memory_order_relaxed); }

}  // namespace vectolith::tools
