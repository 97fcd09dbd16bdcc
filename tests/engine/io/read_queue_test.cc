/// @file
/// Read queues, on a ring or on threads, keep the same promises: every read ends, side by side, and can be
/// waited for with a timeout or an eventfd. Direct files and read-ahead keep theirs.
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <numeric>

#include <poll.h>
#include <sys/eventfd.h>

#include "io/pages.h"
#include "io_test_support.h"

namespace vectolith::engine::testing {
namespace {

constexpr std::size_t kBlock = 4'096;
constexpr std::size_t kBlocks = 300;

class ReadQueueTest : public BackendTest {
 protected:
  void SetUp() override {
    BackendTest::SetUp();
    if (IsSkipped()) return;
    std::mt19937_64 random(vectolith::testing::random_seed());
    content_ = random_bytes(random, kBlock * kBlocks);
    const auto file = open_file("f");
    must(file->write_at(0, content_));
    must(file->data_sync());
    direct_ = open_file("f", OpenMode::kReadDirect);
    queue_ = must(environment_->make_read_queue(16));
    memory_ = must(environment_->allocate_pages(kBlock * kBlocks));
  }
  void TearDown() override { queue_.reset(); }

  /// Reads of single blocks, the last first.
  void prepare(std::size_t count) {
    buffers_.resize(count);
    operations_.resize(count);
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t block = count - 1 - i;
      buffers_[i] = {.data = &memory_->bytes()[block * kBlock], .bytes = kBlock};
      operations_[i] = {.kind = IoOperation::Kind::kRead,
                        .file = direct_.get(),
                        .offset = block * kBlock,
                        .buffers = {&buffers_[i], 1}};
    }
  }
  void expect_read(std::size_t count) {
    for (const auto& operation : operations_) {
      EXPECT_TRUE(operation.done);
      EXPECT_EQ(operation.error, 0);
      EXPECT_EQ(operation.transferred, kBlock);
    }
    EXPECT_TRUE(std::ranges::equal(memory_->bytes().first(count * kBlock),
                                   std::span(content_).first(count * kBlock)));
  }

  std::vector<std::byte> content_;
  std::unique_ptr<File> direct_;
  std::unique_ptr<IoQueue> queue_;
  std::unique_ptr<Pages> memory_;
  std::vector<IoOperation::Buffer> buffers_;
  std::vector<IoOperation> operations_;
};

TEST_P(ReadQueueTest, ManyMoreReadsThanTheDepthAllEndWithTheirBytes) {
  prepare(kBlocks);
  must(queue_->submit(operations_));
  EXPECT_EQ(queue_->in_flight() + static_cast<std::size_t>(std::ranges::count_if(
                                      operations_, [](const auto& operation) { return operation.done; })),
            kBlocks);
  std::size_t done = kBlocks - queue_->in_flight();
  while (queue_->in_flight() > 0) done += queue_->wait_some(std::chrono::hours(1));
  EXPECT_EQ(done, kBlocks);
  expect_read(kBlocks);
}

TEST_P(ReadQueueTest, AReadMayBeWaitedForByItself) {
  prepare(40);
  must(queue_->submit(operations_));
  must(queue_->wait(operations_.back()));
  EXPECT_TRUE(operations_.back().done);
  for (const auto& operation : operations_) must(queue_->wait(operation));
  expect_read(40);
}

TEST_P(ReadQueueTest, AWaitWithNothingInFlightReturnsAtOnce) {
  EXPECT_EQ(queue_->wait_some(std::chrono::hours(1)), 0U);
}

TEST_P(ReadQueueTest, ItsEventFdIsReadableOnceACompletionIsThere) {
  const int fd = must(queue_->event_fd());
  EXPECT_EQ(must(queue_->event_fd()), fd);
  pollfd waiting{.fd = fd, .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&waiting, 1, 0), 0);
  prepare(1);
  must(queue_->submit(operations_));
  while (!operations_[0].done) {
    ASSERT_EQ(::poll(&waiting, 1, -1), 1);
    eventfd_t count = 0;
    ASSERT_EQ(::eventfd_read(fd, &count), 0);
    static_cast<void>(queue_->poll());
  }
  expect_read(1);
}

TEST_P(ReadQueueTest, TheDestructorWaitsForWhatIsInFlight) {
  prepare(kBlocks);
  must(queue_->submit(operations_));
  queue_.reset();
  expect_read(kBlocks);
}

TEST_P(ReadQueueTest, AReadBehindTheEndIsShortWithoutAnError) {
  prepare(1);
  operations_[0].offset = kBlock * kBlocks;
  must(queue_->submit(operations_));
  must(queue_->wait(operations_[0]));
  EXPECT_EQ(operations_[0].error, 0);
  EXPECT_EQ(operations_[0].transferred, 0U);
}

TEST_P(ReadQueueTest, ADirectFileSaysWhatItsReadsAreAlignedTo) {
  const auto alignment = direct_->direct_alignment();
  EXPECT_EQ(alignment & (alignment - 1), 0U);
  EXPECT_LE(alignment, page_bytes());
  const auto memory = memory_->bytes().first(alignment == 1 ? 512 : alignment);
  EXPECT_EQ(must(direct_->read_at(memory.size(), memory)), memory.size());
  EXPECT_TRUE(std::ranges::equal(memory, std::span(content_).subspan(memory.size(), memory.size())));
}

TEST_P(ReadQueueTest, ReadAheadOfManyRangesChangesNoByte) {
  const auto file = open_file("f");
  const auto mapping = must(file->map());
  file->drop_cache(0, content_.size());
  std::vector<std::span<const std::byte>> ranges;
  for (std::size_t i = 0; i < kBlocks; ++i) ranges.push_back(mapping->bytes().subspan(i * kBlock + 100, 64));
  environment_->will_need(ranges);
  EXPECT_TRUE(std::ranges::equal(mapping->bytes(), content_));
}

TEST_P(ReadQueueTest, ALockedRangeBeyondTheMappingIsRefused) {
  const auto mapping = must(open_file("f")->map());
  const auto locked = mapping->lock(kBlock, content_.size());
  ASSERT_FALSE(locked.has_value());
  EXPECT_EQ(locked.error().code(), ErrorCode::kInvalidArgument);
}

VECTOLITH_INSTANTIATE_BACKENDS(ReadQueueTest);

}  // namespace
}  // namespace vectolith::engine::testing
