/// @file
/// Scopes of threads for whose slot there is no memory: what they may look at stays.
#include <atomic>
#include <thread>
#include <utility>

#include <gtest/gtest.h>

#include "index/epoch.h"
#include "support/refused_memory.h"

namespace vectolith::engine {
namespace {

using testing::InsideEngine;
using testing::RefusedMemory;

class RefusedScope : public ::testing::Test {
 protected:
  ~RefusedScope() override { RefusedMemory::stop(); }

  /// Runs `body` on a new thread, whose every allocation is refused.
  template <class Body>
  static void without_memory(const Body& body) {
    RefusedMemory::refuse(0, RefusedMemory::kForEver);
    std::jthread([&] {
      const InsideEngine inside;
      body();
    }).join();
    RefusedMemory::stop();
  }

  EpochDomain first_{{}}, second_{{}};
};

TEST_F(RefusedScope, HoldsBackWhatIsRetiredUntilItEnds) {
  auto retirement = EpochDomain::prepare([] {});
  std::size_t during = 0, afterwards = 0;
  without_memory([&] {
    {
      const auto scope = first_.enter();
      const auto nested = first_.enter();
      first_.retire(std::move(retirement));
      during = first_.collect();
    }
    afterwards = first_.collect();
  });
  EXPECT_EQ(during, 0U);
  EXPECT_EQ(afterwards, 1U);
}

TEST_F(RefusedScope, InsideOneOfAnotherDomainHoldsBackBothDomains) {
  auto of_first = EpochDomain::prepare([] {});
  auto of_second = EpochDomain::prepare([] {});
  std::size_t during = 0;
  without_memory([&] {
    const auto outer = first_.enter();
    const auto inner = second_.enter();
    first_.retire(std::move(of_first));
    second_.retire(std::move(of_second));
    during = first_.collect() + second_.collect();
  });
  EXPECT_EQ(during, 0U);
  EXPECT_EQ(first_.collect(), 1U);
  EXPECT_EQ(second_.collect(), 0U) << "kept until the domain ends";
}

TEST_F(RefusedScope, IsFollowedByOnesWithASlotWhenMemoryIsBack) {
  std::size_t during = 0;
  std::jthread([&] {
    const InsideEngine inside;
    RefusedMemory::refuse(0, RefusedMemory::kForEver);
    {
      const auto scope = first_.enter();
    }
    RefusedMemory::stop();
    const auto scope = first_.enter();
    first_.retire([] {});
    during = first_.collect();
  }).join();
  EXPECT_EQ(during, 0U);
  EXPECT_EQ(first_.collect(), 1U);
}

TEST_F(RefusedScope, IsWaitedForByWhoSynchronizes) {
  std::atomic<bool> entered{false}, left{false};
  RefusedMemory::refuse(0, RefusedMemory::kForEver);
  std::jthread thread([&] {
    const InsideEngine inside;
    const auto scope = first_.enter();
    RefusedMemory::stop();
    entered = true;
    entered.notify_all();
    for (int i = 0; i < 100; ++i) std::this_thread::yield();
    left = true;
  });
  entered.wait(false);
  first_.synchronize();
  EXPECT_TRUE(left.load());
}

}  // namespace
}  // namespace vectolith::engine
