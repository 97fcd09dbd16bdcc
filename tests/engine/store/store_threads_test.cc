/// @file
/// Threads of the store against each other: commits and sealing, close and drop beside everything else.
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "engine/store/store_fixture.h"
#include "support/fault_environment.h"

namespace vectolith::testing {
namespace {

/// A store whose segments hold few rows, so that they roll often.
class StoreThreads : public StoreTest {
 protected:
  Options small() {
    Options small = options();
    small.on_event = nullptr;
    small.segment_bytes_initial = small.segment_bytes_target = 128 << 10;
    return small;
  }
  /// Puts `count` consecutive keys from `first` on as one batch.
  static Result<void> put_run(Family& family, std::uint64_t first, std::size_t count) {
    std::vector<std::vector<float>> vectors;
    std::vector<BatchRow> rows;
    for (std::size_t i = 0; i < count; ++i) vectors.push_back(vector_of(first + i));
    for (std::size_t i = 0; i < count; ++i)
      rows.push_back({key_of(first + i), std::as_bytes(std::span(vectors[i]))});
    VECTOLITH_TRY(family.put_batch(rows));
    return {};
  }
};

/// Calls `before_submit` with each group of operations before a queue gets it; the store's background
/// worker runs only when `maintain` is called.
class SteppedEnvironment : public FaultEnvironment {
 public:
  using FaultEnvironment::FaultEnvironment;
  std::function<void(std::span<engine::IoOperation>)> before_submit;
  std::function<std::chrono::nanoseconds()> maintain;

  Result<std::unique_ptr<engine::IoQueue>> make_queue(std::uint32_t depth) override {
    VECTOLITH_TRY_ASSIGN(auto inner, FaultEnvironment::make_queue(depth));
    return std::make_unique<Queue>(*this, std::move(inner));
  }
  std::unique_ptr<engine::Worker> start_worker(std::string_view name,
                                               std::function<std::chrono::nanoseconds()> step) override {
    if (name != "vl-maintain") return FaultEnvironment::start_worker(name, std::move(step));
    maintain = std::move(step);
    return std::make_unique<IdleWorker>();
  }

 private:
  struct IdleWorker : engine::Worker {
    void notify() noexcept override {}
  };
  class Queue : public engine::IoQueue {
   public:
    Queue(SteppedEnvironment& environment, std::unique_ptr<engine::IoQueue> inner)
        : environment_(environment), inner_(std::move(inner)) {}
    Result<void> submit(std::span<engine::IoOperation> operations) override {
      if (environment_.before_submit) environment_.before_submit(operations);
      return inner_->submit(operations);
    }
    Result<void> wait(const engine::IoOperation& operation) override { return inner_->wait(operation); }
    std::size_t poll() override { return inner_->poll(); }
    [[nodiscard]] std::size_t in_flight() const noexcept override { return inner_->in_flight(); }

   private:
    SteppedEnvironment& environment_;
    std::unique_ptr<engine::IoQueue> inner_;
  };
};

/// How many segments the operations write to.
std::size_t segments_written(std::span<const engine::IoOperation> operations) {
  std::set<std::string> paths;
  for (const auto& operation : operations) {
    if (operation.kind == engine::IoOperation::Kind::kWrite && operation.file->path().ends_with(".vls"))
      paths.insert(operation.file->path());
  }
  return paths.size();
}

// Story: one commit fills the rest of a segment and rolls on to the next. The maintainer, woken by the
// roll, takes the old segment's row count for final before the commit has published its rows there, and
// seals it without them: they answer until the store is closed, and are gone after the next open.
TEST_F(StoreThreads, ASegmentIsSealedWithTheRowsOfTheCommitThatRolledIt) {
  const auto stepped = std::make_shared<SteppedEnvironment>(environment_);
  Options with = small();
  with.environment = stepped;
  open(with);
  auto f = family();
  put(f, 0);

  std::atomic<bool> gathered{false};
  std::atomic<bool> went_on{false};  // The maintainer's step has ended, or writes a footer.
  std::jthread maintainer;
  bool met = false;
  stepped->decide([&](const DiskChange& change) {
    // A write behind the header, while the commit waits: a footer, made of the rows of this moment.
    if (met && change.path.ends_with(".vls") && change.kind == DiskChange::Kind::kWrite &&
        change.offset > 0) {
      went_on.store(true);
      went_on.notify_all();
    }
    return Verdict{};
  });
  stepped->before_submit = [&](std::span<const engine::IoOperation> operations) {
    gathered.wait(false);  // What is submitted meanwhile is one commit.
    if (met || segments_written(operations) < 2) return;
    met = true;
    maintainer = std::jthread([&] {
      (void)stepped->maintain();
      went_on.store(true);
      went_on.notify_all();
    });
    went_on.wait(false);
  };
  constexpr std::uint64_t kRows = 1'500;
  for (std::uint64_t number = 1; number < kRows; ++number) {
    const auto vector = vector_of(number);
    ASSERT_TRUE(f.submit_put(key_of(number), std::as_bytes(std::span(vector))).has_value());
  }
  gathered.store(true);
  gathered.notify_all();
  ASSERT_TRUE(store_->sync().has_value());
  EXPECT_TRUE(met) << "no commit wrote to two segments";
  maintainer = {};
  stepped->before_submit = nullptr;
  stepped->decide({});
  close();
  open();
  f = family();
  EXPECT_EQ(f.size(), kRows);
  for (std::uint64_t number = 0; number < kRows; ++number) ASSERT_NO_FATAL_FAILURE(expect_holds(f, number));
}

/// Runs each of `calls` again and again on a thread of its own until it is destroyed.
class Crowd {
 public:
  explicit Crowd(const std::vector<std::function<void()>>& calls)
      : start_(static_cast<std::ptrdiff_t>(calls.size()) + 1) {
    for (const auto& call : calls) {
      threads_.emplace_back([this, call] {
        start_.arrive_and_wait();
        while (!stop_.load(std::memory_order_relaxed)) {
          call();
          rounds_.fetch_add(1, std::memory_order_relaxed);
        }
      });
    }
    start_.arrive_and_wait();
  }
  ~Crowd() { stop_.store(true, std::memory_order_relaxed); }
  Crowd(const Crowd&) = delete;
  Crowd& operator=(const Crowd&) = delete;

  /// Returns when `count` more calls were made.
  void let_call(std::uint64_t count) const {
    const auto until = rounds_.load(std::memory_order_relaxed) + count;
    while (rounds_.load(std::memory_order_relaxed) < until) std::this_thread::yield();
  }

 private:
  std::barrier<> start_;
  std::atomic<bool> stop_{false};
  std::atomic<std::uint64_t> rounds_{0};
  std::vector<std::jthread> threads_;
};

// Story: the host closes the store while its threads still use it. A call that passed its check that the
// store is open meets files, manifest and workers that are gone.
TEST_F(StoreThreads, CloseBesideEveryCallEndsInErrorsOnly) {
  for (int round = 0; round < 6; ++round) {
    open(small());
    auto f = family();
    auto records = store_->record_family("r");
    ASSERT_TRUE(records.has_value());
    for (std::uint64_t i = 0; i < 50; ++i) put(f, i);
    std::atomic<std::uint64_t> next{1'000};
    std::vector<std::uint64_t> acknowledged;
    {
      const auto vector = vector_of(1);
      const auto bytes = std::as_bytes(std::span(vector));
      const Crowd crowd({
          [&] {
            const auto number = next.fetch_add(1);
            const auto mine = vector_of(number);
            if (f.put(key_of(number), std::span<const float>(mine))) acknowledged.push_back(number);
          },
          [&] { (void)put_run(f, next.fetch_add(40), 40); },
          [&] { (void)f.submit_put(key_of(next.fetch_add(1)), bytes); },
          [&] {
            auto pending = f.submit_put(key_of(next.fetch_add(1)), bytes);
            if (pending) (void)pending->wait();
          },
          [&] {
            (void)records->put(key_of(next.fetch_add(1)), std::string(500, 'r'));
            (void)records->for_each([](const Record&) { return true; });
          },
          [&] {
            const auto number = next.fetch_add(1);
            (void)f.put(key_of(number), bytes);
            (void)f.erase(key_of(number));
            (void)store_->sync();
          },
          [&] {
            (void)store_->stats();
            (void)store_->families();
            (void)store_->interned();
          },
          [&] {
            const auto name = "g" + std::to_string(next.fetch_add(1));
            (void)store_->intern_scope(name);
            (void)store_->family(name, small_spec());
            (void)store_->drop_family(name);
          },
          [&] {
            const auto snapshot = store_->snapshot();
            if (snapshot) (void)snapshot->segments(f);
            (void)f.segments();
            (void)f.get(key_of(7));
          },
      });
      crowd.let_call(150);
      const std::jthread other([&] { EXPECT_TRUE(store_->close().has_value()); });
      EXPECT_TRUE(store_->close().has_value());
      crowd.let_call(150);
    }
    store_.reset();
    open(small());
    f = family();
    for (const auto number : acknowledged) expect_holds(f, number);
    for (std::uint64_t i = 0; i < 50; ++i) expect_holds(f, i);
    close();
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path()))
      std::filesystem::remove(entry.path());
  }
}

// Story: a thread that checked that the family is there lists its segments while the dropped family's
// list is being cleared.
TEST_F(StoreThreads, DropBesideListingsEndsInErrorsOnly) {
  open(small());
  auto keeper = family("keeper");
  std::atomic<std::uint64_t> next{0};
  for (int round = 0; round < 12; ++round) {
    const auto name = "f" + std::to_string(round);
    auto f = family(name);
    auto records = store_->record_family("r" + name);
    ASSERT_TRUE(records.has_value());
    for (std::uint64_t i = 0; i < 8; ++i) ASSERT_TRUE(put_run(f, i * 100, 100).has_value());
    ASSERT_TRUE(records->put(key_of(1), "record").has_value());
    const RowId row{};
    std::vector<std::byte> matrix(kDim * sizeof(float));
    const Crowd crowd({
        [&] { (void)f.segments(); },
        [&] { (void)f.gather({&row, 1}, matrix); },
        [&] { (void)records->for_each([](const Record&) { return true; }); },
        [&] { (void)store_->stats(); },
        [&] { (void)put_run(keeper, next.fetch_add(50), 50); },
    });
    crowd.let_call(20);
    EXPECT_TRUE(store_->drop_family(name).has_value());
    EXPECT_TRUE(store_->drop_family("r" + name).has_value());
    crowd.let_call(40);
  }
  close();
}

// Story: an erase takes a row out of every open snapshot while somebody reads the snapshot's bitmaps.
TEST_F(StoreThreads, ErasesReachASnapshotWhileItsSegmentsAreRead) {
  open(small());
  auto f = family();
  ASSERT_TRUE(put_run(f, 0, 300).has_value());
  const auto snapshot = store_->snapshot();
  ASSERT_TRUE(snapshot.has_value());
  {
    const Crowd crowd({[&] {
      const auto views = snapshot->segments(f);
      ASSERT_TRUE(views.has_value());
      for (const auto& view : *views) {
        for (std::uint32_t row = 0; row < view.rows; ++row) (void)view.is_live(row);
      }
    }});
    for (std::uint64_t number = 0; number < 300; ++number) EXPECT_TRUE(f.erase(key_of(number))->existed);
  }
  const auto views = snapshot->segments(f);
  ASSERT_TRUE(views.has_value());
  for (const auto& view : *views) EXPECT_EQ(view.live_rows, 0U);
}

}  // namespace
}  // namespace vectolith::testing
