/// @file
/// Promises of asynchronous reads: each submitted read completes once, with its own bytes; memory that the
/// caller took back is not written any more.
#include <algorithm>
#include <coroutine>
#include <exception>
#include <map>
#include <random>

#include <poll.h>
#include <sys/eventfd.h>

#include <vectolith/async.h>
#include <vectolith/coroutine.h>

#include "store_fixture.h"
#include "support/random_seed.h"

namespace vectolith::testing {
namespace {

using std::chrono::hours;

constexpr std::uint64_t kRows = 1'500;

class AsyncReadsTest : public StoreTest {
 protected:
  void SetUp() override {
    auto with = options();
    with.segment_bytes_initial = 64U << 10;
    with.segment_bytes_target = 128U << 10;
    open(with);
    auto made = family();
    for (std::uint64_t i = 0; i < kRows; ++i) put(made, i);
    close();
    open(with);
    family_.emplace(family());
    row_bytes_ = family_->spec().vector_bytes();
  }
  void TearDown() override { family_.reset(); }

  std::unique_ptr<ReadQueue> make_queue(const ReadQueueOptions& with = {}) {
    auto made = store_->read_queue(with);
    EXPECT_TRUE(made.has_value()) << made.error().to_string();
    return *std::move(made);
  }
  void place(Placement placement) {
    const auto placed = family_->place(placement);
    ASSERT_TRUE(placed.has_value()) << placed.error().to_string();
  }
  [[nodiscard]] static bool holds(std::span<const std::byte> bytes, std::uint64_t number) {
    const auto expected = vector_of(number);
    return std::ranges::equal(bytes, std::as_bytes(std::span(expected)));
  }
  /// All completions of what is pending, by tag.
  static std::map<std::uint64_t, ReadCompletion> drain(ReadQueue& queue) {
    std::map<std::uint64_t, ReadCompletion> all;
    std::array<ReadCompletion, 7> some;
    while (queue.pending() > 0) {
      const std::size_t count = queue.wait(some, hours(1));
      for (auto& completion : std::span(some).first(count)) {
        EXPECT_FALSE(all.contains(completion.tag)) << "tag " << completion.tag << " came twice";
        all[completion.tag] = std::move(completion);
      }
    }
    return all;
  }

  std::optional<Family> family_;
  std::size_t row_bytes_ = 0;
};

TEST_F(AsyncReadsTest, EveryGetCompletesOnceWithItsOwnVector) {
  for (const auto placement : {Placement::kCold, Placement::kCached}) {
    place(placement);
    const auto queue = make_queue({.depth = 8});
    std::vector<std::byte> matrix((kRows + 100) * row_bytes_);
    for (std::uint64_t i = 0; i < kRows + 100; ++i) {
      const auto row = std::span(matrix).subspan(i * row_bytes_, row_bytes_);
      const auto submitted = family_->get_async(*queue, key_of(i), row, i);
      ASSERT_TRUE(submitted.has_value()) << submitted.error().to_string();
    }
    const auto completions = drain(*queue);
    ASSERT_EQ(completions.size(), kRows + 100);
    for (const auto& [tag, completion] : completions) {
      EXPECT_FALSE(completion.error.has_value());
      EXPECT_EQ(completion.hits, tag < kRows ? 1U : 0U);
      if (tag < kRows) {
        EXPECT_TRUE(holds(std::span(matrix).subspan(tag * row_bytes_, row_bytes_), tag)) << tag;
      }
    }
  }
}

TEST_F(AsyncReadsTest, AnswersOfAMultiGetKeepTheirPositions) {
  place(Placement::kCold);
  const auto queue = make_queue({.depth = 16});
  std::mt19937_64 random(random_seed());
  std::vector<std::uint64_t> numbers(500);
  std::vector<Key> keys;
  for (auto& number : numbers) keys.push_back(key_of(number = random() % (kRows * 2)));
  std::vector<std::byte> matrix(keys.size() * row_bytes_);
  const auto found = std::make_unique<bool[]>(keys.size());
  ASSERT_TRUE(family_->multi_get_async(*queue, keys, matrix, {found.get(), keys.size()}, 7).has_value());
  const auto completions = drain(*queue);
  ASSERT_EQ(completions.size(), 1U);
  std::size_t hits = 0;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    ASSERT_EQ(found[i], numbers[i] < kRows);
    if (!found[i]) continue;
    ++hits;
    ASSERT_TRUE(holds(std::span(matrix).subspan(i * row_bytes_, row_bytes_), numbers[i]));
  }
  EXPECT_EQ(completions.at(7).hits, hits);
}

TEST_F(AsyncReadsTest, TheEventFdTellsAHostsLoopOfEveryCompletion) {
  const auto queue = make_queue();
  const auto fd = queue->event_fd();
  ASSERT_TRUE(fd.has_value()) << fd.error().to_string();
  std::vector<std::byte> out(row_bytes_);
  for (const auto placement : {Placement::kCold, Placement::kCached}) {
    place(placement);
    for (const std::uint64_t number : {std::uint64_t{3}, kRows + 1}) {  // One from the device, one a miss.
      ASSERT_TRUE(family_->get_async(*queue, key_of(number), out, number).has_value());
      ReadCompletion completion;
      while (queue->poll({&completion, 1}) == 0) {
        pollfd waiting{.fd = *fd, .events = POLLIN, .revents = 0};
        ASSERT_EQ(::poll(&waiting, 1, -1), 1);
        eventfd_t count = 0;
        ASSERT_EQ(::eventfd_read(*fd, &count), 0);
      }
      EXPECT_EQ(completion.tag, number);
    }
  }
}

TEST_F(AsyncReadsTest, ACancelledReadNeverWritesIntoItsCallersMemory) {
  place(Placement::kCold);
  const auto queue = make_queue({.depth = 4});
  std::vector<std::byte> matrix(200 * row_bytes_);
  for (std::uint64_t i = 0; i < 200; ++i) {
    const auto row = std::span(matrix).subspan(i * row_bytes_, row_bytes_);
    ASSERT_TRUE(family_->get_async(*queue, key_of(i), row, i % 2).has_value());
  }
  const std::size_t cancelled = queue->cancel(1);
  const std::vector<std::byte> untouched(row_bytes_);
  std::size_t ended = 0;
  std::array<ReadCompletion, 16> some;
  while (queue->pending() > 0) {
    const std::size_t count = queue->wait(some, hours(1));
    for (const auto& completion : std::span(some).first(count)) {
      if (!completion.error) continue;
      EXPECT_EQ(completion.error->code(), ErrorCode::kCancelled);
      EXPECT_EQ(completion.tag, 1U);
      ++ended;
    }
  }
  EXPECT_EQ(ended, cancelled);
  EXPECT_GT(cancelled, 50U);
  std::size_t unwritten = 0;
  for (std::uint64_t i = 0; i < 200; ++i) {
    const auto row = std::span(matrix).subspan(i * row_bytes_, row_bytes_);
    const bool is_untouched = std::ranges::equal(row, untouched);
    if (i % 2 == 0 || !is_untouched) {
      EXPECT_TRUE(holds(row, i));
    }
    unwritten += is_untouched ? 1 : 0;
  }
  EXPECT_EQ(unwritten, cancelled);
}

TEST_F(AsyncReadsTest, AReadThatIsNotThroughAtItsDeadlineSaysSo) {
  place(Placement::kCold);
  const auto queue = make_queue({.depth = 1});
  std::vector<std::byte> matrix(50 * row_bytes_);
  const AsyncReadOptions overdue{.timeout = std::chrono::nanoseconds(0)};
  for (std::uint64_t i = 0; i < 50; ++i) {
    const auto row = std::span(matrix).subspan(i * row_bytes_, row_bytes_);
    ASSERT_TRUE(
        family_->get_async(*queue, key_of(i), row, i, i < 40 ? overdue : AsyncReadOptions{}).has_value());
  }
  for (const auto& [tag, completion] : drain(*queue)) {
    if (tag >= 40) {
      EXPECT_FALSE(completion.error.has_value());
      EXPECT_TRUE(holds(std::span(matrix).subspan(tag * row_bytes_, row_bytes_), tag));
    } else if (completion.error) {
      EXPECT_EQ(completion.error->code(), ErrorCode::kDeadlineExceeded);
    }
  }
}

TEST_F(AsyncReadsTest, TooManyPendingKeysAreRefusedAndNothingComesOfThem) {
  place(Placement::kCold);
  const auto queue = make_queue({.depth = 1, .keys_pending = 10});
  std::vector<std::byte> matrix(20 * row_bytes_);
  std::vector<Key> keys;
  for (std::uint64_t i = 0; i < 20; ++i) keys.push_back(key_of(i));
  const auto found = std::make_unique<bool[]>(20);
  const auto refused = family_->multi_get_async(*queue, keys, matrix, {found.get(), 20}, 1);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), ErrorCode::kBusy);
  EXPECT_EQ(queue->pending(), 0U);
  EXPECT_TRUE(family_
                  ->multi_get_async(*queue, std::span(keys).first(10),
                                    std::span(matrix).first(10 * row_bytes_), {found.get(), 10}, 2)
                  .has_value());
  EXPECT_EQ(drain(*queue).at(2).hits, 10U);
}

TEST_F(AsyncReadsTest, WhatIsPendingAtCloseStillCompletesAndLaterReadsAreRefused) {
  place(Placement::kCold);
  const auto queue = make_queue({.depth = 2});
  std::vector<std::byte> matrix(100 * row_bytes_);
  for (std::uint64_t i = 0; i < 100; ++i) {
    const auto row = std::span(matrix).subspan(i * row_bytes_, row_bytes_);
    ASSERT_TRUE(family_->get_async(*queue, key_of(i), row, i).has_value());
  }
  close();
  const auto late = family_->get_async(*queue, key_of(1), std::span(matrix).first(row_bytes_), 1'000);
  ASSERT_FALSE(late.has_value());
  EXPECT_EQ(late.error().code(), ErrorCode::kClosed);
  for (const auto& [tag, completion] : drain(*queue)) {
    EXPECT_FALSE(completion.error.has_value()) << completion.error->to_string();
    EXPECT_TRUE(holds(std::span(matrix).subspan(tag * row_bytes_, row_bytes_), tag));
  }
}

TEST_F(AsyncReadsTest, AQueueThatEndsLeavesWhatWasPending) {
  place(Placement::kCold);
  auto matrix = std::make_unique<std::vector<std::byte>>(100 * row_bytes_);
  auto queue = make_queue({.depth = 64});
  for (std::uint64_t i = 0; i < 100; ++i) {
    const auto row = std::span(*matrix).subspan(i * row_bytes_, row_bytes_);
    ASSERT_TRUE(family_->get_async(*queue, key_of(i), row, i).has_value());
  }
  matrix.reset();
  queue.reset();
}

/// A coroutine that runs by itself until it is through.
struct Task {
  struct promise_type {
    Task get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
};

TEST_F(AsyncReadsTest, CoroutinesGoOnWhenTheirVectorsAreThere) {
  place(Placement::kCold);
  const auto queue = make_queue();
  std::size_t right = 0;
  const auto check = [&](std::uint64_t number) -> Task {
    const std::array keys = {key_of(number), key_of(kRows + number), key_of(number + 1)};
    std::vector<std::byte> matrix(3 * row_bytes_);
    std::array<bool, 3> found{};
    const auto hits = co_await read(*queue, *family_, keys, matrix, found);
    const bool is_right = hits.has_value() && *hits == 2 && found[0] && !found[1] && found[2] &&
                          holds(std::span(matrix).first(row_bytes_), number) &&
                          holds(std::span(matrix).last(row_bytes_), number + 1);
    right += is_right ? 1 : 0;
  };
  for (std::uint64_t i = 0; i < 200; ++i) check(i);
  while (queue->pending() > 0) resume_reads(*queue, hours(1));
  EXPECT_EQ(right, 200U);
}

TEST_F(AsyncReadsTest, ACoroutineWhoseReadIsRefusedGoesOnWithTheError) {
  const auto queue = make_queue();
  close();
  std::optional<ErrorCode> code;
  const auto check = [&]() -> Task {
    const std::array keys = {key_of(1)};
    std::vector<std::byte> matrix(row_bytes_);
    std::array<bool, 1> found{};
    const auto hits = co_await read(*queue, *family_, keys, matrix, found);
    if (!hits) code = hits.error().code();
  };
  check();
  EXPECT_EQ(code, ErrorCode::kClosed);
}

}  // namespace
}  // namespace vectolith::testing
