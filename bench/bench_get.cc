/// @file
/// Warm reads: zero-copy, copied, pinned, uniform and Zipf, hit and miss, alone and by the hundred.
#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "support/bench_data.h"
#include "support/bench_setup.h"
#include "support/bench_store.h"
#include "support/raw_table.h"
#include "support/vector_touch.h"

namespace vectolith::bench {
namespace {

/// Gets in one ReadScope: what a caller with a loop of its own would do.
constexpr std::size_t kScopeGets = 64;
constexpr std::size_t kMultiGetKeys = 100;

/// The two stores with the same rows, and the keys to ask them for.
struct Bench {
  VectorSource source;
  RawStore raw;
  std::unique_ptr<Store> store;
  Family family;
  std::vector<Key> uniform, zipf, absent;
};

/// Walks through `keys` in whole steps, from another place in each thread.
class KeyWalk {
 public:
  KeyWalk(const std::vector<Key>& keys, const benchmark::State& state, std::size_t step)
      : keys_(keys),
        step_(step),
        at_(keys.size() / static_cast<std::size_t>(state.threads()) *
            static_cast<std::size_t>(state.thread_index())) {}
  std::span<const Key> next() {
    if (at_ + step_ > keys_.size()) at_ = 0;
    const auto keys = std::span(keys_).subspan(at_, step_);
    at_ += step_;
    return keys;
  }

 private:
  const std::vector<Key>& keys_;
  std::size_t step_;
  std::size_t at_;
};

void get_engine(benchmark::State& state, const Bench& bench, const std::vector<Key>& keys) {
  KeyWalk walk(keys, state, kScopeGets);
  std::uint64_t sum = 0;
  while (state.KeepRunningBatch(kScopeGets)) {
    const auto scope = bench.store->read_scope();
    for (const auto& key : walk.next()) {
      const auto view = bench.family.get(scope, key);
      if (view.has_value() && view->has_value()) sum += touch((*view)->bytes());
    }
  }
  benchmark::DoNotOptimize(sum);
}

void get_raw(benchmark::State& state, const Bench& bench, const std::vector<Key>& keys) {
  KeyWalk walk(keys, state, kScopeGets);
  std::uint64_t sum = 0;
  while (state.KeepRunningBatch(kScopeGets)) {
    for (const auto& key : walk.next()) sum += touch(bench.raw.get(key));
  }
  benchmark::DoNotOptimize(sum);
}

void pinned_engine(benchmark::State& state, const Bench& bench, const std::vector<Key>& keys) {
  KeyWalk walk(keys, state, 1);
  std::uint64_t sum = 0;
  for (auto _ : state) {
    const auto view = bench.family.get(walk.next().front());
    if (view.has_value() && view->has_value()) sum += touch((**view)->bytes());
  }
  benchmark::DoNotOptimize(sum);
}

void copy_engine(benchmark::State& state, const Bench& bench, const std::vector<Key>& keys) {
  KeyWalk walk(keys, state, 1);
  std::vector<std::byte> out(bench.source.vector_bytes());
  for (auto _ : state) {
    const auto found = bench.family.get_copy(walk.next().front(), out);
    if (!found.has_value() || !*found) state.SkipWithError("a key that was put is a miss");
    benchmark::ClobberMemory();
  }
}

void copy_raw(benchmark::State& state, const Bench& bench, const std::vector<Key>& keys) {
  KeyWalk walk(keys, state, 1);
  std::vector<std::byte> out(bench.source.vector_bytes());
  for (auto _ : state) {
    const auto vector = bench.raw.get(walk.next().front());
    std::memcpy(out.data(), vector.data(), vector.size());
    benchmark::ClobberMemory();
  }
}

void multi_get_engine(benchmark::State& state, const Bench& bench, const std::vector<Key>& keys) {
  KeyWalk walk(keys, state, kMultiGetKeys);
  std::vector<std::byte> matrix(kMultiGetKeys * bench.source.vector_bytes());
  std::array<bool, kMultiGetKeys> found{};
  for (auto _ : state) {
    const auto hits = bench.family.multi_get_copy(walk.next(), matrix, found);
    if (!hits.has_value() || *hits != kMultiGetKeys) state.SkipWithError("a key that was put is a miss");
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kMultiGetKeys));
}

void multi_get_raw(benchmark::State& state, const Bench& bench, const std::vector<Key>& keys) {
  KeyWalk walk(keys, state, kMultiGetKeys);
  std::vector<std::byte> matrix(kMultiGetKeys * bench.source.vector_bytes());
  for (auto _ : state) {
    benchmark::DoNotOptimize(bench.raw.multi_get_copy(walk.next(), matrix));
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kMultiGetKeys));
}

/// Touches every row, which also verifies it for the first time, and compares the two stores.
std::uint64_t warm_up(const Bench& bench, std::uint64_t rows) {
  std::uint64_t sum = 0;
  for (std::uint64_t row = 0; row < rows; ++row) {
    const auto key = key_of(row);
    const auto scope = bench.store->read_scope();
    const auto view = must(bench.family.get(scope, key), "get");
    must_be(view.has_value(), "every row that was put is there");
    const auto raw = bench.raw.get(key);
    must_be(std::ranges::equal(view->bytes(), raw), "both stores hold the same bytes");
    sum += touch(raw);
  }
  return sum;
}

using Function = void (*)(benchmark::State&, const Bench&, const std::vector<Key>&);

void add(const std::string& name, Function function, const Bench& bench, const std::vector<Key>& keys) {
  auto* added = benchmark::RegisterBenchmark(
      name.c_str(), [function, &bench, &keys](benchmark::State& state) { function(state, bench, keys); });
  added->UseRealTime()->Threads(1)->Threads(2);
}

void add_benchmarks(const Setup& setup, std::unique_ptr<Bench>& bench) {
  const VectorSource source(setup.dim);
  const auto path = setup.work_directory / "store";
  build_store(path, source, setup.rows);
  auto store = open_store(path);
  auto family = open_family(*store, setup.dim);
  const auto queries = static_cast<std::size_t>(setup.pick(1 << 20, 1 << 12));
  bench.reset(new Bench{
      .source = source,
      .raw = RawStore(setup.work_directory / "raw", setup.rows, source),
      .store = std::move(store),
      .family = std::move(family),
      .uniform = keys_of(uniform_rows(setup.rows, queries, 1)),
      .zipf = keys_of(zipf_rows(setup.rows, queries, 2)),
      .absent = absent_keys(queries),
  });
  benchmark::AddCustomContext("result_hash", std::to_string(warm_up(*bench, setup.rows)));

  add("get/uniform/engine", get_engine, *bench, bench->uniform);
  add("get/uniform/raw", get_raw, *bench, bench->uniform);
  add("get/zipf/engine", get_engine, *bench, bench->zipf);
  add("get/zipf/raw", get_raw, *bench, bench->zipf);
  add("get/miss/engine", get_engine, *bench, bench->absent);
  add("get/miss/raw", get_raw, *bench, bench->absent);
  add("get_pinned/uniform/engine", pinned_engine, *bench, bench->uniform);
  add("get_copy/uniform/engine", copy_engine, *bench, bench->uniform);
  add("get_copy/uniform/raw", copy_raw, *bench, bench->uniform);
  add("get_copy/zipf/engine", copy_engine, *bench, bench->zipf);
  add("get_copy/zipf/raw", copy_raw, *bench, bench->zipf);
  add("multi_get_100/uniform/engine", multi_get_engine, *bench, bench->uniform);
  add("multi_get_100/uniform/raw", multi_get_raw, *bench, bench->uniform);
}

}  // namespace
}  // namespace vectolith::bench

int main(int argc, char** argv) {
  return vectolith::bench::run_benchmarks(argc, argv, vectolith::bench::add_benchmarks);
}
