/// @file
/// One process on a simulated disk: files, queues, mappings, workers, clock and randomness from one seed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "io/environment.h"
#include "io/io_counter_cells.h"
#include "support/sim/sim_disk.h"

namespace vectolith::testing::sim {

/// What a process asks of the system, as one call that may fail.
enum class CallKind : std::uint8_t {
  kOpen,
  kList,
  kRead,
  kWrite,
  kDataSync,
  kPreallocate,
  kPunch,
  kRename,
  kUnlink,
  kDirectorySync,
  kMap,
  kPopulate,
  kLock,
  kMakeQueue,
  kSubmit,
  kAllocatePages,
};

struct Call {
  std::uint64_t number = 0;  ///< Counts the calls of a process from 0.
  CallKind kind{};
  std::string name;  ///< Of the file or directory.
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

/// What becomes of a call.
struct Outcome {
  int error = 0;        ///< 0, or the errno it fails with.
  bool dies = false;    ///< The process dies in it: a part of a write lands, nothing after it does.
  bool is_cut = false;  ///< A read or write moves only `moved` bytes.
  std::uint64_t moved = 0;
};

/// The process. It dies once, and then every call fails; the next process is a new SimEnvironment on the
/// same disk. Queues run their operations in random order and only as `linked` demands, in pieces that the
/// page cache shows at once; workers run when `run_worker` is called. Threads: one.
class SimEnvironment final : public engine::Environment {
 public:
  SimEnvironment(SimDisk& disk, std::uint64_t seed, std::uint64_t start_ns = 0);
  ~SimEnvironment() override;

  /// Decides on every later call; empty: all succeed.
  std::function<Outcome(const Call&)> decide;
  /// Called while operations of a queue are under way, as another thread would run then. It may read.
  std::function<void()> meanwhile;

  [[nodiscard]] std::uint64_t calls() const noexcept { return calls_; }
  [[nodiscard]] bool is_dead() const noexcept { return is_dead_; }
  /// As kill -9: writes that the device has may land later, all else is gone but what the cache shows.
  void die();
  /// Runs one step of a worker chosen at random; false if there is none.
  bool run_worker();
  /// Runs one step of the worker of this name; false if there is none.
  bool run_worker(std::string_view name);
  /// XXH3 over all calls and their outcomes so far: equal for equal runs.
  [[nodiscard]] std::uint64_t trace_hash() const noexcept { return trace_; }

  // For the parts of this environment.
  Outcome call(CallKind kind, const std::string& name, std::uint64_t offset = 0, std::uint64_t bytes = 0);
  [[nodiscard]] SimDisk& disk() noexcept { return disk_; }
  [[nodiscard]] Random& random() noexcept { return random_; }
  [[nodiscard]] engine::IoCounterCells& cells() noexcept { return cells_; }
  class Queue;
  class QueuedWorker;

  Result<std::unique_ptr<engine::Directory>> open_directory(const std::string& path, bool create) override;
  Result<std::unique_ptr<engine::IoQueue>> make_queue(std::uint32_t depth) override;
  [[nodiscard]] std::string_view backend() const noexcept override { return "sim"; }
  [[nodiscard]] std::string_view fallback_reason() const noexcept override { return {}; }
  [[nodiscard]] engine::IoCounters counters() const noexcept override { return {}; }
  [[nodiscard]] std::uint64_t wall_clock_ms() const noexcept override {
    return now_ns_ / 1'000'000 + 1'700'000'000'000;
  }
  [[nodiscard]] std::uint64_t steady_ns() const noexcept override { return now_ns_; }
  void fill_random(std::span<std::byte> bytes) override;
  [[nodiscard]] std::uint32_t cores() const noexcept override { return 1; }
  std::unique_ptr<engine::Worker> start_worker(std::string_view name,
                                               std::function<std::chrono::nanoseconds()> step) override;
  void run_parallel(std::size_t count, const std::function<void(std::size_t)>& task) override;
  Result<std::unique_ptr<engine::Pages>> allocate_pages(std::size_t bytes) override;
  bool barrier_all_threads() noexcept override { return true; }
  Result<std::unique_ptr<engine::Listener>> listen(engine::Directory& directory,
                                                   std::string_view name) override;
  Result<std::unique_ptr<engine::Connection>> connect(engine::Directory& directory,
                                                      std::string_view name) override;

 private:
  void pass(std::uint64_t ns);

  SimDisk& disk_;
  Random random_;
  engine::IoCounterCells cells_;
  std::uint64_t now_ns_;
  std::uint64_t calls_ = 0;
  std::uint64_t trace_ = 0;
  bool is_dead_ = false;
  std::vector<Queue*> queues_;
  std::vector<QueuedWorker*> workers_;
};

}  // namespace vectolith::testing::sim
