/// @file
/// One cell of the comparison: one store, in a process of its own, under some workloads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "compare/compared_store.h"
#include "compare/timed_loop.h"
#include "support/bench_data.h"

namespace vectolith::bench::compare {

/// Rows of a batch, for every store.
inline constexpr std::uint64_t kBatchRows = 512;
inline constexpr std::size_t kMultiGetKeys = 100;

/// Rows put before a kill: an unfinished tail for recovery to look at.
inline constexpr std::uint64_t kTailRows = 1'000;

/// Sizes and conditions of a cell.
struct CellOptions {
  std::filesystem::path directory;  ///< Of this store.
  std::uint32_t dim = 768;
  std::uint64_t rows = 0;
  double seconds = 1;                 ///< Of a timed loop.
  std::uint64_t cold_reads = 20'000;  ///< Rows, after caches were dropped.
  std::uint64_t puts = 20'000;        ///< Rows at most, in a loop of single puts.
  std::uint64_t memory_bytes = 0;     ///< For caches of the store's own.
  std::uint64_t seed = 0;             ///< Another for each round.
  bool limited = false;        ///< Memory is limited to less than the data: reads run on after a prelude.
  bool system_caches = false;  ///< Drop those of the whole machine, if that is allowed.

  // Behind the rows that are loaded each workload has numbers of its own, as several change the same store.
  [[nodiscard]] std::uint64_t first_put(unsigned threads) const noexcept {
    return rows + (threads == 1 ? 0 : puts);
  }
  [[nodiscard]] std::uint64_t first_tail() const noexcept { return rows + 2 * puts; }
  [[nodiscard]] std::uint64_t first_beside() const noexcept { return first_tail() + kTailRows; }
};

/// The numbers of the vectors that rows hold: a version above, the row below.
constexpr std::uint64_t number_of(std::uint64_t row, std::uint64_t version) noexcept {
  return version << 32 | row;
}

/// What the workloads of one process share.
class Cell {
 public:
  Cell(const StoreEntry& entry, CellOptions options) : entry_(entry), options_(std::move(options)) {}

  [[nodiscard]] const StoreEntry& entry() const noexcept { return entry_; }
  [[nodiscard]] const CellOptions& options() const noexcept { return options_; }
  [[nodiscard]] const VectorSource& source();
  [[nodiscard]] std::size_t vector_bytes() const noexcept {
    return std::size_t{options_.dim} * sizeof(float);
  }
  [[nodiscard]] std::uint64_t payload_bytes() const noexcept { return options_.rows * vector_bytes(); }

  [[nodiscard]] std::unique_ptr<ComparedStore> open(Purpose purpose,
                                                    Durability durability = Durability::kBuffered,
                                                    std::uint64_t rows_extra = 0) const;
  /// The store with everything in memory, as far as that goes: when first asked for, it is opened, with room
  /// for so many further rows, and every row is compared.
  [[nodiscard]] ComparedStore& warm(std::uint64_t rows_extra = 0);
  /// Anonymous memory of the process and the store's servers that `warm` added: by opening and one get, and
  /// by reading all rows.
  struct Memory {
    double open_bytes = 0;
    double warm_bytes = 0;
  };
  [[nodiscard]] Memory warm_memory();

  /// Drops what the machine holds of the files; the store is closed.
  void drop_caches() const;
  /// Ends the process unless rows [0, rows) hold all bytes of their vectors, under `version`.
  void verify_all(ComparedStore& store, std::uint64_t version);
  /// Ends the process unless `row` does.
  void verify_row(Client& client, std::uint64_t row, std::uint64_t version);

 private:
  const StoreEntry& entry_;
  CellOptions options_;
  std::optional<VectorSource> source_;
  std::vector<std::byte> expected_;
  std::unique_ptr<ComparedStore> warm_;
  Memory memory_;
};

/// Bytes written by this process and a store's servers, and by the device, from its making on.
class WriteMeter {
 public:
  WriteMeter(const ComparedStore& store, const std::filesystem::path& directory);
  /// Adds {"write_amplification", "device_write_amplification"}: bytes for each byte of `payload_bytes`.
  void report(Json& figures, std::uint64_t payload_bytes) const;

 private:
  [[nodiscard]] std::int64_t written() const;

  const ComparedStore& store_;
  std::filesystem::path directory_;
  std::int64_t before_;
  std::int64_t device_before_;
};

/// Anonymous memory of this process and the store's servers; nullptr: there is no store yet.
std::uint64_t memory_of(const ComparedStore* store);

/// Bytes read by this process; those of servers do not count, as no store that has one reads cold.
std::int64_t bytes_read();

}  // namespace vectolith::bench::compare
