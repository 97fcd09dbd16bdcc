/// @file
/// One query against every row: the contiguous matrices of segments() against plain sequential reads.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <unistd.h>

#include "support/bench_data.h"
#include "support/bench_setup.h"
#include "support/bench_store.h"
#include "support/raw_table.h"
#include "support/vector_touch.h"

namespace vectolith::bench {
namespace {

constexpr std::size_t kReadBytes = std::size_t{1} << 20;

struct Bench {
  VectorSource source;
  std::uint32_t dim;
  RawFile raw;
  std::unique_ptr<Store> store;
  Family family;
  std::vector<float> query;
};

/// The best score; every row takes part in it.
float best_of(const std::byte* base, std::size_t rows, const Bench& bench, float best) {
  const auto* row = reinterpret_cast<const float*>(base);
  for (std::size_t i = 0; i < rows; ++i, row += bench.dim)
    best = std::max(best, dot(row, bench.query.data(), bench.dim));
  return best;
}

float scan_engine(const Bench& bench) {
  const auto segments = must(bench.family.segments(), "segments");
  float best = -1e30F;
  for (const auto& segment : segments) {
    if (segment.live_rows == segment.rows) {
      best = best_of(segment.base, segment.rows, bench, best);
      continue;
    }
    for (std::uint32_t row = 0; row < segment.rows; ++row) {
      if (segment.is_live(row)) best = best_of(segment.vector(row).data(), 1, bench, best);
    }
  }
  return best;
}

float scan_mapped(const Bench& bench) {
  return best_of(bench.raw.vector(0).data(), bench.raw.rows(), bench, -1e30F);
}

/// What one would write without a mapping: 1 MiB reads into one buffer.
float scan_read(const Bench& bench) {
  const std::size_t bytes = bench.source.vector_bytes();
  const std::size_t chunk = std::max<std::size_t>(1, kReadBytes / bytes) * bytes;
  std::vector<std::byte> buffer(chunk);
  float best = -1e30F;
  for (std::size_t at = 0; at < bench.raw.bytes();) {
    const auto read = ::pread(bench.raw.descriptor(), buffer.data(), chunk, static_cast<off_t>(at));
    must_be(read > 0 && static_cast<std::size_t>(read) % bytes == 0, "a read returns whole rows");
    best = best_of(buffer.data(), static_cast<std::size_t>(read) / bytes, bench, best);
    at += static_cast<std::size_t>(read);
  }
  return best;
}

void add(const std::string& name, float (*scan)(const Bench&), const Bench& bench) {
  benchmark::RegisterBenchmark(
      name.c_str(),
      [scan, &bench](benchmark::State& state) {
        for (auto _ : state) benchmark::DoNotOptimize(scan(bench));
        state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(bench.raw.rows()));
        state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bench.raw.bytes()));
      })
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
}

void add_benchmarks(const Setup& setup, std::unique_ptr<Bench>& bench) {
  must_be(setup.dim % 32 == 0, "the dim is a multiple of 32");
  const VectorSource source(setup.dim);
  const auto path = setup.work_directory / "store";
  build_store(path, source, setup.rows);
  auto store = open_store(path);
  auto family = open_family(*store, setup.dim);
  std::vector<float> query(setup.dim);
  source.fill(setup.rows, std::as_writable_bytes(std::span(query)));
  bench.reset(new Bench{.source = source,
                        .dim = setup.dim,
                        .raw = RawFile(setup.work_directory / "raw", setup.rows, source),
                        .store = std::move(store),
                        .family = std::move(family),
                        .query = std::move(query)});
  // The three ways see the same rows, so they find the same best one.
  const float best = scan_mapped(*bench);
  must_be(scan_engine(*bench) == best && scan_read(*bench) == best, "all scans agree");
  benchmark::AddCustomContext("result_hash", std::to_string(best));

  add("scan/engine", scan_engine, *bench);
  add("scan/raw", scan_read, *bench);
  add("scan/raw_mapped", scan_mapped, *bench);
}

}  // namespace
}  // namespace vectolith::bench

int main(int argc, char** argv) {
  return vectolith::bench::run_benchmarks(argc, argv, vectolith::bench::add_benchmarks);
}
