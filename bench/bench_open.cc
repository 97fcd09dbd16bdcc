/// @file
/// Reopen to the first get, after a clean close and after kill -9; and the memory an open store takes.
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <unistd.h>

#include <vectolith/format/segment.h>

#include "support/bench_data.h"
#include "support/bench_setup.h"
#include "support/bench_store.h"
#include "support/machine_counters.h"
#include "support/raw_table.h"

namespace vectolith::bench {
namespace {

/// Rows the process writes before it is killed: an unfinished tail for recovery to look at.
constexpr std::uint64_t kTailRows = 1'000;

struct Bench {
  VectorSource source;
  std::uint32_t dim;
  std::uint64_t rows;
  std::filesystem::path store_path;
  std::filesystem::path meta_path;
};

/// Seconds from nothing to the answer of the first get; the close comes after.
double open_and_get(const Bench& bench) {
  const auto start = std::chrono::steady_clock::now();
  auto store = open_store(bench.store_path);
  auto family = must(store->family(kFamilyName), "family");
  const auto vector = must(family.get(key_of(bench.rows / 2)), "get");
  const auto end = std::chrono::steady_clock::now();
  must_be(vector.has_value() && family.size() >= bench.rows, "every row is there");
  must(store->close(), "close");
  return std::chrono::duration<double>(end - start).count();
}

/// Replaces rows, so that the number of rows stays as it is however often this runs.
void write_tail(const Bench& bench) {
  auto store = open_store(bench.store_path);
  auto family = must(store->family(kFamilyName), "family");
  std::vector<std::byte> vector(bench.source.vector_bytes());
  for (std::uint64_t row = 0; row < std::min(kTailRows, bench.rows); ++row) {
    bench.source.fill(row, vector);
    const WriteOptions replace{.durability = Durability::kBuffered, .replace = true};
    must(family.put(key_of(row), std::span<const std::byte>(vector), replace), "put");
  }
  // The parent kills this process while the store is open.
  (void)store.release();
}

void reopen_clean(benchmark::State& state, const Bench& bench) {
  for (auto _ : state) state.SetIterationTime(open_and_get(bench));
}

void reopen_killed(benchmark::State& state, const Bench& bench) {
  for (auto _ : state) {
    in_killed_child([&] { write_tail(bench); });
    state.SetIterationTime(open_and_get(bench));
  }
}

/// The least an open can do: read as many meta bytes and put the hashes into a table.
void reopen_raw(benchmark::State& state, const Bench& bench) {
  std::vector<format::MetaRow> chunk((std::size_t{1} << 20) / sizeof(format::MetaRow));
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    const int fd = ::open(bench.meta_path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) die(bench.meta_path.string(), std::strerror(errno));
    RawTable table(bench.rows);
    std::uint32_t row = 0;
    for (ssize_t read = 0; (read = ::read(fd, chunk.data(), chunk.size() * sizeof(format::MetaRow))) > 0;) {
      const auto count = static_cast<std::size_t>(read) / sizeof(format::MetaRow);
      for (std::size_t i = 0; i < count; ++i) table.insert(raw_hash(chunk[i].key), row++);
    }
    benchmark::DoNotOptimize(table.find(raw_hash(key_of(bench.rows / 2))));
    state.SetIterationTime(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    must_be(row == bench.rows, "the raw metas are read in full");
    ::close(fd);
  }
}

void write_raw_metas(const Bench& bench) {
  std::vector<format::MetaRow> metas(bench.rows);
  for (std::uint64_t row = 0; row < bench.rows; ++row) metas[row].key = key_of(row);
  const int fd = ::open(bench.meta_path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  const auto bytes = metas.size() * sizeof(format::MetaRow);
  must_be(fd >= 0 && ::write(fd, metas.data(), bytes) == static_cast<ssize_t>(bytes),
          "the raw metas are written");
  ::close(fd);
}

/// Anonymous memory of an open store, in a process that did nothing before; and the index by itself.
void add_memory(benchmark::State& state, const Bench& bench) {
  const auto numbers = in_child([&] {
    const auto before = rss_anon_bytes();
    auto store = open_store(bench.store_path);
    const auto family = must(store->family(kFamilyName), "family");
    const auto after = rss_anon_bytes();
    double index = 0;
    for (const auto& stats : store->stats().families) index += static_cast<double>(stats.index_bytes);
    const auto rows = static_cast<double>(family.size());
    must(store->close(), "close");
    return std::vector{static_cast<double>(after - before) / rows, index / rows};
  });
  must_be(numbers.size() == 2, "the child tells two numbers");
  state.counters["rss_anon_per_row"] = numbers[0];
  state.counters["index_bytes_per_row"] = numbers[1];
}

void add(const std::string& name, void (*function)(benchmark::State&, const Bench&),
         std::shared_ptr<const Bench> bench) {
  const bool with_memory = name == "reopen/clean/engine";
  benchmark::RegisterBenchmark(name.c_str(),
                               [=](benchmark::State& state) {
                                 if (with_memory) add_memory(state, *bench);
                                 function(state, *bench);
                               })
      ->UseManualTime()
      ->Iterations(3)
      ->Unit(benchmark::kMillisecond);
}

void add_benchmarks(const Setup& setup) {
  const VectorSource source(setup.dim);
  const auto bench = std::make_shared<Bench>(
      Bench{source, setup.dim, setup.rows, setup.work_directory / "store", setup.work_directory / "metas"});
  build_store(bench->store_path, source, setup.rows);
  write_raw_metas(*bench);
  // The raw row stands beside both figures.
  add("reopen/clean/engine", reopen_clean, bench);
  add("reopen/clean/raw", reopen_raw, bench);
  add("reopen/killed/engine", reopen_killed, bench);
  add("reopen/killed/raw", reopen_raw, bench);
}

}  // namespace
}  // namespace vectolith::bench

int main(int argc, char** argv) {
  return vectolith::bench::run_benchmarks(argc, argv, vectolith::bench::add_benchmarks);
}
