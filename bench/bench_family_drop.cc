/// @file
/// Dropping a family of 10 k and of 100 k rows, against unlinking as many bytes in plain files.
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

#include "support/bench_data.h"
#include "support/bench_setup.h"
#include "support/bench_store.h"

namespace vectolith::bench {
namespace {

constexpr std::uint64_t kFileBytes = 64ULL << 20;  // The default size of a segment.

struct Bench {
  VectorSource source;
  std::uint32_t dim;
  std::unique_ptr<Store> store;
  std::filesystem::path directory;
};

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void drop_engine(benchmark::State& state, const Bench& bench) {
  const auto rows = static_cast<std::uint64_t>(state.range(0));
  for (auto _ : state) {
    {
      auto family = open_family(*bench.store, bench.dim, "dropped");
      load_rows(family, bench.source, 0, rows);
      must(bench.store->sync(), "sync");
    }
    const auto start = std::chrono::steady_clock::now();
    must(bench.store->drop_family("dropped"), "drop_family");
    state.SetIterationTime(seconds_since(start));
    must_be(!bench.store->family("dropped").has_value(), "a dropped family is gone");
  }
}

void write_plain_file(const std::filesystem::path& path, std::uint64_t bytes) {
  const std::vector<std::byte> chunk(std::size_t{1} << 20, std::byte{1});
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) die(path.string(), std::strerror(errno));
  for (std::uint64_t written = 0; written < bytes; written += chunk.size()) {
    must_be(::write(fd, chunk.data(), chunk.size()) == static_cast<ssize_t>(chunk.size()),
            "the write is whole");
  }
  must_be(::fsync(fd) == 0, "the file is synced");
  ::close(fd);
}

void drop_raw(benchmark::State& state, const Bench& bench) {
  const auto bytes = static_cast<std::uint64_t>(state.range(0)) * bench.source.vector_bytes();
  for (auto _ : state) {
    std::vector<std::filesystem::path> files;
    for (std::uint64_t left = bytes; left > 0; left -= std::min(left, kFileBytes)) {
      files.push_back(bench.directory / ("plain-" + std::to_string(files.size())));
      write_plain_file(files.back(), std::min(left, kFileBytes));
    }
    const auto start = std::chrono::steady_clock::now();
    for (const auto& file : files) ::unlink(file.c_str());
    const int fd = ::open(bench.directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must_be(fd >= 0 && ::fsync(fd) == 0, "the directory is synced");
    state.SetIterationTime(seconds_since(start));
    ::close(fd);
  }
}

void add_benchmarks(const Setup& setup, std::unique_ptr<Bench>& bench) {
  const auto path = setup.work_directory / "store";
  bench = std::make_unique<Bench>(
      Bench{VectorSource(setup.dim), setup.dim, open_store(path), setup.work_directory});
  const auto add = [&](const char* name, auto function) {
    benchmark::RegisterBenchmark(name, [=, &bench](benchmark::State& state) { function(state, *bench); })
        ->Arg(setup.pick(10'000, 100))
        ->Arg(setup.pick(100'000, 1'000))
        ->UseManualTime()
        ->Iterations(3)
        ->Unit(benchmark::kMillisecond);
  };
  add("family_drop/engine", drop_engine);
  add("family_drop/raw", drop_raw);
}

}  // namespace
}  // namespace vectolith::bench

int main(int argc, char** argv) {
  return vectolith::bench::run_benchmarks(argc, argv, vectolith::bench::add_benchmarks);
}
