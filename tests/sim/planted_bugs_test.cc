/// @file
/// The campaign can fail: bugs planted in the engine, one at a time, are each caught within 1,000 states.
#include <array>
#include <cstdio>
#include <string>
#include <thread>

#include "planted_bug.h"
#include "sim_store.h"
#include "support/sim/crash_simulation.h"

#ifdef VECTOLITH_PLANTED_BUGS

namespace vectolith::testing::sim {
namespace {

constexpr std::uint64_t kStatesMax = 1'000;
// Any seeds would do: how many states a bug takes is chance, and changes with the calls that the engine
// makes.
constexpr std::uint64_t kFirstSeed = 2'001;

// Twenty are listed below; kCompareHashOnly and kCounterStored (index_counter_test.cc) have tests of their
// own.
static_assert(static_cast<int>(PlantedBug::kCount) == 1 + 20 + 2, "a planted bug has no test");

/// Plants a bug for as long as it lives.
class Planting {
 public:
  explicit Planting(PlantedBug bug) { planted_bug = bug; }
  ~Planting() { planted_bug = PlantedBug::kNone; }
  Planting(const Planting&) = delete;
  Planting& operator=(const Planting&) = delete;
};

struct NamedBug {
  PlantedBug bug;
  const char* name;
};

class PlantedBugs : public ::testing::TestWithParam<NamedBug> {};

TEST_P(PlantedBugs, AreCaughtByTheCampaign) {
  const Planting planting(GetParam().bug);
  SimCounts counts;
  for (std::uint64_t seed = kFirstSeed; counts.states < kStatesMax; ++seed) {
    const auto result = simulate(seed);
    counts += result.counts;
    if (result.violation.empty()) continue;
    std::printf("caught after %llu states, seed %llu: %s\n", static_cast<unsigned long long>(counts.states),
                static_cast<unsigned long long>(seed), result.violation.c_str());
    return;
  }
  FAIL() << "not caught in " << counts.states << " states";
}

INSTANTIATE_TEST_SUITE_P(
    Each, PlantedBugs,
    ::testing::Values(NamedBug{PlantedBug::kAcknowledgeWithoutSync, "AcknowledgeWithoutSync"},
                      NamedBug{PlantedBug::kAcknowledgeBeforeCompletion, "AcknowledgeBeforeCompletion"},
                      NamedBug{PlantedBug::kRetryFailedSync, "RetryFailedSync"},
                      NamedBug{PlantedBug::kUnlinkedSync, "UnlinkedSync"},
                      NamedBug{PlantedBug::kHardLinkInsteadOfLink, "HardLinkInsteadOfLink"},
                      NamedBug{PlantedBug::kShortWriteTakenAsWhole, "ShortWriteTakenAsWhole"},
                      NamedBug{PlantedBug::kSumWithoutLife, "SumWithoutLife"},
                      NamedBug{PlantedBug::kSumWithoutPosition, "SumWithoutPosition"},
                      NamedBug{PlantedBug::kStopAtFirstBadRow, "StopAtFirstBadRow"},
                      NamedBug{PlantedBug::kNoDirectorySync, "NoDirectorySync"},
                      NamedBug{PlantedBug::kAppendToInheritedSegment, "AppendToInheritedSegment"},
                      NamedBug{PlantedBug::kPublishBeforeCompletion, "PublishBeforeCompletion"},
                      NamedBug{PlantedBug::kForgetDeaths, "ForgetDeaths"},
                      NamedBug{PlantedBug::kAcceptPartOfBatch, "AcceptPartOfBatch"},
                      NamedBug{PlantedBug::kManifestValidBeforeSync, "ManifestValidBeforeSync"},
                      NamedBug{PlantedBug::kEraseWithoutSync, "EraseWithoutSync"},
                      NamedBug{PlantedBug::kSequencesNotReserved, "SequencesNotReserved"},
                      NamedBug{PlantedBug::kRemoveFilesFirst, "RemoveFilesFirst"},
                      NamedBug{PlantedBug::kCloseWithoutSync, "CloseWithoutSync"},
                      NamedBug{PlantedBug::kExistingRowNotSynced, "ExistingRowNotSynced"}),
    [](const auto& tested) { return tested.param.name; });

// Story: two keys of the same 18 bits of hash. Their chance is too small for a campaign of small stores, so
// this is one state with many keys.
class PlantedInALargeStore : public SimStoreTest {
 protected:
  /// How many of `probes` keys that were never put are answered.
  std::uint64_t answered(std::uint64_t probes) {
    model_.spec.dim = 4;
    open();
    for (std::uint64_t first = 0; first < 40'000; first += 400)
      EXPECT_TRUE(put_batch(first, 400).has_value());
    std::uint64_t count = 0;
    for (std::uint64_t i = 0; i < probes; ++i) {
      const auto there = model_.vectors->contains(sim_key((std::uint64_t{1} << 40) + i));
      if (there && *there) ++count;
    }
    return count;
  }
};

TEST_F(PlantedInALargeStore, NoKeyAnswersForAnother) { EXPECT_EQ(answered(300'000), 0U); }

TEST_F(PlantedInALargeStore, AComparisonOfHashesOnlyIsCaught) {
  const Planting planting(PlantedBug::kCompareHashOnly);
  EXPECT_GT(answered(300'000), 0U);
}

}  // namespace
}  // namespace vectolith::testing::sim

#endif
