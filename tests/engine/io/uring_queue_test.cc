/// @file
/// A ring that the kernel interrupts, starves or takes away ends every operation and never hangs.
#include <array>
#include <cerrno>

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io_test_support.h"

namespace vectolith::engine::testing {
namespace {

using Kind = IoOperation::Kind;

class UringQueueTest : public BackendTest {
 protected:
  void SetUp() override {
    BackendTest::SetUp();
    if (IsSkipped()) return;
    file_ = open_file("f");
    must(file_->write_at(0, std::vector<std::byte>(kBytes, std::byte{7})));
    must(file_->data_sync());
    for (std::size_t i = 0; i < buffers_.size(); ++i) {
      buffers_[i] = {.data = found_.data() + i * kPiece, .bytes = kPiece};
      operations_[i] = {
          .kind = Kind::kRead, .file = file_.get(), .offset = i * kPiece, .buffers = {&buffers_[i], 1}};
    }
    operations_.back() = {.file = file_.get()};
  }
  void TearDown() override { queue_.reset(); }

  /// Runs the body in a child with a queue of its own: a ring does not survive a fork.
  void run_with_queue_in_child(const std::function<void()>& body) {
    run_in_child([&] {
      queue_ = must(environment_->make_queue(8));
      body();
      queue_.reset();
    });
  }

  void wait_for_all() {
    for (const auto& operation : operations_) must(queue_->wait(operation));
  }

  static constexpr std::size_t kPieces = 20;
  static constexpr std::size_t kPiece = 8192;
  static constexpr std::size_t kBytes = kPieces * kPiece;
  std::unique_ptr<File> file_;
  std::unique_ptr<IoQueue> queue_;
  std::vector<std::byte> found_ = std::vector<std::byte>(kBytes);
  std::array<IoOperation::Buffer, kPieces> buffers_{};
  std::array<IoOperation, kPieces + 1> operations_{};
};
INSTANTIATE_TEST_SUITE_P(Backends, UringQueueTest, ::testing::Values(BackendChoice::kUring), backend_name);

TEST_P(UringQueueTest, InterruptedAndRefusedSubmissionsAreRepeated) {
  run_with_queue_in_child([&] {
    file_->drop_cache(0, 0);
    const Injection trouble{
        .results = {-EINTR, -EAGAIN, -EBUSY, kPassOn, -EINTR, -EINTR, kPassOn, -EAGAIN, -EBUSY}};
    inject_system_calls({{SYS_io_uring_enter, trouble}});
    must(queue_->submit(operations_));
    wait_for_all();
    for (const auto& operation : operations_) EXPECT_EQ(operation.error, 0);
    EXPECT_EQ(found_, std::vector<std::byte>(kBytes, std::byte{7}));
    EXPECT_GT(environment_->counters().retries, 0U);
  });
}

TEST_P(UringQueueTest, ARingThatAlwaysSaysTryAgainBreaksInsteadOfHanging) {
  for (const int error : {EAGAIN, EBUSY, EINTR}) {
    run_with_queue_in_child([&] {
      inject_system_calls({{SYS_io_uring_enter, {.results = {}, .afterwards = -error}}});
      const auto result = queue_->submit(operations_);
      ASSERT_FALSE(result.has_value());
      EXPECT_EQ(result.error().code(), ErrorCode::kIo);
      EXPECT_EQ(result.error().system_errno(), error);
      for (const auto& operation : operations_) EXPECT_TRUE(operation.done && operation.error == EIO);
    });
  }
}

TEST_P(UringQueueTest, ABrokenRingEndsEveryOperationWithAnErrorAndStaysBroken) {
  run_with_queue_in_child([&] {
    forbid_system_calls({SYS_io_uring_enter}, EPERM);
    for (int attempt = 0; attempt < 2; ++attempt) {
      const auto result = queue_->submit(operations_);
      ASSERT_FALSE(result.has_value());
      EXPECT_EQ(result.error().code(), ErrorCode::kIo);
      EXPECT_EQ(result.error().system_errno(), EPERM);
      EXPECT_EQ(queue_->in_flight(), 0U);
      for (const auto& operation : operations_) EXPECT_TRUE(operation.done && operation.error == EIO);
    }
    EXPECT_EQ(queue_->poll(), 0U);
  });
}

TEST_P(UringQueueTest, BuffersBelongToTheKernelUntilItsCompletionsEvenIfTheRingBreaks) {
  run_with_queue_in_child([&] {
    file_->drop_cache(0, 0);
    must(queue_->submit(operations_));
    forbid_system_calls({SYS_io_uring_enter}, EPERM);
    for (const auto& operation : operations_) static_cast<void>(queue_->wait(operation).has_value());
    EXPECT_EQ(queue_->in_flight(), 0U);
    for (const auto& operation : operations_) EXPECT_TRUE(operation.done);
    const auto counters = environment_->counters();
    EXPECT_EQ(counters.uring_submissions, counters.uring_completions);
  });
}

TEST_P(UringQueueTest, ABarrierThatIsAloneRunsWhereItIsWaitedForAndSeveralSideBySideOnTheRing) {
  run_with_queue_in_child([&] {
    const auto other = open_file("g");
    std::array<IoOperation, 2> syncs{};
    const auto expect_on_ring = [&](std::size_t count, std::uint64_t expected) {
      syncs[0] = {.file = file_.get()};
      syncs[1] = {.file = other.get()};
      const auto before = environment_->counters();
      must(queue_->submit(std::span(syncs).first(count)));
      for (std::size_t i = 0; i < count; ++i) {
        must(queue_->wait(syncs[i]));
        EXPECT_EQ(syncs[i].error, 0);
      }
      const auto after = environment_->counters();
      EXPECT_EQ(after.uring_submissions - before.uring_submissions, expected);
      EXPECT_EQ(after.data_syncs - before.data_syncs, count);
    };
    expect_on_ring(1, 0);
    expect_on_ring(2, 2);
    // One that is not waited for by itself goes to the ring when somebody looks.
    syncs[0] = {.file = file_.get()};
    must(queue_->submit(std::span(syncs).first(1)));
    while (!syncs[0].done) static_cast<void>(queue_->poll());
    EXPECT_EQ(syncs[0].error, 0);
    EXPECT_EQ(queue_->in_flight(), 0U);
  });
}

TEST_P(UringQueueTest, WhereTheKernelMayCreateNoWorkerBarriersAndReadsAreDoneAllTheSame) {
  run_in_child([&] {
    file_->drop_cache(0, 0);
    const rlimit no_threads{.rlim_cur = 0, .rlim_max = 0};
    ASSERT_EQ(::setrlimit(RLIMIT_NPROC, &no_threads), 0);
    if (::geteuid() == 0) {
      ASSERT_EQ(::setuid(65533), 0) << "the limit does not bind root";
    }
    queue_ = must(environment_->make_queue(8));
    must(queue_->submit(operations_));
    wait_for_all();
    for (const auto& operation : operations_) EXPECT_EQ(operation.error, 0);
    EXPECT_EQ(found_, std::vector<std::byte>(kBytes, std::byte{7}));
    EXPECT_EQ(environment_->counters().data_syncs, 1U + 1U);
    queue_.reset();
  });
}

TEST_P(UringQueueTest, AForkedChildCannotUseTheRingOfItsParentNorHarmIt) {
  queue_ = must(environment_->make_queue(8));
  file_->drop_cache(0, 0);
  must(queue_->submit(operations_));
  run_in_child([&] {
    std::array<IoOperation, 1> own{IoOperation{.file = file_.get()}};
    const auto result = queue_->submit(own);
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().code(), ErrorCode::kIo);
    EXPECT_EQ(queue_->in_flight(), 0U);
    queue_.reset();
  });
  wait_for_all();
  for (const auto& operation : operations_) EXPECT_EQ(operation.error, 0);
  EXPECT_EQ(found_, std::vector<std::byte>(kBytes, std::byte{7}));
}

}  // namespace
}  // namespace vectolith::engine::testing
