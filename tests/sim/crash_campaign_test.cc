/// @file
/// The crash campaign on the simulated disk, in pieces that ctest runs side by side.
#include <gtest/gtest.h>

#include "support/random_seed.h"
#include "support/sim/crash_simulation.h"

namespace vectolith::testing::sim {
namespace {

TEST(CrashCampaign, SameSeedSameRun) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed)
    EXPECT_EQ(simulate(seed).trace_hash, simulate(seed).trace_hash) << seed;
}

}  // namespace
}  // namespace vectolith::testing::sim
