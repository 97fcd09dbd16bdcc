/// @file
/// The queue over plain system calls never believes a second fdatasync.
#include <array>
#include <cerrno>

#include <sys/syscall.h>

#include "io_test_support.h"

namespace vectolith::engine::testing {
namespace {

TEST(SyncQueue, AFailedBarrierReachesEveryOperationThatAskedForItAndIsNotRepeated) {
  const TempDirectory scratch;
  run_in_child([&] {
    const auto environment = must(make_environment(BackendChoice::kSync));
    const auto directory = must(environment->open_directory(scratch.path(), false));
    const auto file = must(directory->open("f", OpenMode::kCreateNew));
    const auto queue = must(environment->make_queue(8));
    inject_system_calls({{SYS_fdatasync, {.results = {-EIO}}}});
    std::array operations{IoOperation{.file = file.get(), .linked = true},
                          IoOperation{.kind = IoOperation::Kind::kWrite, .file = file.get()},
                          IoOperation{.file = file.get()}};
    must(queue->submit(operations));
    EXPECT_EQ(queue->in_flight(), 3U);
    for (const auto& operation : operations) must(queue->wait(operation));
    EXPECT_EQ(operations[0].error, EIO);
    EXPECT_EQ(operations[1].error, ECANCELED);
    EXPECT_EQ(operations[2].error, EIO) << "Linux reports success on the second fdatasync; it means nothing";
    EXPECT_EQ(injected_calls(SYS_fdatasync), 1);
  });
}

TEST(SyncQueue, TheErrorOfOneFileIsNotGivenToAnother) {
  const TempDirectory scratch;
  run_in_child([&] {
    const auto environment = must(make_environment(BackendChoice::kSync));
    const auto directory = must(environment->open_directory(scratch.path(), false));
    const auto queue = must(environment->make_queue(8));
    std::vector<std::unique_ptr<File>> files;
    std::vector<IoOperation> operations;
    for (int i = 0; i < 6; ++i) {
      files.push_back(must(directory->open("f" + std::to_string(i), OpenMode::kCreateNew)));
      operations.push_back({.file = files.back().get()});
    }
    inject_system_calls({{SYS_fdatasync, {.results = {kPassOn, kPassOn, -EIO}}}});
    must(queue->submit(operations));
    int failed = 0;
    for (const auto& operation : operations) {
      must(queue->wait(operation));
      failed += operation.error == EIO ? 1 : 0;
    }
    EXPECT_EQ(failed, 1);
    EXPECT_EQ(injected_calls(SYS_fdatasync), 6);
  });
}

}  // namespace
}  // namespace vectolith::engine::testing
