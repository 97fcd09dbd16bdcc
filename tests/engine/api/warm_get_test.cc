/// @file
/// Promise of a warm get: no allocation, no lock and no system call.
#include <cstdint>
#include <cstdlib>
#include <new>
#include <vector>

#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/store/store_fixture.h"

namespace {

thread_local std::uint64_t t_allocations = 0;

void* count_and_allocate(std::size_t bytes) {
  ++t_allocations;
  if (void* const memory = std::malloc(bytes)) return memory;
  throw std::bad_alloc();
}

}  // namespace

// This program's own: all that the standard library and the engine allocate comes through here.
void* operator new(std::size_t bytes) { return count_and_allocate(bytes); }
void* operator new[](std::size_t bytes) { return count_and_allocate(bytes); }
void* operator new(std::size_t bytes, const std::nothrow_t& /*tag*/) noexcept {
  ++t_allocations;
  return std::malloc(bytes);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t /*bytes*/) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t /*bytes*/) noexcept { std::free(memory); }

namespace vectolith::testing {
namespace {

constexpr std::uint64_t kRows = 500;
constexpr std::uint64_t kBatch = 100;

class WarmGet : public StoreTest {
 protected:
  void fill() {
    open();
    for (std::uint64_t i = 0; i < kRows; ++i) {
      auto f = family();
      put(f, i);
    }
  }
};

/// Every kind of warm read; false if one answered wrongly. Its buffers are made before.
struct WarmReads {
  explicit WarmReads(const Family& which) : family(which), copy(which.spec().vector_bytes()) {
    for (std::uint64_t i = 0; i < kBatch; ++i) keys.push_back(key_of(i * 3));
    answers.resize(kBatch);
  }
  bool run(Store& store) {
    bool right = true;
    const auto scope = store.read_scope();
    for (std::uint64_t i = 0; i < kRows; ++i) {
      const auto got = family.get(scope, key_of(i));
      right = right && got.has_value() && got->has_value() && (*got)->key() == key_of(i);
      const auto copied = family.get_copy(key_of(i), copy);
      right = right && copied.has_value() && *copied;
    }
    const auto missed = family.get(scope, key_of(kRows + 1));
    right = right && missed.has_value() && !missed->has_value();
    const auto done = family.multi_get(scope, keys, answers);
    for (const auto& answer : answers) right = right && answer.status == Lookup::Status::kHit;
    return right && done.has_value();
  }
  const Family& family;
  std::vector<std::byte> copy;
  std::vector<Key> keys;
  std::vector<Lookup> answers;
};

TEST_F(WarmGet, AllocatesNothing) {
  fill();
  const auto f = family();
  WarmReads reads(f);
  ASSERT_TRUE(reads.run(*store_)) << "the first touch";
  const auto before = t_allocations;
  const bool right = reads.run(*store_);
  EXPECT_EQ(t_allocations - before, 0U);
  EXPECT_TRUE(right);
}

// A lock that nobody holds needs no system call either, so this test sees only locks that are waited for.
// The index and epoch tests hold writers in the middle of their work while readers go on.
TEST_F(WarmGet, MakesNoSystemCall) {
  fill();
  close();
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    environment_ = test_environment();  // Neither it nor an open store is for a child to use.
    auto read_only = options();
    read_only.read_only = true;  // And so without workers: SYS_exit below ends the only thread.
    open(read_only);
    const auto f = family();
    WarmReads reads(f);
    if (!reads.run(*store_)) _exit(1);  // The first touch.
    // In strict mode the kernel kills this process at its first system call but read, write and exit.
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) _exit(77);
    syscall(SYS_exit, reads.run(*store_) ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) GTEST_SKIP() << "this kernel has no seccomp";
  EXPECT_TRUE(WIFEXITED(status)) << "killed by signal " << WTERMSIG(status) << ": a read made a system call";
  EXPECT_EQ(WEXITSTATUS(status), 0) << "a read answered wrongly";
}

}  // namespace
}  // namespace vectolith::testing
