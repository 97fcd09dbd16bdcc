/// @file
/// Cold reads of 1024-d rows: major faults and device bytes for each get that finds its vector on the disk.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "support/bench_data.h"
#include "support/bench_setup.h"
#include "support/bench_store.h"
#include "support/machine_counters.h"
#include "support/raw_table.h"
#include "support/vector_touch.h"

namespace vectolith::bench {
namespace {

constexpr std::uint32_t kDim = 1024;  // Exactly one page a vector.

struct Bench {
  VectorSource source;
  std::filesystem::path store_path;
  RawStore raw;
  std::vector<Key> keys;  ///< Distinct rows, so that no page is asked for twice.
};

/// Counts faults, device reads and time between its making and `report`.
class ColdRun {
 public:
  explicit ColdRun(const std::filesystem::path& path)
      : path_(path),
        faults_(major_faults()),
        device_(device_bytes(path)),
        start_(std::chrono::steady_clock::now()) {}

  void report(benchmark::State& state, std::size_t gets, std::size_t bytes) const {
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start_;
    const auto count = static_cast<double>(gets);
    state.SetIterationTime(elapsed.count() / count);
    state.counters["major_faults_per_get"] = static_cast<double>(major_faults() - faults_) / count;
    const auto device = device_bytes(path_);
    if (!device || !device_) return;
    const auto read = static_cast<double>(device->read - device_->read);
    state.counters["device_bytes_per_vector_byte"] = read / count / static_cast<double>(bytes);
  }

 private:
  std::filesystem::path path_;
  std::uint64_t faults_;
  std::optional<DeviceBytes> device_;
  std::chrono::steady_clock::time_point start_;
};

/// The pages are dropped while nothing maps them; opening then reads the metas, which so are resident.
void cold_engine(benchmark::State& state, const Bench& bench) {
  for (auto _ : state) {
    drop_cached_files(bench.store_path);
    auto store = open_store(bench.store_path);
    const auto family = must(store->family(kFamilyName), "family");
    std::uint64_t sum = 0;
    {
      const ColdRun run(bench.store_path);
      for (const auto& key : bench.keys) {
        const auto scope = store->read_scope();
        const auto view = must(family.get(scope, key), "get");
        must_be(view.has_value(), "every row that was put is there");
        sum += touch(view->bytes());
      }
      run.report(state, bench.keys.size(), bench.source.vector_bytes());
    }
    benchmark::DoNotOptimize(sum);
    must(store->close(), "close");
  }
}

void cold_raw(benchmark::State& state, Bench& bench) {
  for (auto _ : state) {
    bench.raw.file().make_cold();
    std::uint64_t sum = 0;
    const ColdRun run(bench.store_path);
    for (const auto& key : bench.keys) sum += touch(bench.raw.get(key));
    run.report(state, bench.keys.size(), bench.source.vector_bytes());
    benchmark::DoNotOptimize(sum);
  }
}

void add_benchmarks(const Setup& setup, std::unique_ptr<Bench>& bench) {
  const VectorSource source(kDim);
  const auto rows = std::max<std::uint64_t>(setup.rows / 4, 1'000);
  const auto path = setup.work_directory / "store";
  build_store(path, source, rows);
  const auto order = shuffled_rows(rows, 3);
  const auto gets = std::min<std::size_t>(rows, static_cast<std::size_t>(setup.pick(4'000, 100)));
  bench.reset(new Bench{.source = source,
                        .store_path = path,
                        .raw = RawStore(setup.work_directory / "raw", rows, source),
                        .keys = keys_of(std::span(order).first(gets))});
  const auto add = [&](const char* name, auto function) {
    benchmark::RegisterBenchmark(name, [=, &bench](benchmark::State& state) { function(state, *bench); })
        ->UseManualTime()
        ->Iterations(1)
        ->Unit(benchmark::kMicrosecond);
  };
  add("cold_get_1024d/engine", cold_engine);
  add("cold_get_1024d/raw", cold_raw);
}

}  // namespace
}  // namespace vectolith::bench

int main(int argc, char** argv) {
  return vectolith::bench::run_benchmarks(argc, argv, vectolith::bench::add_benchmarks);
}
