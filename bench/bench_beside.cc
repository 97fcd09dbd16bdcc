/// @file
/// Bad neighbours: warm gets while somebody loads, drops or scrubs beside them, and what large reads leave of
/// the page cache.
#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <benchmark/benchmark.h>

#include <vectolith/control.h>

#include "support/bench_data.h"
#include "support/bench_setup.h"
#include "support/bench_store.h"
#include "support/machine_counters.h"
#include "support/vector_touch.h"

namespace vectolith::bench {
namespace {

constexpr std::size_t kScopeGets = 64;
constexpr std::uint64_t kDroppedRows = 20'000;
constexpr int kDroppedFamilies = 20;

struct Bench {
  Setup setup;
  VectorSource source;
  std::filesystem::path path;
  std::unique_ptr<Store> store;
  Family family;
  std::vector<Key> keys;

  void reopen() {
    must(store->close(), "close");
    store.reset();
    {
      const Family gone = std::move(family);
    }  // What is mapped cannot be dropped.
    drop_cached_files(path);
    store = open_store(path, true);
    family = open_family(*store, setup.dim);
  }
  /// The vectors of the family, where they lie in memory if they do.
  [[nodiscard]] double share_in_memory() const {
    std::vector<std::span<const std::byte>> ranges;
    const auto segments = must(family.segments(), "segments");
    for (const auto& segment : segments)
      ranges.emplace_back(segment.base, std::size_t{segment.rows} * segment.stride_bytes);
    return resident_share(ranges);
  }
};

using Neighbour = std::function<void(Bench&, const std::stop_token&)>;

/// Every get is timed by itself.
void time_gets(benchmark::State& state, Bench& bench, const Neighbour& neighbour) {
  using Clock = std::chrono::steady_clock;
  std::vector<std::uint32_t> taken;
  taken.reserve(bench.keys.size());
  std::uint64_t sum = 0;
  for (auto _ : state) {
    const std::jthread beside([&](const std::stop_token& stop) { neighbour(bench, stop); });
    for (std::size_t first = 0; first + kScopeGets <= bench.keys.size(); first += kScopeGets) {
      const auto scope = bench.store->read_scope();
      for (std::size_t i = first; i < first + kScopeGets; ++i) {
        const auto start = Clock::now();
        const auto view = must(bench.family.get(scope, bench.keys[i]), "get");
        sum += touch(view->bytes());
        taken.push_back(static_cast<std::uint32_t>((Clock::now() - start) / std::chrono::nanoseconds(1)));
      }
    }
  }
  benchmark::DoNotOptimize(sum);
  std::ranges::sort(taken);
  const auto percentile = [&](double share) {
    return taken[static_cast<std::size_t>(share * static_cast<double>(taken.size() - 1))] / 1e3;
  };
  state.SetItemsProcessed(static_cast<std::int64_t>(taken.size()));
  state.counters["p50_us"] = percentile(0.5);
  state.counters["p99_us"] = percentile(0.99);
  state.counters["p999_us"] = percentile(0.999);
  state.counters["most_us"] = percentile(1);
}

void load_beside(Bench& bench, const std::stop_token& stop) {
  auto bulk = open_family(*bench.store, bench.setup.dim, "bulk");
  for (std::uint64_t first = 0; !stop.stop_requested(); first += 4 * kBatchRows)
    load_rows(bulk, bench.source, first, 4 * kBatchRows);
  must(bench.store->drop_family("bulk"), "drop_family");
}

void drop_beside(Bench& bench, const std::stop_token& stop) {
  for (int number = 0; number < kDroppedFamilies && !stop.stop_requested(); ++number) {
    must(bench.store->drop_family("dropped" + std::to_string(number)), "drop_family");
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

void scrub_once(const Bench& bench, const std::function<bool()>& should_stop) {
  auto client = must(ControlClient::connect(bench.path.string()), "connect");
  const auto report = must(client.scrub({.should_stop = should_stop}), "scrub");
  must_be(report.found.clean(), "nothing is damaged");
}

void scrub_beside(Bench& bench, const std::stop_token& stop) {
  while (!stop.stop_requested()) scrub_once(bench, [&] { return stop.stop_requested(); });
}

void make_families_to_drop(Bench& bench) {
  const auto rows = static_cast<std::uint64_t>(bench.setup.pick(kDroppedRows, 100));
  for (int number = 0; number < kDroppedFamilies; ++number) {
    auto family = open_family(*bench.store, bench.setup.dim, "dropped" + std::to_string(number));
    load_rows(family, bench.source, 0, rows);
  }
}

/// How much of a store that was not in memory is there after `read`.
void measure_pollution(benchmark::State& state, Bench& bench, const std::function<void(Bench&)>& read) {
  for (auto _ : state) {
    state.PauseTiming();
    bench.reopen();
    state.counters["in_memory_before"] = bench.share_in_memory();
    state.ResumeTiming();
    read(bench);
  }
  state.counters["in_memory_after"] = bench.share_in_memory();
}

void scan_all(Bench& bench) {
  std::uint64_t rows = 0;
  must(bench.family.scan([&](const RowBlock& block) {
    rows += block.rows;
    return true;
  }),
       "scan");
  must_be(rows >= bench.setup.rows, "a scan shows every row");
}

void add_benchmarks(const Setup& setup, std::unique_ptr<Bench>& bench) {
  const VectorSource source(setup.dim);
  const auto path = setup.work_directory / "store";
  build_store(path, source, setup.rows);
  auto store = open_store(path, true);
  auto family = open_family(*store, setup.dim);
  const auto gets = static_cast<std::size_t>(setup.pick(1 << 20, 1 << 10));
  bench.reset(new Bench{.setup = setup,
                        .source = source,
                        .path = path,
                        .store = std::move(store),
                        .family = std::move(family),
                        .keys = keys_of(uniform_rows(setup.rows, gets, 1))});
  scan_all(*bench);  // Touches and so verifies every row.
  const auto add_gets = [&](const char* name, Neighbour neighbour, bool drops = false) {
    benchmark::RegisterBenchmark(name,
                                 [&bench, neighbour = std::move(neighbour), drops](auto& state) {
                                   if (drops) make_families_to_drop(*bench);
                                   time_gets(state, *bench, neighbour);
                                 })
        ->Iterations(1)
        ->Unit(benchmark::kMillisecond);
  };
  add_gets("get_beside/nobody", [](Bench&, const std::stop_token&) {});
  add_gets("get_beside/bulk_load", load_beside);
  add_gets("get_beside/family_drops", drop_beside, true);
  add_gets("get_beside/scrub", scrub_beside);
  const auto add_pollution = [&](const char* name, std::function<void(Bench&)> read) {
    benchmark::RegisterBenchmark(
        name, [&bench, read = std::move(read)](auto& state) { measure_pollution(state, *bench, read); })
        ->Iterations(1)
        ->Unit(benchmark::kMillisecond);
  };
  add_pollution("page_cache_after/scrub", [](Bench& one) { scrub_once(one, {}); });
  add_pollution("page_cache_after/cold_scan", [](Bench& one) {
    must(one.family.place(Placement::kCold), "place");
    scan_all(one);
  });
  add_pollution("page_cache_after/cached_scan", scan_all);
}

}  // namespace
}  // namespace vectolith::bench

int main(int argc, char** argv) {
  return vectolith::bench::run_benchmarks(argc, argv, vectolith::bench::add_benchmarks);
}
