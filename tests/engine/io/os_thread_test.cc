/// @file
/// Workers pause, wake and end as told; parallel loops touch every index once.
#include "io/os_thread.h"

#include <atomic>
#include <cerrno>
#include <chrono>
#include <latch>
#include <semaphore>

#include <signal.h>
#include <sys/syscall.h>

#include "io_test_support.h"

namespace vectolith::engine::testing {
namespace {

using namespace std::chrono_literals;

class OsThreadTest : public ::testing::Test {
 protected:
  std::unique_ptr<Environment> environment_ = must(make_environment(BackendChoice::kSync));
};

TEST_F(OsThreadTest, RunParallelTouchesEveryIndexOnce) {
  for (const std::size_t count : {0U, 1U, 2U, 3U, 1000U}) {
    std::vector<std::atomic<int>> touched(count);
    environment_->run_parallel(count, [&](std::size_t i) { ++touched[i]; });
    for (const auto& times : touched) EXPECT_EQ(times, 1);
  }
}

TEST_F(OsThreadTest, RunParallelMayBeNested) {
  std::atomic<int> sum = 0;
  environment_->run_parallel(4, [&](std::size_t) {
    environment_->run_parallel(5, [&](std::size_t i) { sum += static_cast<int>(i); });
  });
  EXPECT_EQ(sum, 4 * 10);
}

TEST_F(OsThreadTest, TasksRunSideBySide) {
  std::latch all(4);
  run_side_by_side(4, 4, [&](std::size_t) { all.arrive_and_wait(); });  // Would hang on fewer threads.
}

TEST_F(OsThreadTest, WithoutFurtherThreadsTheCallerDoesItAlone) {
  run_in_child([&] {
    forbid_system_calls({SYS_clone, SYS_clone3}, EAGAIN);
    int done = 0;
    environment_->run_parallel(10, [&](std::size_t) { ++done; });
    EXPECT_EQ(done, 10);
    EXPECT_EQ(environment_->start_worker("w", [] { return 1ns; }), nullptr);
  });
}

TEST_F(OsThreadTest, AWorkerStepsAgainAtOnceWhenItAsksForNoPause) {
  std::counting_semaphore<> steps(0);
  const auto worker = environment_->start_worker("stepper", [&] {
    steps.release();
    return 0ns;
  });
  for (int i = 0; i < 100; ++i) steps.acquire();
}

TEST_F(OsThreadTest, NotifyCutsAPauseShort) {
  std::counting_semaphore<> steps(0);
  const auto worker = environment_->start_worker("sleeper with a long name", [&] {
    steps.release();
    return std::chrono::nanoseconds::max();
  });
  for (int i = 0; i < 100; ++i) {
    steps.acquire();  // Without the notify the next step would be a century away.
    worker->notify();
  }
}

TEST_F(OsThreadTest, ANotifyDuringAStepIsNotLost) {
  std::counting_semaphore<> entered(0);
  std::counting_semaphore<> leave(0);
  const auto worker = environment_->start_worker("w", [&] {
    entered.release();
    leave.acquire();
    return std::chrono::nanoseconds::max();
  });
  entered.acquire();
  worker->notify();
  leave.release();
  entered.acquire();
  leave.release();
}

TEST_F(OsThreadTest, DestroyingAWorkerWaitsForItsStepAndWakesItsPause) {
  std::atomic<bool> in_step = false;
  for (const auto pause : {0ns, std::chrono::nanoseconds::max()}) {
    for (int i = 0; i < 50; ++i) {
      auto worker = environment_->start_worker("w", [&, pause] {
        in_step = true;
        in_step = false;
        return pause;
      });
      worker.reset();
      EXPECT_FALSE(in_step);
    }
  }
}

TEST_F(OsThreadTest, TheHostsSignalHandlersDoNotRunOnOurThreads) {
  sigset_t mask;
  auto thread = start_thread("w", [&] { ::pthread_sigmask(SIG_SETMASK, nullptr, &mask); });
  ASSERT_TRUE(thread.has_value());
  thread->join();
  EXPECT_EQ(::sigismember(&mask, SIGTERM), 1);
  EXPECT_EQ(::sigismember(&mask, SIGUSR1), 1);
  EXPECT_EQ(::sigismember(&mask, SIGSEGV), 0) << "a crash could not be reported";
  sigset_t own;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &own);
  EXPECT_EQ(::sigismember(&own, SIGTERM), 0) << "the caller's mask was changed";
}

}  // namespace
}  // namespace vectolith::engine::testing
