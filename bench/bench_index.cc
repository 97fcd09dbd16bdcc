/// @file
/// Measures the index: inserts, lookups, scopes, the longest stall of a writer, and bytes of RAM a row.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>
#include <linux/membarrier.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "index/index.h"
#include "support/bench_data.h"
#include "support/bench_setup.h"
#include "support/machine_counters.h"

namespace {

using namespace vectolith::engine;
using vectolith::bench::rss_anon_bytes;
using vectolith::bench::splitmix64;

constexpr std::uint32_t kShards = 8;

bool barrier_all_threads() {
  static const bool registered =
      syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
  return registered && syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
}

/// Anonymous pages straight from the kernel, as the engine's environment gives them.
class MappedPages final : public PageSource {
 public:
  explicit MappedPages(bool watch = false) : watch_(watch) {}
  void* allocate(std::size_t bytes) noexcept override {
    void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? nullptr : memory;
  }
  void release(void* memory, std::size_t bytes) noexcept override {
    // Just before memory goes there is most of it.
    if (watch_) peak_ = std::max(peak_, rss_anon_bytes());
    munmap(memory, bytes);
  }
  [[nodiscard]] std::uint64_t peak() const noexcept { return peak_; }

 private:
  bool watch_;
  std::uint64_t peak_ = 0;
};

constexpr Location location_for(std::uint64_t key) noexcept {
  return {.ordinal = static_cast<std::uint32_t>(key >> 20), .row = static_cast<std::uint32_t>(key & kRowMax)};
}

struct Row {
  std::uint64_t hash;
  Location location;
};

/// An index of keys 0 to rows - 1, kept between runs of the same size.
struct Filled {
  explicit Filled(std::uint64_t row_count, std::uint64_t expected)
      : rows(row_count),
        index(Index::create({.shards = kShards, .expected_rows = expected}, epochs, pages).value()) {}

  void fill() {
    constexpr std::uint64_t kAhead = 16;  // As recovery does.
    Index::Rebuild rebuild(*index, 0, 1);
    for (std::uint64_t key = 0; key < rows; ++key) {
      if (key % kAhead == 0) {
        for (std::uint64_t i = key; i < std::min(rows, key + kAhead); ++i) index->prefetch(splitmix64(i));
      }
      if (!rebuild.insert(splitmix64(key), location_for(key))) std::abort();
    }
  }

  std::uint64_t rows;
  MappedPages pages;
  EpochDomain epochs{barrier_all_threads};
  std::unique_ptr<Index> index;
};

Filled& filled(std::uint64_t rows) {
  static std::unique_ptr<Filled> kept;
  if (kept == nullptr || kept->rows != rows) {
    kept.reset();
    kept = std::make_unique<Filled>(rows, rows);
    kept->fill();
  }
  return *kept;
}

void insert_growing(benchmark::State& state) {
  const auto rows = static_cast<std::uint64_t>(state.range(0));
  for ([[maybe_unused]] auto run : state) {
    Filled fresh(rows, 0);
    for (std::uint64_t key = 0; key < rows; ++key) {
      if (!fresh.index->insert(splitmix64(key), location_for(key))) std::abort();
    }
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

/// This thread's time on a processor: what others take away from it is not the index's.
std::int64_t thread_ns() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

/// The longest that one insert held its shard: the growth or split of one table.
void longest_insert(benchmark::State& state) {
  const auto rows = static_cast<std::uint64_t>(state.range(0));
  std::vector<std::int64_t> longest(100);
  for ([[maybe_unused]] auto run : state) {
    Filled fresh(rows, 0);
    for (std::uint64_t key = 0; key < rows; ++key) {
      const std::int64_t start = thread_ns();
      if (!fresh.index->insert(splitmix64(key), location_for(key))) std::abort();
      const std::int64_t taken = thread_ns() - start;
      if (taken <= longest.front()) continue;
      std::ranges::pop_heap(longest, std::greater{});
      longest.back() = taken;
      std::ranges::push_heap(longest, std::greater{});
    }
  }
  std::ranges::sort(longest);
  state.counters["longest_us"] = static_cast<double>(longest.back()) / 1000;
  state.counters["hundredth_us"] = static_cast<double>(longest.front()) / 1000;
}

void rebuild(benchmark::State& state) {
  const auto rows = static_cast<std::uint64_t>(state.range(0));
  for ([[maybe_unused]] auto run : state) {
    Filled fresh(rows, rows);
    fresh.fill();
    state.PauseTiming();
    fresh.index.reset();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

/// Keys drawn at random: present ones, or as many that are not. Drawn before the clock starts.
class Draw {
 public:
  static constexpr std::size_t kGroup = 1024;

  Draw(std::uint64_t rows, bool present) : keys_(std::clamp<std::uint64_t>(rows, kGroup, 1 << 22)) {
    for (std::uint64_t draw = 0; draw < keys_.size(); ++draw) {
      const std::uint64_t key = splitmix64(~draw) % rows + (present ? 0 : rows);
      keys_[draw] = {splitmix64(key), location_for(key)};
    }
  }
  /// The next group of `kGroup` keys, round and round.
  std::span<const Row> next() noexcept {
    if (at_ + kGroup > keys_.size()) at_ = 0;
    at_ += kGroup;
    return std::span(keys_).subspan(at_ - kGroup, kGroup);
  }

 private:
  std::vector<Row> keys_;
  std::size_t at_ = 0;
};

void report_lookups(benchmark::State& state, std::uint64_t hits) {
  const auto lookups = static_cast<double>(state.iterations()) * Draw::kGroup;
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(Draw::kGroup));
  state.counters["hit_share"] = static_cast<double>(hits) / lookups;
}

/// Independent lookups one after the other. Many a scope: the price of a scope is measured apart.
void find_each(benchmark::State& state, bool present) {
  Filled& data = filled(static_cast<std::uint64_t>(state.range(0)));
  Draw draw(data.rows, present);
  std::uint64_t hits = 0;
  for ([[maybe_unused]] auto run : state) {
    const auto scope = data.epochs.enter();
    for (const auto& [hash, location] : draw.next()) {
      hits += data.index->find(hash, [&](Location at) { return at == location; }).has_value();
    }
  }
  report_lookups(state, hits);
}

/// Sixteen keys at a time, buckets prefetched, as multi_get does it.
void find_grouped(benchmark::State& state, bool present) {
  Filled& data = filled(static_cast<std::uint64_t>(state.range(0)));
  Draw draw(data.rows, present);
  std::uint64_t hits = 0;
  for ([[maybe_unused]] auto run : state) {
    const auto scope = data.epochs.enter();
    for (auto keys = draw.next(); !keys.empty(); keys = keys.subspan(16)) {
      for (const auto& [hash, location] : keys.first(16)) data.index->prefetch(hash);
      for (const auto& [hash, location] : keys.first(16)) {
        hits += data.index->find(hash, [&](Location at) { return at == location; }).has_value();
      }
    }
  }
  report_lookups(state, hits);
}

/// The same by find_candidates, which also overlaps the secondary buckets.
void find_candidates(benchmark::State& state, bool present) {
  Filled& data = filled(static_cast<std::uint64_t>(state.range(0)));
  Draw draw(data.rows, present);
  std::uint64_t hits = 0;
  std::array<std::uint64_t, 16> hashes;
  std::array<std::optional<Location>, 16> found;
  for ([[maybe_unused]] auto run : state) {
    const auto scope = data.epochs.enter();
    for (auto keys = draw.next(); !keys.empty(); keys = keys.subspan(16)) {
      for (std::size_t key = 0; key < 16; ++key) hashes[key] = keys[key].hash;
      data.index->find_candidates(hashes, found);
      for (std::size_t key = 0; key < 16; ++key) hits += found[key] == keys[key].location;
    }
  }
  report_lookups(state, hits);
}

void scope_enter(benchmark::State& state) {
  EpochDomain epochs(state.range(0) != 0 ? barrier_all_threads : nullptr);
  for ([[maybe_unused]] auto run : state) {
    const auto scope = epochs.enter();
    benchmark::DoNotOptimize(&scope);
  }
  state.counters["asymmetric"] = epochs.asymmetric() ? 1 : 0;
}

/// Bytes a row of an index that grew row by row, by its own count and by the kernel's, and the peak.
void bytes_per_row(benchmark::State& state) {
  const auto rows = static_cast<std::uint64_t>(state.range(0));
  filled(0);  // nothing else of ours is resident
  for ([[maybe_unused]] auto run : state) {
    const std::uint64_t before = rss_anon_bytes();
    MappedPages pages(true);
    EpochDomain epochs(barrier_all_threads);
    const auto index = Index::create({.shards = kShards}, epochs, pages).value();
    for (std::uint64_t key = 0; key < rows; ++key) {
      if (!index->insert(splitmix64(key), location_for(key))) std::abort();
    }
    const auto per_row = [rows](std::uint64_t bytes) {
      return static_cast<double>(bytes) / static_cast<double>(rows);
    };
    state.counters["counted_B"] = per_row(index->memory_bytes());
    state.counters["resident_B"] = per_row(rss_anon_bytes() - before);
    state.counters["peak_B"] = per_row(std::max(pages.peak(), rss_anon_bytes()) - before);
  }
}

using vectolith::bench::Setup;

/// Sizes of a real run; a thousandth of them in a smoke run.
void add_lookups(const char* name, void (*run)(benchmark::State&, bool), const Setup& setup) {
  for (const bool present : {true, false}) {
    auto* const bench =
        benchmark::RegisterBenchmark((std::string(name) + (present ? "/hit" : "/miss")).c_str(),
                                     [run, present](benchmark::State& state) { run(state, present); });
    for (const std::int64_t rows : {20'000, 1'000'000, 10'000'000}) bench->Arg(setup.pick(rows, rows / 1000));
  }
}

void add_once(const char* name, void (*run)(benchmark::State&), const std::vector<std::int64_t>& sizes) {
  auto* const bench = benchmark::RegisterBenchmark(name, run);
  for (const std::int64_t rows : sizes) bench->Arg(rows);
  bench->Iterations(1)->Unit(benchmark::kMillisecond);
}

void add_benchmarks(const Setup& setup) {
  benchmark::RegisterBenchmark("scope_enter", scope_enter)->ArgName("barrier")->Arg(1)->Arg(0);
  const std::vector<std::int64_t> sizes{setup.pick(1'000'000, 1'000), setup.pick(10'000'000, 10'000)};
  add_once("insert_growing", insert_growing, sizes);
  add_once("rebuild", rebuild, sizes);
  add_once("longest_insert", longest_insert, {setup.pick(2'000'000, 2'000)});
  add_lookups("find_each", find_each, setup);
  add_lookups("find_grouped", find_grouped, setup);
  add_lookups("find_candidates", find_candidates, setup);
  std::vector<std::int64_t> twenty;
  for (std::int64_t step = 0; step < 20; ++step) {
    const std::int64_t rows = 1'000'000 + step * 9'000'000 / 19;
    twenty.push_back(setup.pick(rows, rows / 1000));
  }
  add_once("bytes_per_row", bytes_per_row, twenty);
}

}  // namespace

int main(int argc, char** argv) { return vectolith::bench::run_benchmarks(argc, argv, add_benchmarks); }
