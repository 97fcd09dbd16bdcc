/// @file
/// The I/O counters of one environment, shared by its files and queues.
#pragma once

#include <atomic>
#include <cstdint>

#include "io/environment.h"

namespace vectolith::engine {

/// The atomic form of IoCounters. All accesses are relaxed: a reader sees each counter, not a moment.
struct IoCounterCells {
  using Cell = std::atomic<std::uint64_t>;
  Cell reads{0}, read_bytes{0};
  Cell writes{0}, write_bytes{0};
  Cell data_syncs{0}, data_sync_ns{0};
  Cell directory_syncs{0};
  Cell short_transfers{0}, retries{0};
  Cell uring_submissions{0}, uring_completions{0};
  Cell uring_fallbacks{0};

  static void add(Cell& cell, std::uint64_t amount) noexcept {
    cell.fetch_add(amount, std::memory_order_relaxed);
  }

  [[nodiscard]] IoCounters snapshot() const noexcept {
    const auto get = [](const Cell& cell) { return cell.load(std::memory_order_relaxed); };
    return {.reads = get(reads),
            .read_bytes = get(read_bytes),
            .writes = get(writes),
            .write_bytes = get(write_bytes),
            .data_syncs = get(data_syncs),
            .data_sync_ns = get(data_sync_ns),
            .directory_syncs = get(directory_syncs),
            .short_transfers = get(short_transfers),
            .retries = get(retries),
            .uring_submissions = get(uring_submissions),
            .uring_completions = get(uring_completions),
            .uring_fallbacks = get(uring_fallbacks)};
  }
};

}  // namespace vectolith::engine
