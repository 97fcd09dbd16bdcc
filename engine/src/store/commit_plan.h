/// @file
/// The plan of one group commit: which rows go where, and the bytes and operations that take them there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <memory_resource>
#include <optional>
#include <span>
#include <vector>

#include <vectolith/format/journal.h>
#include <vectolith/format/segment.h>
#include <vectolith/options.h>

#include "io/environment.h"
#include "store/pending_write.h"

namespace vectolith::engine {

/// Consecutive rows of one segment, written by one commit.
struct CommitRun {
  explicit CommitRun(std::pmr::memory_resource& heap)
      : metas(&heap), vectors(&heap), records(&heap), meta_buffers(&heap) {}

  FamilyState* family = nullptr;
  std::shared_ptr<MappedSegment> segment;
  std::uint32_t first_row = 0;
  std::uint32_t next_row = 0;
  bool needs_sync = false;
  std::pmr::vector<format::MetaRow> metas;             ///< Vector segments.
  std::pmr::vector<IoOperation::Buffer> vectors;       ///< The callers' bytes, adjacent ones merged.
  std::pmr::vector<std::byte> records;                 ///< Record segments: encoded records.
  std::pmr::vector<IoOperation::Buffer> meta_buffers;  ///< One: metas or records.
  std::size_t first_operation = 0;
  std::size_t write_operations = 0;
  std::optional<Error> error;  ///< A write failed: none of the rows count.
};

/// Appends a vector's bytes to a run's matrix write, merging it with the one before if adjacent.
void append_buffer(std::pmr::vector<IoOperation::Buffer>& buffers, std::span<const std::byte> bytes);

/// The durable lag of `row` in a segment whose first `rows_durable` rows are on the medium.
std::uint16_t durable_lag(std::uint32_t row, std::uint32_t rows_durable) noexcept;

/// The operations of a run: matrix, meta, and a data sync if asked for, linked in this order; at most
/// kOperationsPerRun. Precondition: there is room for them and for one meta buffer.
inline constexpr std::size_t kOperationsPerRun = 3;
void append_operations(CommitRun& run, std::pmr::vector<IoOperation>& operations);

/// The bit that stands for run `index` in PendingWrite::runs; runs beyond the 63rd share one.
constexpr std::uint64_t run_bit(std::size_t index) noexcept {
  return std::uint64_t{1} << (index < 63 ? index : 63);
}

/// The error of a failed operation, with file and offset.
Error operation_error(const IoOperation& operation);

}  // namespace vectolith::engine
