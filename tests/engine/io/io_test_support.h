/// @file
/// What the tests of the I/O layer share: both backends, children, injected system calls.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "io/environment.h"
#include "support/random_seed.h"
#include "support/temp_directory.h"

namespace vectolith::engine::testing {

/// The value of a result; fails the test and dies if it is an error.
template <class T>
T must(Result<T> result) {
  if (!result.has_value()) {
    ADD_FAILURE() << result.error().to_string();
    std::abort();
  }
  return *std::move(result);
}
inline void must(Result<void> result) {
  if (!result.has_value()) {
    ADD_FAILURE() << result.error().to_string();
    std::abort();
  }
}

using vectolith::testing::TempDirectory;

/// A test that runs on every backend; skipped, visibly, where io_uring is not available.
class BackendTest : public ::testing::TestWithParam<BackendChoice> {
 protected:
  void SetUp() override;
  [[nodiscard]] bool is_uring() const { return GetParam() == BackendChoice::kUring; }
  std::unique_ptr<File> open_file(const std::string& name, OpenMode mode = OpenMode::kOpenOrCreate) {
    return must(directory_->open(name, mode));
  }

  TempDirectory scratch_;
  std::unique_ptr<Environment> environment_;
  std::unique_ptr<Directory> directory_;
};

std::string backend_name(const ::testing::TestParamInfo<BackendChoice>& info);

#define VECTOLITH_INSTANTIATE_BACKENDS(suite)                                                               \
  INSTANTIATE_TEST_SUITE_P(Backends, suite, ::testing::Values(BackendChoice::kUring, BackendChoice::kSync), \
                           backend_name)

std::vector<std::byte> random_bytes(std::mt19937_64& generator, std::size_t count);

/// Runs `body` in a forked child; its failed expectations fail this test. For what cannot be undone. Skips
/// the test where the child cannot do what it is for.
void run_in_child(const std::function<void()>& body);

/// What the injected system calls return, in order: a negative errno or a value; kPassOn runs the real call.
inline constexpr long kPassOn = -1'000'000;
struct Injection {
  std::vector<long> results;  ///< One per call.
  long afterwards = kPassOn;
};

/// From now on, and for ever in this thread and the threads that it starts, the given system calls go through
/// `Injection`. Only in a child.
void inject_system_calls(std::map<int, Injection> injections);

/// How often an injected system call was made so far.
int injected_calls(int number);

/// From now on these system calls fail with `system_errno` in this thread. Only in a child.
void forbid_system_calls(const std::vector<int>& numbers, int system_errno);

}  // namespace vectolith::engine::testing
