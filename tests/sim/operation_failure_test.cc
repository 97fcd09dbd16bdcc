/// @file
/// Every call of a standard scenario fails in turn, once or from then on: no crash, no false OK, and the
/// store is consistent afterwards.
#include <cerrno>
#include <cstdio>
#include <string>

#include "sim/store_scenario.h"

namespace vectolith::testing::sim {
namespace {

struct Failure {
  const char* name;
  int error;  ///< 0: a transfer that moves only `share` of what was asked.
  double share;
  bool is_harmless_once;  ///< Who meets it once goes on as if nothing had been.
};

class OperationFailure : public StoreScenario, public ::testing::WithParamInterface<Failure> {
 protected:
  [[nodiscard]] std::uint64_t count_calls() {
    begin();
    scenario();
    EXPECT_EQ(errors_, 0U);
    const auto calls = process_->calls();
    bury();
    return calls;
  }
  /// True if the call could be given the failure.
  bool run_with_failure(std::uint64_t number, bool for_good) {
    const Failure& failure = GetParam();
    bool met = false;
    begin();
    process_->decide = [&](const Call& call) {
      if (call.number < number || (call.number > number && !for_good)) return Outcome{};
      const bool transfer = call.kind == CallKind::kRead || call.kind == CallKind::kWrite;
      if (failure.error == 0 && !transfer) return Outcome{};
      if (is_harmless() && !transfer) return Outcome{};  // What is not a transfer is not repeated.
      met = true;
      if (failure.error != 0) return Outcome{.error = failure.error};
      const auto moved = static_cast<std::uint64_t>(static_cast<double>(call.bytes) * failure.share);
      return Outcome{.is_cut = true, .moved = moved};
    };
    scenario();
    const bool must_succeed = met && !for_good && failure.is_harmless_once;
    EXPECT_TRUE(!must_succeed || errors_ == 0) << "call " << number;
    return met;
  }
  [[nodiscard]] static bool is_harmless() { return GetParam().is_harmless_once; }
};

TEST_P(OperationFailure, AtEveryCallLeavesAConsistentStore) {
  const std::uint64_t calls = count_calls();
  std::uint64_t runs = 0;
  for (const bool for_good : {false, true}) {
    for (std::uint64_t number = 0; number < calls; ++number) {
      if (!run_with_failure(number, for_good)) continue;
      ++runs;
      check_after_crash(number % 2 == 0);
      if (HasFatalFailure()) FAIL() << "call " << number << (for_good ? " and all after it" : "");
    }
  }
  std::printf("%llu runs over %llu calls\n", static_cast<unsigned long long>(runs),
              static_cast<unsigned long long>(calls));
  EXPECT_GT(runs, 100U);
}

INSTANTIATE_TEST_SUITE_P(Each, OperationFailure,
                         ::testing::Values(Failure{"Eio", EIO, 0, false}, Failure{"Enospc", ENOSPC, 0, false},
                                           Failure{"Eintr", EINTR, 0, true},
                                           Failure{"Eagain", EAGAIN, 0, true}, Failure{"Short", 0, 0.5, true},
                                           Failure{"Nothing", 0, 0, false}),
                         [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace vectolith::testing::sim
