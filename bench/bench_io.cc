/// @file
/// Commits and page cache writes by io_uring and by plain calls: the figures behind decision 0003.
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <liburing.h>
#include <unistd.h>

#include "io/environment.h"
#include "support/bench_setup.h"

namespace vectolith::bench {
namespace {

using engine::BackendChoice;
using engine::IoOperation;

constexpr std::size_t kRowBytes = 3072;
constexpr std::size_t kMetaBytes = 64;
constexpr std::uint64_t kMetaRegionBytes = 8ULL << 20;
constexpr int kChainLength = 64;

/// A file whose blocks were all written before, and where the next row goes.
class Target {
 public:
  explicit Target(const Setup& setup)
      : path_((setup.work_directory / "io").string()), bytes_(setup.smoke ? 16ULL << 20 : 256ULL << 20) {
    fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    must_be(fd_ >= 0, "the bench file opens");
    const std::vector<char> zeros(1 << 20);
    for (std::uint64_t at = 0; at < bytes_; at += zeros.size()) {
      must_be(::pwrite(fd_, zeros.data(), zeros.size(), static_cast<off_t>(at)) == 1 << 20,
              "the file is written");
    }
    must_be(::fsync(fd_) == 0, "the file is synced");
  }
  ~Target() { ::close(fd_); }
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;

  [[nodiscard]] int fd() const { return fd_; }
  std::uint64_t next_row() {
    ++row_;
    return kMetaRegionBytes + row_ * kRowBytes % (bytes_ - kMetaRegionBytes - kRowBytes);
  }
  [[nodiscard]] std::uint64_t meta() const { return row_ * kMetaBytes % (kMetaRegionBytes - kMetaBytes); }

 private:
  std::string path_;
  std::uint64_t bytes_;
  std::uint64_t row_ = 0;
  int fd_ = -1;
};

/// The ring itself, without the engine's queue.
class Ring {
 public:
  Ring() { must_be(::io_uring_queue_init(2 * kChainLength, &ring_, 0) == 0, "io_uring is available"); }
  ~Ring() { ::io_uring_queue_exit(&ring_); }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  void write(int fd, const void* data, std::size_t bytes, std::uint64_t offset, bool linked) {
    io_uring_sqe* sqe = ::io_uring_get_sqe(&ring_);
    ::io_uring_prep_write(sqe, fd, data, static_cast<unsigned>(bytes), offset);
    if (linked) sqe->flags |= IOSQE_IO_LINK;
  }
  void data_sync(int fd) { ::io_uring_prep_fsync(::io_uring_get_sqe(&ring_), fd, IORING_FSYNC_DATASYNC); }
  void finish(unsigned count) {
    ::io_uring_submit_and_wait(&ring_, count);
    for (unsigned i = 0; i < count; ++i) {
      io_uring_cqe* completion = nullptr;
      must_be(::io_uring_wait_cqe(&ring_, &completion) == 0 && completion->res >= 0, "a request succeeds");
      ::io_uring_cqe_seen(&ring_, completion);
    }
  }

 private:
  io_uring ring_{};
};

struct Bench {
  explicit Bench(const Setup& setup) : target(setup) {}
  Target target;
  Ring ring;
  std::array<char, kRowBytes> row{};
  std::array<char, kMetaBytes> meta{};

  void plain_writes() {
    const auto row_at = static_cast<off_t>(target.next_row());
    must_be(::pwrite(target.fd(), row.data(), row.size(), row_at) == kRowBytes, "a row is written");
    const auto meta_at = static_cast<off_t>(target.meta());
    must_be(::pwrite(target.fd(), meta.data(), meta.size(), meta_at) == kMetaBytes, "a meta row is written");
  }
  void ring_writes(bool linked_to_next) {
    ring.write(target.fd(), row.data(), row.size(), target.next_row(), true);
    ring.write(target.fd(), meta.data(), meta.size(), target.meta(), linked_to_next);
  }
};

void commit_linked_on_ring(Bench& bench) {
  bench.ring_writes(true);
  bench.ring.data_sync(bench.target.fd());
  bench.ring.finish(3);
}

void commit_plain(Bench& bench) {
  bench.plain_writes();
  must_be(::fdatasync(bench.target.fd()) == 0, "fdatasync succeeds");
}

void commit_with_sync_on_ring(Bench& bench) {
  bench.plain_writes();
  bench.ring.data_sync(bench.target.fd());
  bench.ring.finish(1);
}

void write_linked_on_ring(Bench& bench) {
  bench.ring_writes(false);
  bench.ring.finish(2);
}

void write_plain(Bench& bench) { bench.plain_writes(); }

void chain_on_ring(Bench& bench) {
  for (int i = 1; i <= kChainLength; ++i) {
    bench.ring.write(bench.target.fd(), bench.row.data(), kRowBytes, bench.target.next_row(),
                     i < kChainLength);
  }
  bench.ring.finish(kChainLength);
}

void chain_plain(Bench& bench) {
  for (int i = 0; i < kChainLength; ++i) {
    const auto at = static_cast<off_t>(bench.target.next_row());
    must_be(::pwrite(bench.target.fd(), bench.row.data(), kRowBytes, at) == kRowBytes, "a row is written");
  }
}

void add(const char* name, void (*body)(Bench&), Bench& bench) {
  const auto run = [body, &bench](benchmark::State& state) {
    for (auto _ : state) body(bench);
    ::fsync(bench.target.fd());
  };
  benchmark::RegisterBenchmark(name, run)->UseRealTime()->MeasureProcessCPUTime()->Unit(
      benchmark::kMicrosecond);
}

/// The same commit through the engine's own queue.
void add_engine_commit(const char* name, BackendChoice choice, const Setup& setup, Bench& bench) {
  const auto run = [choice, &setup, &bench](benchmark::State& state) {
    auto environment = engine::make_environment(choice);
    if (!environment.has_value()) return state.SkipWithError(environment.error().to_string().c_str());
    const auto directory = must((*environment)->open_directory(setup.work_directory.string(), false), "open");
    const auto file = must(directory->open("io", engine::OpenMode::kReadWrite), "open");
    const auto queue = must((*environment)->make_queue(64), "make_queue");
    using Kind = IoOperation::Kind;
    for (auto _ : state) {
      IoOperation::Buffer row{.data = bench.row.data(), .bytes = kRowBytes};
      IoOperation::Buffer meta{.data = bench.meta.data(), .bytes = kMetaBytes};
      const std::uint64_t row_at = bench.target.next_row();
      std::array<IoOperation, 3> group{};
      group[0] = {
          .kind = Kind::kWrite, .file = file.get(), .offset = row_at, .buffers = {&row, 1}, .linked = true};
      group[1] = {
          .kind = Kind::kWrite, .file = file.get(), .offset = bench.target.meta(), .buffers = {&meta, 1}};
      group[1].linked = true;
      group[2] = {.file = file.get()};
      must(queue->submit(group), "submit");
      must(queue->wait(group[2]), "wait");
      must_be(group[2].error == 0, "the commit succeeds");
    }
  };
  benchmark::RegisterBenchmark(name, run)->UseRealTime()->MeasureProcessCPUTime()->Unit(
      benchmark::kMicrosecond);
}

}  // namespace
}  // namespace vectolith::bench

int main(int argc, char** argv) {
  using namespace vectolith::bench;
  std::unique_ptr<Bench> bench;
  return run_benchmarks(argc, argv, [&](const Setup& setup) {
    bench = std::make_unique<Bench>(setup);
    add("commit/linked_on_ring", commit_linked_on_ring, *bench);
    add("commit/plain", commit_plain, *bench);
    add("commit/writes_plain_sync_on_ring", commit_with_sync_on_ring, *bench);
    add_engine_commit("commit/engine_uring", BackendChoice::kUring, setup, *bench);
    add_engine_commit("commit/engine_sync", BackendChoice::kSync, setup, *bench);
    add("write/linked_on_ring", write_linked_on_ring, *bench);
    add("write/plain", write_plain, *bench);
    add("chain_of_64/on_ring", chain_on_ring, *bench);
    add("chain_of_64/plain", chain_plain, *bench);
  });
}
