/// @file
/// The environment picks a backend that works here and says why; clocks, randomness and barriers are real.
#include <array>
#include <cerrno>
#include <set>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io_test_support.h"

namespace vectolith::engine::testing {
namespace {

/// A group on a fresh queue of the environment.
void expect_working_queue(Environment& environment) {
  const TempDirectory scratch;
  const auto directory = must(environment.open_directory(scratch.path(), false));
  const auto file = must(directory->open("f", OpenMode::kCreateNew));
  const auto queue = must(environment.make_queue(4));
  std::array bytes{std::byte{1}, std::byte{2}};
  IoOperation::Buffer buffer{.data = bytes.data(), .bytes = bytes.size()};
  std::array group{
      IoOperation{
          .kind = IoOperation::Kind::kWrite, .file = file.get(), .buffers = {&buffer, 1}, .linked = true},
      IoOperation{.file = file.get()}};
  must(queue->submit(group));
  must(queue->wait(group[1]));
  EXPECT_EQ(group[1].error, 0);
  EXPECT_EQ(must(file->size()), 2U);
}

/// What the whole layer promises where io_uring is refused at `call`.
void expect_fallback(const std::vector<int>& calls, int error, const std::string& named_cause) {
  run_in_child([&] {
    forbid_system_calls(calls, error);
    const auto automatic = must(make_environment(BackendChoice::kAuto));
    EXPECT_EQ(automatic->backend(), "sync");
    EXPECT_EQ(automatic->counters().uring_fallbacks, 1U);
    const std::string reason(automatic->fallback_reason());
    EXPECT_NE(reason.find("errno " + std::to_string(error)), std::string::npos) << reason;
    EXPECT_NE(reason.find(named_cause), std::string::npos) << reason;
    EXPECT_NE(reason.find("To use io_uring"), std::string::npos) << reason;
    expect_working_queue(*automatic);

    const auto forced = make_environment(BackendChoice::kUring);
    ASSERT_FALSE(forced.has_value());
    EXPECT_EQ(forced.error().code(), ErrorCode::kUnsupported);
    EXPECT_TRUE(reason.starts_with(forced.error().message())) << forced.error().message();
  });
}

TEST(OsEnvironment, WhereSeccompForbidsIoUringAutoFallsBackAndForcedSaysWhy) {
  expect_fallback({SYS_io_uring_setup}, EPERM, "seccomp");
}

TEST(OsEnvironment, WhereIoUringIsMissingAutoFallsBackAndForcedSaysWhy) {
  expect_fallback({SYS_io_uring_setup}, ENOSYS, "kernel before 5.6");
}

TEST(OsEnvironment, WhereMemoryIsLockedTightAutoFallsBackAndForcedSaysWhy) {
  expect_fallback({SYS_io_uring_setup}, ENOMEM, "RLIMIT_MEMLOCK");
}

TEST(OsEnvironment, ARingThatCannotBeEnteredOrAskedCountsAsMissing) {
  expect_fallback({SYS_io_uring_enter}, EPERM, "seccomp");
  expect_fallback({SYS_io_uring_register}, EPERM, "seccomp");
  expect_fallback({SYS_io_uring_register}, EINVAL, "kernel before 5.6");
}

TEST(OsEnvironment, SyncIsTakenWithoutAReason) {
  const auto environment = must(make_environment(BackendChoice::kSync));
  EXPECT_EQ(environment->backend(), "sync");
  EXPECT_TRUE(environment->fallback_reason().empty());
  EXPECT_EQ(environment->counters().uring_fallbacks, 0U);
  expect_working_queue(*environment);
}

TEST(OsEnvironment, WhenOnlyALaterRingIsRefusedAutoTakesAPlainQueueAndSaysSo) {
  const auto probed = must(make_environment(BackendChoice::kAuto));
  if (probed->backend() != "uring") GTEST_SKIP() << probed->fallback_reason();
  for (const auto choice : {BackendChoice::kAuto, BackendChoice::kUring}) {
    run_in_child([&] {
      const auto environment = must(make_environment(choice));
      expect_working_queue(*environment);
      EXPECT_TRUE(environment->fallback_reason().empty());
      forbid_system_calls({SYS_io_uring_setup}, ENOMEM);
      if (choice == BackendChoice::kUring) {
        EXPECT_EQ(environment->make_queue(4).error().system_errno(), ENOMEM);
        return;
      }
      expect_working_queue(*environment);
      expect_working_queue(*environment);
      EXPECT_EQ(environment->counters().uring_fallbacks, 1U);
      EXPECT_NE(environment->fallback_reason().find("further ring"), std::string_view::npos);
    });
  }
}

TEST(OsEnvironment, AQueueOfAnyDepthWorks) {
  for (const auto choice : {BackendChoice::kAuto, BackendChoice::kSync}) {
    const auto environment = must(make_environment(choice));
    for (const std::uint32_t depth : {0U, 1U, 3U, 100U, 100'000U}) must(environment->make_queue(depth));
  }
}

TEST(OsEnvironment, RandomBytesDoNotRepeat) {
  const auto environment = must(make_environment(BackendChoice::kSync));
  std::set<std::vector<std::byte>> seen;
  for (int i = 0; i < 100; ++i) {
    std::vector<std::byte> bytes(16);
    environment->fill_random(bytes);
    EXPECT_TRUE(seen.insert(bytes).second);
  }
  std::vector<std::byte> many(1 << 20);
  environment->fill_random(many);
  EXPECT_NE(many.back(), many[many.size() - 2]) << "1 in 256 by chance; a failure twice is none";
}

TEST(OsEnvironment, RandomBytesComeFromTheDeviceWhereGetrandomIsMissing) {
  run_in_child([] {
    forbid_system_calls({SYS_getrandom}, ENOSYS);
    const auto environment = must(make_environment(BackendChoice::kSync));
    std::vector<std::byte> bytes(64);
    environment->fill_random(bytes);
    EXPECT_NE(bytes, std::vector<std::byte>(64));
  });
}

TEST(OsEnvironment, RandomBytesDoNotRepeatWhereTheKernelTakesEverySourceAwayLater) {
  run_in_child([] {
    const auto environment = must(make_environment(BackendChoice::kSync));
    const auto other = must(make_environment(BackendChoice::kSync));
    forbid_system_calls({SYS_getrandom, SYS_openat}, EPERM);
    std::set<std::vector<std::byte>> seen;
    for (int i = 0; i < 1'000; ++i) {
      for (auto* drawing : {environment.get(), other.get()}) {
        std::vector<std::byte> bytes(20);
        drawing->fill_random(bytes);
        EXPECT_TRUE(seen.insert({bytes.begin(), bytes.begin() + 16}).second);
        EXPECT_NE(std::vector(bytes.begin() + 16, bytes.end()), std::vector<std::byte>(4))
            << "1 in 4 G by chance";
      }
    }
  });
}

TEST(OsEnvironment, TheSteadyClockNeverRunsBackAndTheWallClockIsOfThisCentury) {
  const auto environment = must(make_environment(BackendChoice::kSync));
  std::uint64_t before = environment->steady_ns();
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t now = environment->steady_ns();
    ASSERT_GE(now, before);
    before = now;
  }
  constexpr std::uint64_t kYear2020Ms = 1'577'836'800'000;
  EXPECT_GT(environment->wall_clock_ms(), kYear2020Ms);
  EXPECT_GE(environment->cores(), 1U);
}

TEST(OsEnvironment, ABarrierThatTheKernelRefusesIsReported) {
  const auto environment = must(make_environment(BackendChoice::kSync));
  EXPECT_TRUE(environment->barrier_all_threads()) << "Linux has had it since 4.14";
  run_in_child([] {
    forbid_system_calls({SYS_membarrier}, ENOSYS);
    EXPECT_FALSE(must(make_environment(BackendChoice::kSync))->barrier_all_threads());
  });
}

}  // namespace
}  // namespace vectolith::engine::testing
