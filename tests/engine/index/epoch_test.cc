/// @file
/// Promises of EpochDomain: nothing is freed under a reader, everything is freed in the end.
#include "index/epoch.h"

#include <atomic>
#include <latch>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "index_test_support.h"

namespace vectolith::engine {
namespace {

using testing::kernel_barrier;

/// Every promise holds with the kernel's barrier and with a kernel that refuses it.
class EpochDomainTest : public ::testing::TestWithParam<bool> {
 protected:
  static std::function<bool()> barrier() {
    if (GetParam()) return &kernel_barrier;
    return [] { return false; };
  }

  EpochDomain epochs_{barrier()};
  std::atomic<int> freed_{0};
  std::function<void()> count_ = [this] { ++freed_; };
};

INSTANTIATE_TEST_SUITE_P(Barrier, EpochDomainTest, ::testing::Bool(),
                         [](const auto& test) { return test.param ? "Kernel" : "Refused"; });

TEST_P(EpochDomainTest, FreesAtOnceWhatNobodyCanSee) {
  epochs_.retire(count_);
  EXPECT_EQ(epochs_.retired(), 1U);
  EXPECT_EQ(epochs_.collect(), 1U);
  EXPECT_EQ(freed_, 1);
  EXPECT_EQ(epochs_.retired(), 0U);
  EXPECT_EQ(epochs_.collect(), 0U);
}

TEST_P(EpochDomainTest, FreesNothingWhileAScopeFromBeforeIsOpen) {
  {
    const auto scope = epochs_.enter();
    epochs_.retire(count_);
    EXPECT_EQ(epochs_.collect(), 0U);
    EXPECT_EQ(freed_, 0);
  }
  EXPECT_EQ(epochs_.collect(), 1U);
  EXPECT_EQ(freed_, 1);
}

TEST_P(EpochDomainTest, DoesNotWaitForScopesThatBeganAfterwards) {
  epochs_.retire(count_);
  const auto scope = epochs_.enter();
  EXPECT_EQ(epochs_.collect(), 1U);
}

TEST_P(EpochDomainTest, FreesInPartWhatOnlyALaterScopeHoldsBack) {
  epochs_.retire(count_);
  const auto scope = epochs_.enter();
  epochs_.retire(count_);
  EXPECT_EQ(epochs_.collect(), 1U);
  EXPECT_EQ(epochs_.retired(), 1U);
}

TEST_P(EpochDomainTest, HoldsBackUntilTheLastOfNestedScopesEnds) {
  std::optional<EpochDomain::Scope> outer(epochs_.enter());
  std::optional<EpochDomain::Scope> inner(epochs_.enter());
  epochs_.retire(count_);
  outer.reset();
  EXPECT_EQ(epochs_.collect(), 0U);
  inner.reset();
  EXPECT_EQ(epochs_.collect(), 1U);
}

TEST_P(EpochDomainTest, KeepsAScopeOpenWhenItIsMoved) {
  auto scope = std::make_unique<EpochDomain::Scope>(epochs_.enter());
  {
    const EpochDomain::Scope moved(std::move(*scope));
    scope.reset();
    epochs_.retire(count_);
    EXPECT_EQ(epochs_.collect(), 0U);
  }
  EXPECT_EQ(epochs_.collect(), 1U);
}

TEST_P(EpochDomainTest, RespectsTheScopesOfOtherThreads) {
  std::latch entered(1);
  std::latch retired(1);
  std::thread reader([&] {
    const auto scope = epochs_.enter();
    entered.count_down();
    retired.wait();
  });
  entered.wait();
  epochs_.retire(count_);
  EXPECT_EQ(epochs_.collect(), 0U);
  retired.count_down();
  reader.join();
  EXPECT_EQ(epochs_.collect(), 1U);
}

TEST_P(EpochDomainTest, CollectsAllOnlyOnceTheDeletersOfAnotherThreadHaveReturned) {
  std::latch begun(1);
  std::latch asked(1);
  epochs_.retire([&] {
    begun.count_down();
    asked.wait();
    for (int i = 0; i < 1'000; ++i) std::this_thread::yield();
    ++freed_;
  });
  std::thread other([&] { epochs_.collect(); });
  begun.wait();
  asked.count_down();
  epochs_.collect_all();
  EXPECT_EQ(freed_, 1);
  other.join();
}

TEST_P(EpochDomainTest, CollectsAllWithoutWaitingForAReader) {
  const auto scope = epochs_.enter();
  epochs_.retire(count_);
  EXPECT_EQ(epochs_.collect_all(), 0U);
  EXPECT_EQ(freed_, 0);
}

TEST_P(EpochDomainTest, KeepsDomainsApart) {
  EpochDomain other(barrier());
  const auto scope = other.enter();
  epochs_.retire(count_);
  EXPECT_EQ(epochs_.collect(), 1U);
  const auto second = epochs_.enter();  // the thread's last domain changes back and forth
  const auto third = other.enter();
  epochs_.retire(count_);
  EXPECT_EQ(epochs_.collect(), 0U);
}

TEST_P(EpochDomainTest, RunsAllThatIsLeftWhenItEnds) {
  {
    EpochDomain domain(barrier());
    domain.retire([&] {
      ++freed_;
      domain.retire(count_);  // a deleter may retire more
    });
  }
  EXPECT_EQ(freed_, 2);
}

TEST_P(EpochDomainTest, LetsThreadsAndDomainsEndInAnyOrder) {
  auto domain = std::make_unique<EpochDomain>(barrier());
  std::latch entered(1);
  std::latch ended(1);
  std::thread outlives([&] {
    {
      const auto scope = domain->enter();
    }
    entered.count_down();
    ended.wait();
    const auto scope = epochs_.enter();  // looks for its slot among those of the dead domain
  });
  entered.wait();
  domain.reset();
  ended.count_down();
  outlives.join();

  for (int i = 0; i < 100; ++i) {
    std::thread([&] { const auto scope = epochs_.enter(); }).join();
  }
  epochs_.retire(count_);
  EXPECT_EQ(epochs_.collect(), 1U);
}

/// Enters a scope when its thread ends. Made before the thread's first scope, so destroyed after its slots.
struct EntersAtExit {
  EpochDomain* epochs = nullptr;
  std::function<void()> inside;
  ~EntersAtExit() {
    if (epochs == nullptr) return;
    const auto scope = epochs->enter();
    const auto nested = epochs->enter();
    inside();
  }
};

TEST_P(EpochDomainTest, ServesDestructorsThatRunWhileAThreadEnds) {
  std::thread([&] {
    thread_local EntersAtExit at_exit;
    at_exit.epochs = &epochs_;
    at_exit.inside = [&] {
      epochs_.retire(count_);
      EXPECT_EQ(epochs_.collect(), 0U);
    };
    const auto scope = epochs_.enter();
  }).join();
  EXPECT_EQ(epochs_.collect(), 1U);
}

/// Holds a scope beyond the end of its thread's slots.
struct HoldsAtExit {
  std::optional<EpochDomain::Scope> scope;
  std::function<void()> inside;
  ~HoldsAtExit() {
    if (inside) inside();
  }
};

TEST_P(EpochDomainTest, KeepsAScopeThatAThreadLocalObjectHoldsToTheEnd) {
  std::thread([&] {
    thread_local HoldsAtExit at_exit;
    at_exit.inside = [&] { EXPECT_EQ(epochs_.collect(), 0U); };
    at_exit.scope.emplace(epochs_.enter());
    epochs_.retire(count_);
  }).join();
  EXPECT_EQ(epochs_.collect(), 1U);
}

TEST_P(EpochDomainTest, SynchronizeReturnsAfterTheScopesOpenAtItsStart) {
  for (int round = 0; round < 100; ++round) {
    std::latch entered(3);
    std::latch synchronizing(1);
    std::atomic<int> left{0};
    std::vector<std::thread> readers;
    for (int i = 0; i < 3; ++i) {
      readers.emplace_back([&] {
        const auto scope = epochs_.enter();
        entered.count_down();
        synchronizing.wait();
        // A synchronize that does not wait is through long before.
        for (int spin = 0; spin < 100; ++spin) std::this_thread::yield();
        ++left;
      });
    }
    entered.wait();
    synchronizing.count_down();
    epochs_.synchronize();
    ASSERT_EQ(left, 3) << "in round " << round;
    for (auto& reader : readers) reader.join();
  }
}

TEST_P(EpochDomainTest, NeverFreesWhatAReaderLooksAt) {
  // A node is marked before it may be freed, and kept, so that a look at a dead one is no crash but a count.
  struct Node {
    std::atomic<bool> dead{false};
  };
  std::vector<std::unique_ptr<Node>> nodes;
  for (int i = 0; i < 20'000; ++i) nodes.push_back(std::make_unique<Node>());
  std::atomic<Node*> shared{nodes[0].get()};
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> dead_looks{0};
  std::latch started(3);
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      started.count_down();
      while (!stop.load(std::memory_order_relaxed)) {
        const auto scope = epochs_.enter();
        const Node* const node = shared.load(std::memory_order_acquire);
        for (int look = 0; look < 8; ++look) dead_looks += node->dead.load(std::memory_order_relaxed);
      }
    });
  }
  started.wait();
  for (std::size_t next = 1; next < nodes.size(); ++next) {
    Node* const old = shared.exchange(nodes[next].get(), std::memory_order_acq_rel);
    epochs_.retire([old] { old->dead.store(true, std::memory_order_relaxed); });
    epochs_.collect();
  }
  stop = true;
  for (auto& reader : readers) reader.join();
  EXPECT_EQ(dead_looks, 0U);
  epochs_.collect();
  EXPECT_EQ(epochs_.retired(), 0U);
  EXPECT_TRUE(nodes[nodes.size() - 2]->dead);
}

TEST(EpochDomain, AsksForABarrierAfterTheRetirementAndBeforeTheRelease) {
  std::vector<std::string> events;
  EpochDomain epochs([&] { return events.emplace_back("barrier"), true; });
  if (!epochs.asymmetric()) GTEST_SKIP() << "this build does not use the barrier";
  EXPECT_EQ(epochs.collect(), 0U) << "nothing to collect";
  epochs.retire([&] { events.emplace_back("released"); });
  epochs.collect();
  EXPECT_EQ(events, (std::vector<std::string>{"barrier", "barrier", "released"}));
}

TEST(EpochDomain, FreesNothingWithoutTheBarrierItReliesOn) {
  bool works = true;
  EpochDomain epochs([&] { return works; });
  if (!epochs.asymmetric()) GTEST_SKIP() << "this build does not use the barrier";
  epochs.retire([] {});
  works = false;
  EXPECT_EQ(epochs.collect(), 0U);
  works = true;
  EXPECT_EQ(epochs.collect(), 1U);
}

TEST(EpochDomain, SynchronizeDoesNotWaitForAScopeThatBeganAfterItsStart) {
  std::atomic<bool> armed{false};
  std::latch start(1);
  std::latch entered(1);
  std::latch leave(1);
  EpochDomain epochs([&] {
    if (armed.exchange(false)) {
      start.count_down();
      entered.wait();
    }
    return true;
  });
  if (!epochs.asymmetric()) GTEST_SKIP() << "this build does not use the barrier";
  std::latch known(1);
  std::thread reader([&] {
    {
      const auto scope = epochs.enter();
    }
    known.count_down();
    start.wait();
    const auto scope = epochs.enter();
    entered.count_down();
    leave.wait();
  });
  known.wait();
  armed = true;
  epochs.synchronize();  // would never return if it waited for the reader
  EXPECT_EQ(leave.try_wait(), false);
  leave.count_down();
  reader.join();
}

TEST(EpochDomain, SaysWhetherReadersDoWithoutAFence) {
  EXPECT_FALSE(EpochDomain(nullptr).asymmetric());
  EXPECT_FALSE(EpochDomain([] { return false; }).asymmetric());
}

}  // namespace
}  // namespace vectolith::engine
