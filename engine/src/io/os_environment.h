/// @file
/// The environment over the real operating system.
#pragma once

#include <atomic>
#include <mutex>
#include <string>

#include <vectolith/format/checksum.h>

#include "io/environment.h"
#include "io/fork_mark.h"
#include "io/io_counter_cells.h"
#include "io/posix_mapping.h"
#include "io/read_pool.h"

namespace vectolith::engine {

class OsEnvironment final : public Environment {
 public:
  /// `fallback_reason` is empty unless `choice` is kAuto and io_uring is refused.
  /// `reserve` are fresh random bytes: what is drawn follows from them if the kernel gives none any more.
  OsEnvironment(BackendChoice choice, std::string fallback_reason, std::unique_ptr<ForkMark> mark,
                const format::KeyHasher& reserve);

  Result<std::unique_ptr<Directory>> open_directory(const std::string& path, bool create) override;
  Result<std::unique_ptr<IoQueue>> make_queue(std::uint32_t depth) override;
  Result<std::unique_ptr<IoQueue>> make_read_queue(std::uint32_t depth) override;
  [[nodiscard]] std::string_view backend() const noexcept override;
  [[nodiscard]] std::string_view fallback_reason() const noexcept override;
  [[nodiscard]] IoCounters counters() const noexcept override;
  [[nodiscard]] const std::atomic<std::uint32_t>* process_mark() const noexcept override {
    return &mark_->word();
  }
  [[nodiscard]] std::uint64_t wall_clock_ms() const noexcept override;
  [[nodiscard]] std::uint64_t steady_ns() const noexcept override;
  void fill_random(std::span<std::byte> bytes) override;
  [[nodiscard]] std::uint32_t cores() const noexcept override;
  [[nodiscard]] std::uint64_t major_faults() const noexcept override;
  void will_need(std::span<const std::span<const std::byte>> ranges) noexcept override;
  std::unique_ptr<Worker> start_worker(std::string_view name,
                                       std::function<std::chrono::nanoseconds()> step) override;
  void run_parallel(std::size_t count, const std::function<void(std::size_t)>& task) override;
  Result<std::unique_ptr<Pages>> allocate_pages(std::size_t bytes) override;
  bool barrier_all_threads() noexcept override;
  Result<std::unique_ptr<Listener>> listen(Directory& directory, std::string_view name) override;
  Result<std::unique_ptr<Connection>> connect(Directory& directory, std::string_view name) override;

 private:
  /// A ring, or what `make_plain` makes where there are none. Defined where it is used.
  Result<std::unique_ptr<IoQueue>> make_ring_or(std::uint32_t depth, auto&& make_plain);
  /// Remembers the first reason; later ones are consequences of the same place.
  void note_fallback(std::string reason);

  /// Bytes that follow from `reserve_` and from what no two calls share.
  void fill_from_reserve(std::span<std::byte> bytes) noexcept;

  std::unique_ptr<ForkMark> mark_;
  format::KeyHasher reserve_;
  std::atomic<std::uint64_t> reserve_draws_ = 0;
  BackendChoice choice_;
  bool uring_;
  bool membarrier_registered_;
  std::once_flag fallback_once_;
  std::string fallback_reason_;  ///< Written once, before `fell_back_` is set.
  std::atomic<bool> fell_back_ = false;
  IoCounterCells cells_;
  ReadAhead read_ahead_;
  ReadThreads read_threads_;
};

}  // namespace vectolith::engine
