/// @file
/// Both queues keep the same promises: order inside a group, whole transfers, every operation ends.
#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <deque>
#include <numeric>
#include <thread>

#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "io/posix_file.h"
#include "io_test_support.h"

namespace vectolith::engine::testing {
namespace {

using Kind = IoOperation::Kind;

class IoQueueTest : public BackendTest {
 protected:
  void SetUp() override {
    BackendTest::SetUp();
    if (IsSkipped()) return;
    file_ = open_file("f");
    queue_ = must(environment_->make_queue(8));
  }
  void TearDown() override { queue_.reset(); }

  /// Operations with their buffers; addresses stay valid while more are added.
  IoOperation read(File& file, std::uint64_t offset, std::span<std::byte> bytes, bool linked = false) {
    return transfer(Kind::kRead, file, offset, bytes, linked);
  }
  IoOperation write(File& file, std::uint64_t offset, std::span<std::byte> bytes, bool linked = false) {
    return transfer(Kind::kWrite, file, offset, bytes, linked);
  }
  static IoOperation sync(File& file, bool linked = false) { return {.file = &file, .linked = linked}; }

  void finish(std::span<IoOperation> operations) {
    for (const auto& operation : operations) must(queue_->wait(operation));
  }
  void run(std::span<IoOperation> operations) {
    must(queue_->submit(operations));
    finish(operations);
  }
  std::vector<std::byte> content(const File& file) {
    std::vector<std::byte> bytes(must(file.size()));
    must(file.read_exact(0, bytes));
    return bytes;
  }

  std::unique_ptr<File> file_;
  std::unique_ptr<IoQueue> queue_;

 private:
  IoOperation transfer(Kind kind, File& file, std::uint64_t offset, std::span<std::byte> bytes, bool linked) {
    auto& buffer = buffers_.emplace_back(IoOperation::Buffer{.data = bytes.data(), .bytes = bytes.size()});
    return {.kind = kind, .file = &file, .offset = offset, .buffers = {&buffer, 1}, .linked = linked};
  }
  std::deque<IoOperation::Buffer> buffers_;
};
VECTOLITH_INSTANTIATE_BACKENDS(IoQueueTest);

void expect_success(const IoOperation& operation) {
  EXPECT_TRUE(operation.done);
  EXPECT_EQ(operation.error, 0);
  EXPECT_EQ(operation.transferred, operation.wanted);
}

TEST_P(IoQueueTest, AGroupOfWritesAndABarrierEndsInFull) {
  std::vector<std::byte> row(3072, std::byte{1});
  std::vector<std::byte> meta(64, std::byte{2});
  std::array group{write(*file_, 4096, row, true), write(*file_, 0, meta, true), sync(*file_)};
  run(group);
  for (const auto& operation : group) expect_success(operation);
  EXPECT_EQ(group[0].wanted, 3072U);
  EXPECT_EQ(group[1].wanted, 64U);
  EXPECT_EQ(queue_->in_flight(), 0U);
  std::vector<std::byte> found(3072);
  must(file_->read_exact(4096, found));
  EXPECT_EQ(found, row);
  const auto counters = environment_->counters();
  EXPECT_EQ(counters.writes, 2U);
  EXPECT_EQ(counters.write_bytes, 3136U);
  EXPECT_EQ(counters.data_syncs, 1U);
  EXPECT_GT(counters.data_sync_ns, 0U);
}

/// Cuts `bytes` into many pieces, empty ones among them.
std::vector<IoOperation::Buffer> cut(std::mt19937_64& generator, std::span<std::byte> bytes,
                                     std::size_t pieces) {
  std::vector<std::size_t> cuts(pieces - 1);
  for (auto& at : cuts) at = generator() % (bytes.size() + 1);
  cuts.push_back(bytes.size());
  std::ranges::sort(cuts);
  std::vector<IoOperation::Buffer> buffers;
  std::size_t from = 0;
  for (const auto to : cuts) {
    buffers.push_back({.data = bytes.data() + from, .bytes = to - from});
    from = to;
  }
  return buffers;
}

TEST_P(IoQueueTest, VectorsOfAnyNumberOfBuffersAreWrittenAndReadWhole) {
  std::mt19937_64 generator(vectolith::testing::random_seed());
  for (const std::size_t pieces : {1U, 2U, 7U, 1024U, 1025U, 3000U}) {
    auto bytes = random_bytes(generator, 50'000);
    std::vector<std::byte> found(bytes.size());
    auto from = cut(generator, bytes, pieces);
    auto to = cut(generator, found, pieces);
    std::array group{
        IoOperation{
            .kind = Kind::kWrite, .file = file_.get(), .offset = 123, .buffers = from, .linked = true},
        IoOperation{.file = file_.get(), .linked = true},
        IoOperation{.kind = Kind::kRead, .file = file_.get(), .offset = 123, .buffers = to}};
    run(group);
    for (const auto& operation : group) expect_success(operation);
    EXPECT_EQ(found, bytes) << pieces;
  }
}

TEST_P(IoQueueTest, ARowOfEmptyBuffersInFrontIsNotTheEndOfTheFile) {
  must(file_->write_at(0, std::vector<std::byte>(10, std::byte{3})));
  std::vector<std::byte> found(10);
  std::vector<IoOperation::Buffer> buffers(2000, IoOperation::Buffer{.data = found.data(), .bytes = 0});
  buffers.push_back({.data = found.data(), .bytes = found.size()});
  std::array group{IoOperation{.kind = Kind::kRead, .file = file_.get(), .buffers = buffers}};
  run(group);
  expect_success(group[0]);
  EXPECT_EQ(found, std::vector<std::byte>(10, std::byte{3}));
}

TEST_P(IoQueueTest, AReadAtTheEndOfTheFileIsShortWithoutAnErrorAndEndsItsGroup) {
  must(file_->write_at(0, std::vector<std::byte>(10, std::byte{3})));
  std::vector<std::byte> a(8);
  std::vector<std::byte> b(8);
  std::vector<std::byte> c(8, std::byte{9});
  std::array group{read(*file_, 4, a), read(*file_, 10, b, true), write(*file_, 0, c, true), sync(*file_)};
  run(group);
  EXPECT_EQ(group[0].error, 0);
  EXPECT_EQ(group[0].transferred, 6U);
  EXPECT_EQ(group[1].error, 0);
  EXPECT_EQ(group[1].transferred, 0U);
  EXPECT_EQ(group[2].error, ECANCELED);
  EXPECT_EQ(group[3].error, ECANCELED);
  EXPECT_EQ(content(*file_), std::vector<std::byte>(10, std::byte{3}));
}

TEST_P(IoQueueTest, AnOperationOfNoBytesSucceeds) {
  std::array group{read(*file_, 7, {}, true), write(*file_, 7, {}, true), sync(*file_)};
  run(group);
  for (const auto& operation : group) expect_success(operation);
}

TEST_P(IoQueueTest, AFailedOperationCancelsItsFollowersAndNobodyElse) {
  const auto other = open_file("other");
  const auto read_only = open_file("f", OpenMode::kReadOnly);
  std::vector<std::byte> good(100, std::byte{1});
  std::vector<std::byte> bad(100, std::byte{2});
  std::array operations{write(*file_, 0, good, true), sync(*file_, true),  write(*read_only, 100, bad, true),
                        write(*file_, 0, bad, true),  sync(*file_, false), write(*other, 0, good, true),
                        sync(*other, false)};
  run(operations);
  expect_success(operations[0]);
  expect_success(operations[1]);
  EXPECT_EQ(operations[2].error, EBADF);
  EXPECT_EQ(operations[3].error, ECANCELED);
  EXPECT_EQ(operations[4].error, ECANCELED);
  expect_success(operations[5]);
  expect_success(operations[6]);
  EXPECT_EQ(content(*file_), good);
  EXPECT_EQ(content(*other), good);
}

TEST_P(IoQueueTest, AnOperationWithoutAFileFailsAlone) {
  std::vector<std::byte> bytes(10, std::byte{1});
  std::array operations{IoOperation{.linked = true}, write(*file_, 0, bytes),
                        IoOperation{.kind = Kind::kRead}, write(*file_, 0, bytes)};
  run(operations);
  EXPECT_EQ(operations[0].error, EBADF);
  EXPECT_EQ(operations[1].error, ECANCELED);
  EXPECT_EQ(operations[2].error, EBADF);
  expect_success(operations[3]);
}

TEST_P(IoQueueTest, AGroupRunsInOrderThroughSeveralBarriers) {
  std::vector<std::byte> first(100, std::byte{1});
  std::vector<std::byte> second(100, std::byte{2});
  std::vector<std::byte> found_first(100);
  std::vector<std::byte> found_second(100);
  std::array group{write(*file_, 0, first, true),  sync(*file_, true), read(*file_, 0, found_first, true),
                   write(*file_, 0, second, true), sync(*file_, true), read(*file_, 0, found_second)};
  run(group);
  for (const auto& operation : group) expect_success(operation);
  EXPECT_EQ(found_first, first);
  EXPECT_EQ(found_second, second);
  EXPECT_EQ(environment_->counters().data_syncs, 2U);
}

TEST_P(IoQueueTest, WritesAreDoneBeforeTheirBarrierIsWaitedFor) {
  std::vector<std::byte> bytes(100, std::byte{1});
  std::array group{write(*file_, 0, bytes, true), sync(*file_)};
  must(queue_->submit(group));
  must(queue_->wait(group[0]));
  expect_success(group[0]);
  EXPECT_EQ(content(*file_), bytes);
  must(queue_->wait(group[1]));
  expect_success(group[1]);
}

TEST_P(IoQueueTest, ManyMoreOperationsThanTheDepthAllEnd) {
  std::mt19937_64 generator(vectolith::testing::random_seed());
  auto bytes = random_bytes(generator, 300 * 512);
  queue_ = must(environment_->make_queue(3));
  std::vector<IoOperation> writes;
  for (std::size_t i = 0; i < 300; ++i) {
    writes.push_back(write(*file_, i * 512, std::span(bytes).subspan(i * 512, 512), true));
    writes.push_back(sync(*file_, false));
  }
  run(writes);
  for (const auto& operation : writes) expect_success(operation);
  std::vector<std::byte> found(bytes.size());
  std::vector<IoOperation> reads;
  for (std::size_t i = 0; i < 300; ++i) {
    reads.push_back(read(*file_, i * 512, std::span(found).subspan(i * 512, 512), i % 5 != 0));
  }
  file_->drop_cache(0, 0);
  must(queue_->submit(reads));
  finish(reads);
  for (const auto& operation : reads) expect_success(operation);
  EXPECT_EQ(found, bytes);
  const auto counters = environment_->counters();
  EXPECT_EQ(counters.uring_submissions, counters.uring_completions);
  EXPECT_EQ(counters.uring_submissions > 0, is_uring());
}

TEST_P(IoQueueTest, PollingAloneBringsEveryOperationToItsEnd) {
  std::vector<std::byte> bytes(100, std::byte{1});
  std::vector<std::byte> found(100);
  std::array operations{write(*file_, 0, bytes, true), sync(*file_, true), read(*file_, 0, found),
                        sync(*file_)};
  must(queue_->submit(operations));
  const std::size_t open = queue_->in_flight();
  std::size_t became_done = 0;
  while (queue_->in_flight() > 0) became_done += queue_->poll();
  EXPECT_EQ(became_done, open);
  for (const auto& operation : operations) expect_success(operation);
  EXPECT_EQ(queue_->poll(), 0U);
}

TEST_P(IoQueueTest, FilesOfOneSubmitAreAllSynced) {
  std::vector<std::unique_ptr<File>> files;
  std::vector<IoOperation> operations;
  std::vector<std::byte> bytes(5000, std::byte{1});
  for (int i = 0; i < 12; ++i) {
    files.push_back(open_file("f" + std::to_string(i)));
    operations.push_back(write(*files.back(), 0, bytes, true));
    operations.push_back(sync(*files.back(), false));
  }
  run(operations);
  for (const auto& operation : operations) expect_success(operation);
  EXPECT_EQ(environment_->counters().data_syncs, 12U);
}

TEST_P(IoQueueTest, TheDestructorWaitsForWhatIsInFlight) {
  std::vector<std::byte> bytes(100, std::byte{1});
  std::vector<std::byte> found(100);
  std::array group{write(*file_, 0, bytes, true), sync(*file_, true), read(*file_, 0, found, true),
                   sync(*file_)};
  must(queue_->submit(group));
  queue_.reset();
  for (const auto& operation : group) expect_success(operation);
  EXPECT_EQ(found, bytes);
}

TEST_P(IoQueueTest, AnOperationMayBeSubmittedAgain) {
  std::vector<std::byte> bytes(100, std::byte{1});
  const auto read_only = open_file("f", OpenMode::kReadOnly);
  std::array group{write(*read_only, 0, bytes, true), sync(*file_)};
  run(group);
  EXPECT_EQ(group[1].error, ECANCELED);
  group[0] = write(*file_, 0, bytes, true);
  run(group);
  for (const auto& operation : group) expect_success(operation);
}

TEST_P(IoQueueTest, WaitingForAnOperationThatWasNeverSubmittedIsAnError) {
  const IoOperation never;
  const auto result = queue_->wait(never);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code(), ErrorCode::kInternal);
}

TEST_P(IoQueueTest, OperationsOutliveTheThreadThatSubmittedThem) {
  std::mt19937_64 generator(vectolith::testing::random_seed());
  auto bytes = random_bytes(generator, 64 * 4096);
  must(file_->write_at(0, bytes));
  must(file_->data_sync());
  queue_ = must(environment_->make_queue(64));
  for (int round = 0; round < 5; ++round) {
    file_->drop_cache(0, 0);
    std::vector<std::byte> found(bytes.size());
    std::vector<IoOperation> operations;
    for (std::size_t i = 0; i < 64; i += 2) {
      operations.push_back(read(*file_, i * 4096, std::span(found).subspan(i * 4096, 8192)));
    }
    operations.push_back(sync(*file_));
    std::thread([&] { must(queue_->submit(operations)); }).join();
    finish(operations);
    for (const auto& operation : operations) expect_success(operation);
    EXPECT_EQ(found, bytes);
  }
}

/// Signals without SA_RESTART, as fast as the kernel delivers them.
class SignalStorm {
 public:
  SignalStorm() {
    struct sigaction action{};
    action.sa_handler = [](int) {};
    ::sigaction(SIGALRM, &action, &before_);
    const itimerval fast{.it_interval = {.tv_sec = 0, .tv_usec = 100},
                         .it_value = {.tv_sec = 0, .tv_usec = 100}};
    ::setitimer(ITIMER_REAL, &fast, nullptr);
  }
  ~SignalStorm() {
    const itimerval off{};
    ::setitimer(ITIMER_REAL, &off, nullptr);
    ::sigaction(SIGALRM, &before_, nullptr);
  }
  SignalStorm(const SignalStorm&) = delete;
  SignalStorm& operator=(const SignalStorm&) = delete;

 private:
  struct sigaction before_{};
};

TEST_P(IoQueueTest, AStormOfSignalsChangesNothing) {
  const SignalStorm storm;
  std::vector<std::byte> bytes(300'000, std::byte{4});
  for (int round = 0; round < 200; ++round) {
    std::vector<std::byte> found(bytes.size());
    std::array group{write(*file_, 0, bytes, true), sync(*file_, true), read(*file_, 0, found)};
    run(group);
    for (const auto& operation : group) expect_success(operation);
    ASSERT_EQ(found, bytes);
    if (round % 16 == 0) file_->drop_cache(0, 0);
  }
}

TEST_P(IoQueueTest, AWriteCutOffByTheFileSizeLimitCancelsItsBarrier) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler_before = ::signal(SIGXFSZ, SIG_IGN);
  const rlimit limit{.rlim_cur = 10'000, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  std::vector<std::byte> bytes(16'384, std::byte{5});
  std::array group{write(*file_, 0, bytes, true), sync(*file_)};
  must(queue_->submit(group));
  must(queue_->wait(group[1]));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  ::signal(SIGXFSZ, handler_before);
  EXPECT_EQ(group[0].error, EFBIG);
  EXPECT_EQ(group[0].transferred, 10'000U);
  EXPECT_EQ(group[1].error, ECANCELED);
  EXPECT_EQ(environment_->counters().data_syncs, 0U);
}

TEST_P(IoQueueTest, AWriteThatMovesNothingIsAnErrorAndCancelsItsBarrier) {
  run_in_child([&] {
    queue_ = must(environment_->make_queue(8));
    inject_system_calls({{SYS_pwritev, {.results = {}, .afterwards = 0}}});
    std::vector<std::byte> bytes(10, std::byte{5});
    std::array group{write(*file_, 0, bytes, true), sync(*file_)};
    run(group);
    EXPECT_EQ(group[0].error, EIO);
    EXPECT_EQ(group[1].error, ECANCELED);
  });
}

TEST_P(IoQueueTest, AFailedBarrierIsNotRepeatedAndCancelsItsFollowers) {
  // A pipe in the place of the file: fdatasync on it fails.
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  ASSERT_GE(::dup2(ends[0], dynamic_cast<PosixFile&>(*file_).fd()), 0);
  ::close(ends[0]);
  ::close(ends[1]);
  const auto other = open_file("other");
  std::vector<std::byte> bytes(10, std::byte{5});
  std::array operations{sync(*file_, true), write(*other, 0, bytes, true), sync(*other)};
  run(operations);
  EXPECT_EQ(operations[0].error, EINVAL);
  EXPECT_EQ(operations[1].error, ECANCELED);
  EXPECT_EQ(operations[2].error, ECANCELED);
  EXPECT_EQ(must(other->size()), 0U);
  EXPECT_EQ(environment_->counters().data_syncs, 1U);
  EXPECT_EQ(environment_->counters().retries, 0U);
}

}  // namespace
}  // namespace vectolith::engine::testing
