/// @file
/// Bulk load to durable, against fallocate, pwrite and one fdatasync; and what it leaves on the disk.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <string>
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

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Loads in a store that exists and has its family, so that only the load is measured.
void load_engine(benchmark::State& state, const Setup& setup, const VectorSource& source) {
  const auto path = setup.work_directory / "store";
  const auto payload = static_cast<double>(setup.rows * source.vector_bytes());
  for (auto _ : state) {
    auto store = open_store(path);
    auto family = open_family(*store, setup.dim);
    const auto before = store->stats();
    const auto device_before = device_bytes(path);

    const auto start = std::chrono::steady_clock::now();
    load_rows(family, source, 0, setup.rows);
    must(store->sync(), "sync");
    state.SetIterationTime(seconds_since(start));

    const auto device_after = device_bytes(path);
    const auto after = store->stats();
    must_be(family.size() == setup.rows, "every row is in the index");
    must(store->close(), "close");
    const auto blocks = store_blocks(path);
    state.counters["write_amplification"] =
        static_cast<double>(after.bytes_written - before.bytes_written) / payload;
    state.counters["disk_per_payload"] = static_cast<double>(blocks.store_bytes) / payload;
    state.counters["pool_bytes"] = static_cast<double>(blocks.pool_bytes);
    if (device_before && device_after) {
      state.counters["device_write_amplification"] =
          static_cast<double>(device_after->written - device_before->written) / payload;
    }
    std::filesystem::remove_all(path);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(setup.rows));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(setup.rows * source.vector_bytes()));
}

/// The same batches, appended to one fallocated file.
void load_raw(benchmark::State& state, const Setup& setup, const VectorSource& source) {
  const auto path = setup.work_directory / "raw";
  const std::size_t bytes = source.vector_bytes();
  std::vector<std::byte> chunk(kBatchRows * bytes);
  for (auto _ : state) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    must_be(fd >= 0 && ::posix_fallocate(fd, 0, static_cast<off_t>(setup.rows * bytes)) == 0,
            "the raw file is allocated");
    must_be(::fsync(fd) == 0, "the raw file is synced");

    const auto start = std::chrono::steady_clock::now();
    for (std::uint64_t row = 0; row < setup.rows; row += kBatchRows) {
      const auto count = std::min<std::uint64_t>(kBatchRows, setup.rows - row);
      for (std::uint64_t i = 0; i < count; ++i)
        source.fill(row + i, std::span(chunk).subspan(i * bytes, bytes));
      const auto wanted = static_cast<ssize_t>(count * bytes);
      must_be(::pwrite(fd, chunk.data(), count * bytes, static_cast<off_t>(row * bytes)) == wanted,
              "the write is whole");
    }
    must_be(::fdatasync(fd) == 0, "the raw file is synced");
    state.SetIterationTime(seconds_since(start));

    ::close(fd);
    std::filesystem::remove(path);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(setup.rows));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(setup.rows * bytes));
}

void add_benchmarks(const Setup& setup) {
  const auto source = std::make_shared<VectorSource>(setup.dim);
  const auto add = [&](const char* name, auto function) {
    benchmark::RegisterBenchmark(name, [=](benchmark::State& state) { function(state, setup, *source); })
        ->UseManualTime()
        ->Iterations(1)
        ->Unit(benchmark::kMillisecond);
  };
  add("bulk_load/engine", load_engine);
  add("bulk_load/raw", load_raw);
}

}  // namespace
}  // namespace vectolith::bench

int main(int argc, char** argv) {
  return vectolith::bench::run_benchmarks(argc, argv, vectolith::bench::add_benchmarks);
}
