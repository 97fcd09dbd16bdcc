/// @file
/// A file keeps its promises: whole transfers, locks, errors with place and errno.
#include <cerrno>
#include <csignal>
#include <filesystem>

#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "io_test_support.h"

namespace vectolith::engine::testing {
namespace {

class PosixFileTest : public BackendTest {};
VECTOLITH_INSTANTIATE_BACKENDS(PosixFileTest);

std::span<const std::byte> as_bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

TEST_P(PosixFileTest, WhatIsWrittenIsReadBackAtEveryOffset) {
  std::mt19937_64 generator(vectolith::testing::random_seed());
  const auto file = open_file("f");
  std::vector<std::byte> model(20'000);
  for (int round = 0; round < 200; ++round) {
    const std::size_t offset = generator() % model.size();
    const auto bytes = random_bytes(generator, generator() % (model.size() - offset + 1));
    must(file->write_at(offset, bytes));
    std::ranges::copy(bytes, model.begin() + static_cast<std::ptrdiff_t>(offset));
  }
  std::vector<std::byte> found(model.size());
  const std::size_t read = must(file->read_at(0, found));
  model.resize(read);
  found.resize(read);
  EXPECT_EQ(found, model);
  EXPECT_EQ(must(file->size()), read);
}

TEST_P(PosixFileTest, AReadBeyondTheEndIsShortAndAnExactOneIsCorruption) {
  const auto file = open_file("f");
  must(file->write_at(0, as_bytes("12345")));
  std::vector<std::byte> bytes(8);
  EXPECT_EQ(must(file->read_at(2, bytes)), 3U);
  EXPECT_EQ(must(file->read_at(5, bytes)), 0U);
  EXPECT_EQ(must(file->read_at(500, bytes)), 0U);
  const auto exact = file->read_exact(2, bytes);
  ASSERT_FALSE(exact.has_value());
  EXPECT_EQ(exact.error().code(), ErrorCode::kCorruption);
  EXPECT_EQ(exact.error().offset(), 2U);
  EXPECT_EQ(exact.error().expected(), "8 bytes");
  EXPECT_EQ(exact.error().found(), "3 bytes");
  EXPECT_NE(exact.error().file().find("/f"), std::string::npos);
}

TEST_P(PosixFileTest, AWriteToAReadOnlyFileNamesFileOffsetAndErrno) {
  must(open_file("f")->write_at(0, as_bytes("x")));
  const auto file = open_file("f", OpenMode::kReadOnly);
  const auto result = file->write_at(77, as_bytes("y"));
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code(), ErrorCode::kIo);
  EXPECT_EQ(result.error().system_errno(), EBADF);
  EXPECT_EQ(result.error().offset(), 77U);
  EXPECT_EQ(result.error().file(), file->path());
}

TEST_P(PosixFileTest, PreallocatedBlocksReadAsZerosAndPunchGivesThemBack) {
  const auto file = open_file("f");
  constexpr std::size_t kBytes = 1 << 20;
  must(file->preallocate(0, kBytes));
  EXPECT_EQ(must(file->size()), kBytes);
  EXPECT_GE(must(file->allocated_bytes()), kBytes);
  std::vector<std::byte> bytes(kBytes, std::byte{1});
  must(file->read_exact(0, bytes));
  EXPECT_EQ(bytes, std::vector<std::byte>(kBytes));
  std::ranges::fill(bytes, std::byte{7});
  must(file->write_at(0, bytes));
  must(file->data_sync());
  must(file->punch(0, kBytes));
  EXPECT_EQ(must(file->size()), kBytes);
  EXPECT_LT(must(file->allocated_bytes()), kBytes / 2);
  must(file->read_exact(0, bytes));
  EXPECT_EQ(bytes, std::vector<std::byte>(kBytes));
}

TEST_P(PosixFileTest, LinkCountFollowsHardLinks) {
  const auto file = open_file("f");
  EXPECT_EQ(must(file->link_count()), 1U);
  std::filesystem::create_hard_link(scratch_.file("f"), scratch_.file("g"));
  EXPECT_EQ(must(file->link_count()), 2U);
}

TEST_P(PosixFileTest, AnExclusiveLockKeepsAnotherProcessOutUntilTheFileIsClosed) {
  auto file = open_file("f");
  ASSERT_TRUE(must(file->try_lock(LockMode::kExclusive)));
  const auto other_process_gets = [&](LockMode mode, bool expected) {
    run_in_child([&] { EXPECT_EQ(must(open_file("f")->try_lock(mode)), expected); });
  };
  other_process_gets(LockMode::kExclusive, false);
  other_process_gets(LockMode::kShared, false);
  ASSERT_TRUE(must(file->try_lock(LockMode::kShared)));
  other_process_gets(LockMode::kShared, true);
  other_process_gets(LockMode::kExclusive, false);
  must(file->unlock());
  other_process_gets(LockMode::kExclusive, true);
  ASSERT_TRUE(must(file->try_lock(LockMode::kExclusive)));
  file.reset();
  other_process_gets(LockMode::kExclusive, true);
}

TEST_P(PosixFileTest, AWriteBeyondTheFileSizeLimitIsContinuedToTheLimitAndThenAnError) {
  const auto file = open_file("f");
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler_before = ::signal(SIGXFSZ, SIG_IGN);
  const rlimit limit{.rlim_cur = 10'000, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  const std::vector<std::byte> bytes(16'384, std::byte{5});
  const auto result = file->write_at(0, bytes);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  ::signal(SIGXFSZ, handler_before);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().system_errno(), EFBIG);
  EXPECT_EQ(result.error().offset(), 10'000U) << "the short write was not continued";
  EXPECT_EQ(must(file->size()), 10'000U);
  EXPECT_GT(environment_->counters().short_transfers, 0U);
}

TEST_P(PosixFileTest, InterruptedWritesAreRepeatedUntilAllBytesAreThere) {
  run_in_child([&] {
    const auto file = open_file("f");
    inject_system_calls({{SYS_pwritev, {.results = {-EINTR, -EINTR, -EAGAIN, -EINTR}}}});
    must(file->write_at(0, as_bytes("all of it")));
    EXPECT_EQ(injected_calls(SYS_pwritev), 5);
    EXPECT_EQ(must(file->size()), 9U);
    EXPECT_EQ(environment_->counters().retries, 4U);
  });
}

TEST_P(PosixFileTest, AWriteThatMovesNothingIsAnError) {
  run_in_child([&] {
    const auto file = open_file("f");
    inject_system_calls({{SYS_pwritev, {.results = {}, .afterwards = 0}}});
    const auto result = file->write_at(0, as_bytes("x"));
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().system_errno(), EIO);
  });
}

TEST_P(PosixFileTest, EndlessInterruptionsEndInAnError) {
  run_in_child([&] {
    const auto file = open_file("f");
    inject_system_calls({{SYS_pwritev, {.results = {}, .afterwards = -EINTR}}});
    const auto result = file->write_at(0, as_bytes("x"));
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().system_errno(), EINTR);
  });
}

TEST_P(PosixFileTest, AFailedDataSyncIsReportedAndNotRepeated) {
  for (const int error : {EIO, EINTR, EAGAIN}) {
    run_in_child([&] {
      const auto file = open_file("f");
      inject_system_calls({{SYS_fdatasync, {.results = {-error}}}});
      const auto result = file->data_sync();
      ASSERT_FALSE(result.has_value());
      EXPECT_EQ(result.error().code(), ErrorCode::kIo);
      EXPECT_EQ(result.error().system_errno(), error);
      EXPECT_EQ(injected_calls(SYS_fdatasync), 1);
    });
  }
}

/// A file system of one MiB; needs root.
class TinyFileSystem {
 public:
  explicit TinyFileSystem(std::string path) : path_(std::move(path)) {
    ::mkdir(path_.c_str(), 0700);
    mounted_ = ::mount("none", path_.c_str(), "tmpfs", 0, "size=1m") == 0;
  }
  ~TinyFileSystem() {
    if (mounted_) ::umount2(path_.c_str(), MNT_DETACH);
  }
  TinyFileSystem(const TinyFileSystem&) = delete;
  TinyFileSystem& operator=(const TinyFileSystem&) = delete;
  [[nodiscard]] bool mounted() const { return mounted_; }

 private:
  std::string path_;
  bool mounted_ = false;
};

TEST_P(PosixFileTest, AFullDiskIsNoSpaceAndPreallocatedBlocksStayWritable) {
  const TinyFileSystem tiny(scratch_.file("tiny"));
  if (!tiny.mounted()) GTEST_SKIP() << "mounting a tmpfs needs root: errno " << errno;
  const auto directory = must(environment_->open_directory(scratch_.file("tiny"), false));
  const auto reserved = must(directory->open("reserved", OpenMode::kCreateNew));
  must(reserved->preallocate(0, 64 << 10));
  const auto file = must(directory->open("f", OpenMode::kCreateNew));
  const auto written = file->write_at(0, std::vector<std::byte>(2 << 20));
  ASSERT_FALSE(written.has_value());
  EXPECT_EQ(written.error().code(), ErrorCode::kNoSpace);
  EXPECT_EQ(written.error().system_errno(), ENOSPC);
  const auto allocated = file->preallocate(2 << 20, 2 << 20);
  ASSERT_FALSE(allocated.has_value());
  EXPECT_EQ(allocated.error().code(), ErrorCode::kNoSpace);
  must(reserved->write_at(0, std::vector<std::byte>(64 << 10, std::byte{1})));

  std::vector<std::byte> bytes(2 << 20);
  IoOperation::Buffer buffer{.data = bytes.data(), .bytes = bytes.size()};
  std::array<IoOperation, 2> group{};
  group[0] = {.kind = IoOperation::Kind::kWrite, .file = file.get(), .buffers = {&buffer, 1}, .linked = true};
  group[1] = {.file = file.get()};
  const auto queue = must(environment_->make_queue(8));
  must(queue->submit(group));
  must(queue->wait(group[1]));
  EXPECT_EQ(group[0].error, ENOSPC);
  EXPECT_EQ(group[1].error, ECANCELED);
}

}  // namespace
}  // namespace vectolith::engine::testing
