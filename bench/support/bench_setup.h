/// @file
/// What every bench binary shares: sizes from the environment, a work directory, and its own main.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <vectolith/format/result.h>

namespace vectolith::bench {

/// Sizes of a run, from VECTOLITH_BENCH_ROWS, VECTOLITH_BENCH_SMOKE and VECTOLITH_BENCH_DIR.
struct Setup {
  std::uint64_t rows = 1'000'000;
  std::uint32_t dim = 768;
  bool smoke = false;  ///< Seconds instead of minutes: shows that the benches run, not how fast.
  std::filesystem::path work_directory;

  [[nodiscard]] std::size_t vector_bytes() const noexcept { return std::size_t{dim} * sizeof(float); }
  /// `full` in a real run, `small` in a smoke run.
  [[nodiscard]] std::int64_t pick(std::int64_t full, std::int64_t small) const noexcept {
    return smoke ? small : full;
  }
};

/// Reads the environment, makes the work directory, lets `add` register benchmarks, runs them, and
/// removes the directory again. Returns the exit status of the process.
int run_benchmarks(int argc, char** argv, const std::function<void(const Setup&)>& add);

/// As above for benchmarks that share a `Bench`: `add` makes it, and it goes after the last of them.
template <class Bench>
int run_benchmarks(int argc, char** argv, void (*add)(const Setup&, std::unique_ptr<Bench>&)) {
  std::unique_ptr<Bench> bench;
  return run_benchmarks(argc, argv, [&](const Setup& setup) { add(setup, bench); });
}

/// Ends the process with a message: a bench has nobody to hand an error to.
[[noreturn]] void die(std::string_view what, std::string_view why);

/// The value of `result`, or the end of the process with its error.
template <class T>
T must(Result<T> result, std::string_view what) {
  if (!result.has_value()) die(what, result.error().to_string());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

/// As above for a condition.
inline void must_be(bool condition, std::string_view what) {
  if (!condition) die(what, "is not so");
}

}  // namespace vectolith::bench
