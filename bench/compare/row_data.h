/// @file
/// Makes batches of rows, and judges what came back for them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "compare/cell.h"

namespace vectolith::bench::compare {

/// Fills one batch after the other into the same memory.
class Batches {
 public:
  explicit Batches(const VectorSource& source) : source_(source) {}
  /// Rows `first` and following, as they were first put. Valid until the next call.
  std::span<const BatchRow> make(std::uint64_t first, std::uint64_t count);
  /// The given rows in another version.
  std::span<const BatchRow> make(std::span<const std::uint32_t> rows, std::uint64_t version);

 private:
  void begin(std::uint64_t count);
  void add(std::uint64_t row, std::uint64_t version);

  const VectorSource& source_;
  std::vector<std::byte> matrix_;
  std::vector<BatchRow> rows_;
};

/// Puts rows [0, rows) in batches; they are durable when it returns.
void load_all(ComparedStore& store, const VectorSource& source, std::uint64_t rows);

/// Ends the process unless row i of `matrix` is the vector of rows[i], as it was first put.
void must_bear(std::span<const std::byte> matrix, std::span<const std::uint32_t> rows);

/// Multiplies one query with every row that a scan shows.
class DotScan {
 public:
  explicit DotScan(Cell& cell);
  void run(Client& client);
  /// Ends the process unless the last run saw every row: as many, and the same best.
  void verify() const;

 private:
  void visit(std::span<const std::byte> rows);

  Cell& cell_;
  std::vector<float> query_;
  std::uint64_t rows_ = 0;
  float best_ = 0;
};

}  // namespace vectolith::bench::compare
