/// @file
/// Every call of a standard scenario fails in turn, once or from then on: no crash, no false OK, and the
/// store is consistent afterwards.
#include <cerrno>
#include <cstdio>
#include <string>

#include "sim_store.h"

namespace vectolith::testing::sim {
namespace {

struct Failure {
  const char* name;
  int error;  ///< 0: a transfer that moves only `share` of what was asked.
  double share;
  bool is_harmless_once;  ///< Who meets it once goes on as if nothing had been.
};

class OperationFailure : public SimStoreTest, public ::testing::WithParamInterface<Failure> {
 protected:
  void acted(std::uint64_t key, std::size_t step, bool ok, bool durable) {
    auto& history = model_.keys[key];
    if (ok) {
      history.acknowledge(step, durable);
    } else {
      ++errors_;
    }
  }
  void do_put(std::uint64_t key, Durability level, std::uint64_t version) {
    const auto step = model_.keys[key].begin(version);
    acted(key, step, try_put(key, level, version).has_value(), level == Durability::kDurable);
  }
  void do_erase(std::uint64_t key, Durability level) {
    const auto step = model_.keys[key].begin(0);
    acted(key, step, model_.vectors->erase(sim_key(key), level).has_value(), level == Durability::kDurable);
  }
  void do_batch(std::uint64_t first, std::uint64_t count, Durability level) {
    std::vector<std::size_t> steps;
    for (std::uint64_t i = 0; i < count; ++i) steps.push_back(model_.keys[first + i].begin(1));
    const bool ok = put_batch(first, count, level).has_value();
    for (std::uint64_t i = 0; i < count; ++i) acted(first + i, steps[i], ok, level == Durability::kDurable);
  }
  void everything_is_durable(bool ok) {
    if (!ok) {
      ++errors_;
      return;
    }
    for (auto& [key, history] : model_.keys) history.make_durable();
  }
  bool do_open() {
    auto opened = Store::open(kPath, options());
    if (!opened) return ++errors_, false;
    store_ = *std::move(opened);
    auto family = store_->family("f", model_.spec);
    if (!family) return ++errors_, false;
    model_.vectors.emplace(*family);
    return true;
  }
  void do_close() {
    model_.vectors.reset();
    everything_is_durable(store_->close().has_value());
    store_.reset();
  }

  /// Everything a store does, once or twice.
  void scenario() {
    if (!do_open()) return;
    do_put(1, Durability::kBuffered, 1);
    do_put(2, Durability::kDurable, 1);
    do_batch(10, 20, Durability::kDurable);
    do_batch(40, 15, Durability::kBuffered);
    process_->run_worker();
    do_put(1, Durability::kDurable, 2);
    do_erase(2, Durability::kDurable);
    do_erase(10, Durability::kBuffered);
    everything_is_durable(store_->sync().has_value());
    if (!store_->intern_scope("tenant")) ++errors_;
    do_batch(100, 560, Durability::kBuffered);  // Rolls to the next segment.
    rest_a_little();
    if (auto other = store_->record_family("r"); !other || !other->put(sim_key(1), "payload")) ++errors_;
    if (!store_->drop_family("r")) ++errors_;
    do_close();
    if (!do_open()) return;
    do_put(3, Durability::kDurable, 1);
    read_all(false);
    do_close();
  }
  void rest_a_little() {
    for (int i = 0; i < 6; ++i) process_->run_worker();
  }
  void read_all(bool is_settled) {
    for (auto& [key, history] : model_.keys) {
      if (!is_settled && key > 110)
        continue;  // The first rows of each kind are enough, and a read is a call, too.
      const auto found = find_key(model_, key, nullptr);
      if (!found && !is_settled) continue;
      ASSERT_TRUE(found.has_value());
      if (found->is_corrupt) {
        ASSERT_FALSE(is_settled) << describe(model_, key);
        continue;
      }
      const bool allowed = is_settled
                               ? history.last_with(found->version, history.acked()) < history.steps().size()
                               : history.may_show(found->version);
      ASSERT_TRUE(allowed) << "version " << found->version << "; " << describe(model_, key);
    }
  }
  [[nodiscard]] std::uint64_t count_calls() {
    begin();
    scenario();
    EXPECT_EQ(errors_, 0U);
    const auto calls = process_->calls();
    bury();
    return calls;
  }
  void begin() {
    bury();
    disk_ = SimDisk();
    model_.keys.clear();
    events_.clear();
    errors_ = 0;
    start_process();
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
  void check_afterwards(std::uint64_t number, bool for_good) {
    const bool lost = std::ranges::count(events_, Event::Kind::kRowsLost) > 0;
    if (number % 2 == 0) {
      cut_power();
      for (auto& [key, history] : model_.keys) history.lose_buffered();
    } else {
      kill();
      if (lost) {
        for (auto& [key, history] : model_.keys) history.lose_buffered();
      }
    }
    start_process();
    ASSERT_TRUE(do_open()) << "call " << number << (for_good ? " and all after it" : "");
    read_all(true);
    do_put(9'999, Durability::kDurable, 1);
    EXPECT_EQ(find_key(model_, 9'999, nullptr)->version, 1U);
  }

  std::uint64_t errors_ = 0;
};

TEST_P(OperationFailure, AtEveryCallLeavesAConsistentStore) {
  const std::uint64_t calls = count_calls();
  std::uint64_t runs = 0;
  for (const bool for_good : {false, true}) {
    for (std::uint64_t number = 0; number < calls; ++number) {
      if (!run_with_failure(number, for_good)) continue;
      ++runs;
      errors_ = 0;
      check_afterwards(number, for_good);
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
