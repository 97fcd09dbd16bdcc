/// @file
/// A child forked from the owner of a store: it gets errors and harms nothing, and the owner goes on.
///
/// The story: a server forks a helper while its store is open. The helper inherits descriptors, mappings and
/// the memory of locks and threads that do not exist in it. It must neither hang nor write, unlock, unlink or
/// shut down what belongs to the server; and a helper that lives on must not keep the store locked.
#include <array>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <latch>
#include <string>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

#include <vectolith/control.h>

#include "engine/store/store_fixture.h"
#include "support/fault_environment.h"

namespace vectolith::testing {
namespace {

#if defined(__SANITIZE_THREAD__)
constexpr bool kMayStartThreadsInAChild = false;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
constexpr bool kMayStartThreadsInAChild = false;
#else
constexpr bool kMayStartThreadsInAChild = true;
#endif
#else
constexpr bool kMayStartThreadsInAChild = true;
#endif

/// True if every thread but the caller's sleeps in the kernel.
bool do_others_sleep() {
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    if (task.path().filename() == std::to_string(::gettid())) continue;
    std::ifstream file(task.path() / "stat");
    const std::string stat(std::istreambuf_iterator<char>(file), {});
    const auto name_end = stat.rfind(')');
    if (name_end != std::string::npos && stat.compare(name_end + 1, 3, " S ") != 0) return false;
  }
  return true;
}

/// Forks while nobody is in the allocator: AddressSanitizer of g++ 12 leaves its locks to the child as they
/// are, which then waits for ever for a thread that it does not have. Workers that start or work are there.
pid_t fork_beside_sleepers() {
  constexpr int kLooks = 10'000;  // Some systems do not tell.
  for (int look = 0; look < kLooks && !do_others_sleep(); ++look) std::this_thread::yield();
  return ::fork();
}

/// A child that runs `body` and ends at once; its failed expectations are on its output.
class Child {
 public:
  explicit Child(const std::function<void()>& body) : pid_(fork_beside_sleepers()) {
    if (pid_ != 0) return;
    body();
    std::fflush(nullptr);
    ::_exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  void expect_success() const {
    int status = 0;
    ASSERT_EQ(::waitpid(pid_, &status, 0), pid_);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "the child failed, wait status " << status;
  }

 private:
  pid_t pid_;
};

/// Keeps a child alive until it is let go.
class Gate {
 public:
  Gate() { EXPECT_EQ(::pipe(ends_.data()), 0); }
  void wait() {
    ::close(ends_[1]);
    char byte = 0;
    while (::read(ends_[0], &byte, 1) > 0) {
    }
  }
  void open() {
    ::close(ends_[1]);
    ::close(ends_[0]);
  }

 private:
  std::array<int, 2> ends_{};
};

template <class T>
void expect_closed(const Result<T>& result, const char* call) {
  ASSERT_FALSE(result.has_value()) << call;
  EXPECT_EQ(result.error().code(), ErrorCode::kClosed) << call << ": " << result.error().to_string();
}

class ForkTest : public StoreTest {
 protected:
  void fill() {
    auto with = options();
    with.control = true;
    open(with);
    auto f = family();
    for (std::uint64_t number = 1; number <= 20; ++number) put(f, number);
    const auto records = store_->record_family("r");
    ASSERT_TRUE(records.has_value());
    auto r = *records;
    ASSERT_TRUE(r.put(key_of(1), "one").has_value());
  }

  void expect_errors_from_reads(Family& f, RecordFamily& r) {
    const std::array<Key, 2> keys = {key_of(1), key_of(2)};
    std::array<Lookup, 2> answers;
    std::array<bool, 2> found{};
    std::vector<std::byte> matrix(2 * f.spec().vector_bytes());
    const auto scope = store_->read_scope();
    expect_closed(f.get(scope, key_of(1)), "get in a scope");
    expect_closed(f.get(key_of(1)), "get");
    expect_closed(f.get_copy(key_of(1), std::span(matrix).first(f.spec().vector_bytes())), "get_copy");
    expect_closed(f.contains(key_of(1)), "contains");
    expect_closed(f.multi_get(scope, keys, answers), "multi_get");
    expect_closed(f.multi_get_copy(keys, matrix, found), "multi_get_copy");
    expect_closed(f.segments(), "segments");
    expect_closed(f.gather({}, {}), "gather");
    expect_closed(f.for_each([](const VectorView&) { return true; }), "for_each");
    expect_closed(r.get(key_of(1)), "record get");
    expect_closed(r.contains(key_of(1)), "record contains");
    expect_closed(r.for_each([](const Record&) { return true; }), "record for_each");
  }

  void expect_errors_from_writes(Family& f, RecordFamily& r) {
    const auto vector = vector_of(1);
    const auto bytes = std::as_bytes(std::span(vector));
    const BatchRow row{key_of(1), bytes};
    expect_closed(f.set_validator({}), "set_validator");
    expect_closed(f.put(key_of(1), std::span<const float>(vector)), "put");
    expect_closed(f.submit_put(key_of(1), bytes), "submit_put");
    expect_closed(f.put_batch({&row, 1}), "put_batch");
    expect_closed(f.erase(key_of(1)), "erase");
    expect_closed(r.put(key_of(1), "two"), "record put");
    expect_closed(r.erase(key_of(1)), "record erase");
  }

  void expect_errors_from_the_store() {
    expect_closed(store_->family("f"), "family");
    expect_closed(store_->family("new", small_spec()), "family to create");
    expect_closed(store_->record_family("new"), "record_family");
    expect_closed(store_->existing_record_family("r"), "existing_record_family");
    expect_closed(store_->drop_family("f"), "drop_family");
    expect_closed(store_->intern_scope("s"), "intern_scope");
    expect_closed(store_->intern_chunker("c", 1), "intern_chunker");
    expect_closed(store_->intern_build("b"), "intern_build");
    expect_closed(store_->snapshot(), "snapshot");
    expect_closed(store_->sync(), "sync");
    expect_closed(store_->wait_durable({}), "wait_durable");
    expect_closed(store_->close(), "close");
    EXPECT_TRUE(store_->families().empty());
    EXPECT_TRUE(store_->interned().empty());
    EXPECT_EQ(store_->stats().puts, 0U);
  }

  /// Everything that a child can do to an inherited store, its end included.
  void use_and_destroy(Family f, RecordFamily r) {
    expect_errors_from_reads(f, r);
    expect_errors_from_writes(f, r);
    expect_errors_from_the_store();
    store_.reset();
  }
};

TEST_F(ForkTest, EveryCallOfTheChildFailsAndTheParentGoesOnUndisturbed) {
  fill();
  auto f = family();
  auto records = store_->record_family("r");
  ASSERT_TRUE(records.has_value());
  const Child child([&] { use_and_destroy(f, *records); });
  child.expect_success();

  put(f, 21);
  ASSERT_TRUE(store_->sync().has_value());
  auto client = ControlClient::connect(directory_.path());
  ASSERT_TRUE(client.has_value()) << "the child took the control socket down: " << client.error().to_string();
  EXPECT_TRUE(client->stats().has_value());
  EXPECT_EQ(Store::open(directory_.path(), options()).error().code(), ErrorCode::kLocked)
      << "the child gave the parent's lock away";
  close();
  open();
  for (std::uint64_t number = 1; number <= 21; ++number) expect_holds(family(), number);
}

TEST_F(ForkTest, TheChildDoesNotHangWhereAThreadOfTheParentHeldTheLocks) {
  // A put stands still in the middle of its write, with the commit lock held, while the process forks.
  const auto faults = std::make_shared<FaultEnvironment>(environment_);
  auto with = options();
  with.environment = faults;
  open(with);
  auto f = family();
  auto records = store_->record_family("r");
  ASSERT_TRUE(records.has_value());
  put(f, 1);
  std::latch arrived(1);
  std::latch released(1);
  std::atomic<bool> first{true};
  faults->decide([&](const DiskChange& change) {
    if (change.kind == DiskChange::Kind::kWrite && first.exchange(false)) {
      arrived.count_down();
      released.wait();
    }
    return Verdict{};
  });
  std::thread writer([&] { put(f, 2); });
  arrived.wait();
  const Child child([&] { use_and_destroy(f, *records); });
  child.expect_success();
  released.count_down();
  writer.join();
  expect_holds(f, 2);
  close();
}

TEST_F(ForkTest, WhatWasPinnedBeforeTheForkStaysReadableInTheChild) {
  fill();
  const auto pinned = family().get(key_of(3));
  ASSERT_TRUE(pinned.has_value() && pinned->has_value());
  const Child child([&] {
    store_.reset();
    EXPECT_TRUE(same_bytes(***pinned, vector_of(3)));
  });
  child.expect_success();
  expect_holds(family(), 3);
}

TEST_F(ForkTest, AChildThatLivesOnDoesNotKeepTheParentsLocks) {
  fill();
  Gate gate;
  const Child child([&] { gate.wait(); });
  close();
  auto with = options();
  with.lock_timeout = {};
  open(with);
  expect_holds(family(), 20);
  close();
  gate.open();
  child.expect_success();
}

TEST_F(ForkTest, AChildMayOpenAStoreOfItsOwnButNotWithTheParentsEnvironment) {
  if (!kMayStartThreadsInAChild) GTEST_SKIP() << "TSan starts no thread in a forked child";
  fill();
  const TempDirectory other;
  const Child child([&] {
    auto with = options();
    expect_closed(Store::open(other.path(), with), "open with the parent's environment");
    with.environment = test_environment();
    EXPECT_EQ(Store::open(directory_.path(), with).error().code(), ErrorCode::kLocked);
    auto own = Store::open(other.path(), with);
    ASSERT_TRUE(own.has_value()) << own.error().to_string();
    auto made = (*own)->family("f", small_spec());
    ASSERT_TRUE(made.has_value());
    put(*made, 7);
    expect_holds(*made, 7);
    EXPECT_TRUE((*own)->close().has_value());
  });
  child.expect_success();
  environment_ = test_environment();
}

}  // namespace
}  // namespace vectolith::testing
