/// @file
/// The crash campaign in pieces that ctest runs side by side. `crash_sim` runs as many states as are wanted.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <vector>

#include <gtest/gtest.h>

#include "support/sim/crash_simulation.h"

namespace vectolith::testing::sim {
namespace {

constexpr std::uint64_t kStatesEach = 400;

class CrashCampaign : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(CrashCampaign, KeepsTheContractInEveryState) {
  SimCounts counts;
  for (std::uint64_t seed = GetParam(); counts.states < kStatesEach; ++seed) {
    const auto result = simulate(seed);
    counts += result.counts;
    ASSERT_EQ(result.violation, "") << "seed " << seed << "; its story: crash_sim --one --seed " << seed;
  }
  std::printf("%llu states, %llu power cuts, %llu inside recoveries\n",
              static_cast<unsigned long long>(counts.states),
              static_cast<unsigned long long>(counts.power_cuts),
              static_cast<unsigned long long>(counts.double_crashes));
  EXPECT_GE(counts.double_crashes * 100, counts.states * 30) << "too few crashes inside recoveries";
}

INSTANTIATE_TEST_SUITE_P(Seeds, CrashCampaign, ::testing::Values(10'000, 20'000, 30'000, 40'000));

TEST(CrashSimulation, RunsTheSameForTheSameSeed) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed)
    EXPECT_EQ(simulate(seed).trace_hash, simulate(seed).trace_hash) << "seed " << seed;
}

TEST(CrashSimulation, RunsTheSameForTheSameTapeAndEndsWithIt) {
  Random random(1);
  for (std::uint64_t bytes = 0; bytes <= 100; ++bytes) {
    std::vector<std::byte> tape(bytes);
    for (auto& byte : tape) byte = static_cast<std::byte>(random());
    const auto result = simulate(Choices(tape));
    EXPECT_EQ(result.violation, "") << bytes << " bytes";
    EXPECT_EQ(result.trace_hash, simulate(Choices(tape)).trace_hash) << bytes << " bytes";
    EXPECT_LE(result.counts.operations, bytes);
  }
}

}  // namespace
}  // namespace vectolith::testing::sim
