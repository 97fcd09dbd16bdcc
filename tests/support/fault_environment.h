/// @file
/// An environment that numbers every change of the disk, and can fail, tear or stop at any of them.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "io/environment.h"

namespace vectolith::testing {

/// A change of the disk that is about to happen.
struct DiskChange {
  enum class Kind : std::uint8_t {
    kCreate,
    kWrite,
    kDataSync,
    kPreallocate,
    kPunch,
    kRename,
    kUnlink,
    kDirectorySync
  };
  std::uint64_t number = 0;  ///< Counts all changes of an environment from 0.
  Kind kind{};
  std::string path;  ///< Of the file, or of the directory for kDirectorySync.
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

/// What becomes of a change.
struct Verdict {
  int error = 0;  ///< 0, or the errno that the change fails with.
  /// How much of a failing write lands all the same; 0 for none.
  std::uint64_t bytes_landed = 0;
};

/// Decorates an environment; files, directories and queues made from it obey `decide`.
///
/// Writes not followed by a data_sync of their file are remembered, so that `power_cut` can take back a
/// random part of them. Names and sizes are durable at once. Queues run their operations inside submit.
/// Threads: any.
class FaultEnvironment : public engine::Environment {
 public:
  explicit FaultEnvironment(std::shared_ptr<engine::Environment> inner);
  ~FaultEnvironment() override;

  /// Decides on every later change; empty: all go through.
  void decide(std::function<Verdict(const DiskChange&)> decide);
  /// Fails change `number` (counted from 0 over the environment's life) once.
  void fail_at(std::uint64_t number, int error, std::uint64_t bytes_landed = 0);
  /// As if the process died in change `number`: a write lands up to `bytes_landed`, nothing after it does.
  void die_at(std::uint64_t number, std::uint64_t bytes_landed = 0);
  /// Changes seen so far, failed ones included.
  [[nodiscard]] std::uint64_t changes() const;
  /// The changes seen so far, in order.
  [[nodiscard]] std::vector<DiskChange> history() const;
  /// Takes back a random choice of 512-byte sectors written since the last data_sync of their file.
  void power_cut(std::uint64_t seed);

  Result<std::unique_ptr<engine::Directory>> open_directory(const std::string& path, bool create) override;
  Result<std::unique_ptr<engine::IoQueue>> make_queue(std::uint32_t depth) override;
  [[nodiscard]] std::string_view backend() const noexcept override { return inner_->backend(); }
  [[nodiscard]] std::string_view fallback_reason() const noexcept override {
    return inner_->fallback_reason();
  }
  [[nodiscard]] engine::IoCounters counters() const noexcept override { return inner_->counters(); }
  [[nodiscard]] const std::atomic<std::uint32_t>* process_mark() const noexcept override {
    return inner_->process_mark();
  }
  [[nodiscard]] std::uint64_t wall_clock_ms() const noexcept override { return inner_->wall_clock_ms(); }
  [[nodiscard]] std::uint64_t steady_ns() const noexcept override { return inner_->steady_ns(); }
  void fill_random(std::span<std::byte> bytes) override { inner_->fill_random(bytes); }
  [[nodiscard]] std::uint32_t cores() const noexcept override { return inner_->cores(); }
  std::unique_ptr<engine::Worker> start_worker(std::string_view name,
                                               std::function<std::chrono::nanoseconds()> step) override {
    return inner_->start_worker(name, std::move(step));
  }
  void run_parallel(std::size_t count, const std::function<void(std::size_t)>& task) override {
    inner_->run_parallel(count, task);
  }
  Result<std::unique_ptr<engine::Pages>> allocate_pages(std::size_t bytes) override {
    return inner_->allocate_pages(bytes);
  }
  bool barrier_all_threads() noexcept override { return inner_->barrier_all_threads(); }
  Result<std::unique_ptr<engine::Listener>> listen(engine::Directory& directory,
                                                   std::string_view name) override;
  Result<std::unique_ptr<engine::Connection>> connect(engine::Directory& directory,
                                                      std::string_view name) override;

  /// What files and directories share with their environment; internal.
  class Ledger;

 private:
  std::shared_ptr<engine::Environment> inner_;
  std::shared_ptr<Ledger> ledger_;
};

}  // namespace vectolith::testing
