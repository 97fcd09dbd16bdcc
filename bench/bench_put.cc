/// @file
/// Single puts, buffered and durable, by 1 and by 8 threads, against one pwrite (and one fdatasync) each.
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <functional>
#include <latch>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <unistd.h>

#include "support/bench_data.h"
#include "support/bench_setup.h"
#include "support/bench_store.h"
#include "support/machine_counters.h"

namespace vectolith::bench {
namespace {

/// Rows of the raw file: it is written round and round, always into blocks written before.
constexpr std::uint64_t kRawRows = 65'536;
constexpr int kThreads = 8;

/// One preallocated, already written region.
class RawLog {
 public:
  RawLog(const std::filesystem::path& path, std::uint64_t rows, const VectorSource& source)
      : rows_(rows),
        bytes_(source.vector_bytes()),
        fd_(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) {
    if (fd_ < 0) die(path.string(), std::strerror(errno));
    const std::vector<std::byte> zeros(std::size_t{1} << 20);
    for (std::uint64_t written = 0; written < rows_ * bytes_; written += zeros.size()) {
      must_be(::pwrite(fd_, zeros.data(), zeros.size(), static_cast<off_t>(written)) ==
                  static_cast<ssize_t>(zeros.size()),
              "the raw log is written in full");
    }
    must_be(::fsync(fd_) == 0, "the raw log is synced");
  }
  ~RawLog() { ::close(fd_); }
  RawLog(const RawLog&) = delete;
  RawLog& operator=(const RawLog&) = delete;

  bool append(std::span<const std::byte> vector, bool durable) noexcept {
    const std::uint64_t row = next_.fetch_add(1, std::memory_order_relaxed) % rows_;
    if (::pwrite(fd_, vector.data(), bytes_, static_cast<off_t>(row * bytes_)) !=
        static_cast<ssize_t>(bytes_))
      return false;
    return !durable || ::fdatasync(fd_) == 0;
  }

 private:
  std::uint64_t rows_;
  std::size_t bytes_;
  int fd_;
  std::atomic<std::uint64_t> next_{0};
};

struct Bench {
  VectorSource source;
  std::unique_ptr<Store> store;
  Family family;
  RawLog raw;
  std::filesystem::path directory;
  std::atomic<std::uint64_t> next_key{0};
};

/// What was written in all, before and after a run.
class Written {
 public:
  explicit Written(const Bench& bench)
      : bench_(bench), before_(bench.store->stats()), device_(device_bytes(bench.directory)) {}
  void report(benchmark::State& state) const {
    const auto now = bench_.store->stats();
    const auto vectors = static_cast<double>(now.vector_bytes_written - before_.vector_bytes_written);
    const auto commits = static_cast<double>(now.commits - before_.commits);
    if (vectors <= 0 || commits <= 0) return;
    state.counters["write_amplification"] =
        static_cast<double>(now.bytes_written - before_.bytes_written) / vectors;
    state.counters["rows_per_commit"] = static_cast<double>(now.commit_rows - before_.commit_rows) / commits;
    const auto device = device_bytes(bench_.directory);
    if (device_ && device) {
      state.counters["device_write_amplification"] =
          static_cast<double>(device->written - device_->written) / vectors;
    }
  }

 private:
  const Bench& bench_;
  StoreStats before_;
  std::optional<DeviceBytes> device_;
};

/// Seconds for `puts` calls of `put` by `threads` threads together, from the common start to the last end.
/// Google Benchmark's own threads report the mean of their times, which flatters threads that take turns.
double run_threads(int threads, std::int64_t puts, const std::function<bool(std::span<std::byte>)>& put,
                   std::size_t vector_bytes) {
  std::latch start(threads + 1);
  std::atomic<bool> failed{false};
  std::vector<std::jthread> writers;
  for (int thread = 0; thread < threads; ++thread) {
    writers.emplace_back([&] {
      std::vector<std::byte> vector(vector_bytes);
      start.arrive_and_wait();
      for (std::int64_t i = 0; i < puts / threads; ++i) {
        if (!put(vector)) failed = true;
      }
    });
  }
  // Taken before the start: a main thread that wakes up late must not shorten the time.
  const auto begin = std::chrono::steady_clock::now();
  start.arrive_and_wait();
  writers.clear();
  must_be(!failed, "every put succeeds");
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// One iteration is all puts; the time reported is that of one put.
void measure(benchmark::State& state, std::int64_t puts, std::size_t vector_bytes,
             const std::function<bool(std::span<std::byte>)>& put) {
  const auto threads = static_cast<int>(state.range(0));
  const std::int64_t whole = puts / threads * threads;
  for (auto _ : state) {
    const double seconds = run_threads(threads, whole, put, vector_bytes);
    state.SetIterationTime(seconds / static_cast<double>(whole));
  }
}

void put_engine(benchmark::State& state, Bench& bench, Durability durability, std::int64_t puts) {
  const Written written(bench);
  measure(state, puts, bench.source.vector_bytes(), [&](std::span<std::byte> vector) {
    const auto number = bench.next_key.fetch_add(1, std::memory_order_relaxed);
    bench.source.fill(number, vector);
    return bench.family.put(key_of(number), std::span<const std::byte>(vector), {.durability = durability})
        .has_value();
  });
  written.report(state);
}

void put_raw(benchmark::State& state, Bench& bench, Durability durability, std::int64_t puts) {
  measure(state, puts, bench.source.vector_bytes(), [&](std::span<std::byte> vector) {
    bench.source.fill(bench.next_key.fetch_add(1, std::memory_order_relaxed), vector);
    return bench.raw.append(vector, durability == Durability::kDurable);
  });
}

using Function = void (*)(benchmark::State&, Bench&, Durability, std::int64_t);

void add(const std::string& name, Function function, Bench& bench, Durability durability, std::int64_t puts) {
  benchmark::RegisterBenchmark(
      name.c_str(), [=, &bench](benchmark::State& state) { function(state, bench, durability, puts); })
      ->ArgName("writers")
      ->Arg(1)
      ->Arg(kThreads)
      ->Iterations(1)
      ->UseManualTime()
      ->Unit(benchmark::kMicrosecond);
}

/// Fills the first, small segments, so that the pool stands before anything is measured.
void warm_up(Bench& bench, std::uint64_t rows) {
  load_rows(bench.family, bench.source, 0, rows);
  bench.next_key = rows;
  must(bench.store->sync(), "sync");
}

void add_benchmarks(const Setup& setup, std::unique_ptr<Bench>& bench) {
  const VectorSource source(setup.dim);
  auto store = open_store(setup.work_directory / "store");
  auto family = open_family(*store, setup.dim);
  const auto raw_rows = static_cast<std::uint64_t>(setup.pick(kRawRows, 512));
  bench.reset(new Bench{.source = source,
                        .store = std::move(store),
                        .family = std::move(family),
                        .raw = RawLog(setup.work_directory / "raw", raw_rows, source),
                        .directory = setup.work_directory});
  warm_up(*bench, static_cast<std::uint64_t>(setup.pick(65'536, 512)));
  const auto buffered = setup.pick(40'000, 400);
  const auto durable = setup.pick(8'000, 80);
  add("put/buffered/engine", put_engine, *bench, Durability::kBuffered, buffered);
  add("put/buffered/raw", put_raw, *bench, Durability::kBuffered, buffered);
  add("put/durable/engine", put_engine, *bench, Durability::kDurable, durable);
  add("put/durable/raw", put_raw, *bench, Durability::kDurable, durable);
}

}  // namespace
}  // namespace vectolith::bench

int main(int argc, char** argv) {
  return vectolith::bench::run_benchmarks(argc, argv, vectolith::bench::add_benchmarks);
}
