/// @file
/// One segment file, open and mapped: where its rows lie, which are live, which are durable.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <memory_resource>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include <vectolith/format/ids.h>
#include <vectolith/format/record.h>
#include <vectolith/format/result.h>
#include <vectolith/format/segment.h>

#include "io/environment.h"

namespace vectolith::engine {

/// A bitmap over the rows of a segment, readable while one writer changes it.
class RowBitmap {
 public:
  RowBitmap(std::uint32_t rows, std::pmr::memory_resource& heap) : words_((rows + 63) / 64, &heap) {}
  [[nodiscard]] bool test(std::uint32_t row) const noexcept {
    return (words_[row / 64].load(std::memory_order_relaxed) >> (row % 64) & 1) != 0;
  }
  /// Returns the bit's former value. Threads: any.
  bool set(std::uint32_t row) noexcept {
    const std::uint64_t bit = std::uint64_t{1} << (row % 64);
    return (words_[row / 64].fetch_or(bit, std::memory_order_relaxed) & bit) != 0;
  }
  bool clear(std::uint32_t row) noexcept {
    const std::uint64_t bit = std::uint64_t{1} << (row % 64);
    return (words_[row / 64].fetch_and(~bit, std::memory_order_relaxed) & bit) != 0;
  }
  [[nodiscard]] std::uint64_t word(std::uint32_t index) const noexcept {
    return words_[index].load(std::memory_order_relaxed);
  }

 private:
  std::pmr::vector<std::atomic<std::uint64_t>> words_;
};

/// An open segment. What is read through it stays mapped while a shared_ptr to it lives.
///
/// Invariants: rows [0, rows()) have completed writes; rows [0, rows_durable()) are on the medium; a
/// row's bytes never change after it is counted by rows(). Nothing is written through the mapping.
class MappedSegment : public std::enable_shared_from_this<MappedSegment> {
 public:
  /// Creates, preallocates and maps the file, writes its header and makes both durable (the directory too).
  /// `heap` holds its bitmaps, and outlives it.
  /// Errors: kNoSpace, kNoMemory, kIo; the file is then removed again.
  static Result<std::shared_ptr<MappedSegment>> create(Directory& directory,
                                                       const format::SegmentHeader& header,
                                                       std::pmr::memory_resource& heap);
  /// Opens a file. Errors: kNotFound; kCorruption, kUnsupported from the header; kIo.
  static Result<std::shared_ptr<MappedSegment>> open(Directory& directory, SegmentId id, OpenMode mode,
                                                     std::pmr::memory_resource& heap);

  /// Maps the file. Before this no row may be read. Errors: kIo.
  Result<void> map();

  [[nodiscard]] const format::SegmentHeader& header() const noexcept { return header_; }
  [[nodiscard]] SegmentId id() const noexcept { return header_.segment_id; }
  [[nodiscard]] bool holds_records() const noexcept { return header_.kind == format::SegmentKind::kRecord; }
  [[nodiscard]] std::uint32_t capacity() const noexcept { return header_.row_capacity; }
  [[nodiscard]] File& file() const noexcept { return *file_; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  /// The file opened for reads beside the mapping: kReadDirect, or kReadOnly (through the page cache). Opened
  /// when first asked for, open until the segment ends. Threads: any. Errors: kIo, kNotFound.
  Result<File*> read_file(Directory& directory, OpenMode mode) const;
  /// Closes the file and so releases its lock; what is mapped stays readable. No write may follow.
  void close_file() noexcept {
    // The mapping keeps the open file description alive, and with it a lock that is not given back.
    if (file_ != nullptr) (void)file_->unlock();
    file_.reset();
  }
  [[nodiscard]] Mapping& mapping() const noexcept { return *mapping_; }

  /// The 64 bytes that start row `row`: its MetaRow or RecordHeader. Bytes 0..47 mean the same in both.
  [[nodiscard]] const std::byte* head(std::uint32_t row) const noexcept {
    return heads_ + std::size_t{row} * 64;
  }
  [[nodiscard]] const Key& key(std::uint32_t row) const noexcept {
    return *reinterpret_cast<const Key*>(head(row));
  }
  [[nodiscard]] Sequence sequence(std::uint32_t row) const noexcept { return meta(row).sequence(); }
  [[nodiscard]] const format::MetaRow& meta(std::uint32_t row) const noexcept {
    return *reinterpret_cast<const format::MetaRow*>(head(row));
  }
  [[nodiscard]] const std::byte* vector(std::uint32_t row) const noexcept {
    return matrix_ + std::size_t{row} * header_.row_bytes;
  }
  /// Bytes of the data region from unit `row` to the end of the used part.
  [[nodiscard]] std::span<const std::byte> record_bytes(std::uint32_t unit) const noexcept;
  [[nodiscard]] std::uint64_t vector_offset(std::uint32_t row) const noexcept {
    return header_.matrix_offset + std::uint64_t{row} * header_.row_bytes;
  }
  [[nodiscard]] std::uint64_t meta_offset(std::uint32_t row) const noexcept {
    return (holds_records() ? header_.matrix_offset : header_.meta_offset) + std::uint64_t{row} * 64;
  }

  /// Checks the sums of row `row`, whose vector was read from the file into `bytes`. Errors: kCorruption with
  /// file and offset.
  Result<void> check_row_bytes(std::uint32_t row, std::span<const std::byte> bytes) const;
  /// The error of a read that met the end of the file inside vector `row`.
  [[nodiscard]] Error truncated_at(std::uint32_t row) const;
  /// Checks row and vector sums of a row that the index names, reading it in safely first.
  /// Errors: kCorruption with file and offset, kIo.
  Result<void> verify_row(std::uint32_t row) const;
  /// As verify_row, once per row since the segment was mapped. Cost: one bit test when done before.
  Result<void> verify_first_touch(std::uint32_t row) const {
    if (verified_.test(row)) [[likely]]
      return {};
    return verify_and_mark(row);
  }
  /// Whether `verify_first_touch` succeeded before.
  [[nodiscard]] bool was_verified(std::uint32_t row) const noexcept { return verified_.test(row); }
  void mark_verified(std::uint32_t row) const noexcept { verified_.set(row); }
  /// Decodes record `unit` with all its sums. Errors: kCorruption with file and offset, kIo.
  Result<format::RecordView> record(std::uint32_t unit) const;

  [[nodiscard]] std::uint32_t rows() const noexcept { return rows_.load(std::memory_order_acquire); }
  void set_rows(std::uint32_t rows) noexcept { rows_.store(rows, std::memory_order_release); }
  [[nodiscard]] std::uint32_t rows_durable() const noexcept {
    return rows_durable_.load(std::memory_order_acquire);
  }
  void set_rows_durable(std::uint32_t rows) noexcept { rows_durable_.store(rows, std::memory_order_release); }

  /// Fills free rows from `row` on with zeros, unless that was done. A barrier over rows that are then
  /// written costs half as much as one that has to turn preallocated extents into written ones. Threads: the
  /// committer.
  void write_ahead(std::uint32_t row) noexcept;

  /// No write to the file will ever come again, and all of it is on the medium.
  [[nodiscard]] bool is_settled() const noexcept { return settled_.load(std::memory_order_acquire); }
  void set_settled() noexcept { settled_.store(true, std::memory_order_release); }

  [[nodiscard]] RowBitmap& live() const noexcept { return live_; }
  /// Marks or clears a row in the live bitmap and keeps the count. Threads: the committer.
  void set_live(std::uint32_t row) noexcept {
    live_rows_.fetch_add(live_.set(row) ? 0 : 1, std::memory_order_relaxed);
  }
  void clear_live(std::uint32_t row) noexcept {
    live_rows_.fetch_sub(live_.clear(row) ? 1 : 0, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint32_t live_rows() const noexcept {
    return live_rows_.load(std::memory_order_relaxed);
  }

  /// Bytes of the mapping that are locked in memory. Written under StoreContext::placement_mutex, as the two
  /// flags of what has been done about the family's placement.
  std::atomic<std::uint64_t> pinned_bytes{0};
  bool has_left_cache = false;
  bool is_not_pinned = false;  ///< Locking it failed and was reported.
  /// Number under which the family's index knows the segment.
  std::uint32_t ordinal = 0;
  /// Rows that are not valid and stay so for ever; set before the segment is published.
  std::vector<format::RowRange> invalid;
  /// Rows from rows_durable() on are a dead process's, and nobody knows what became of its barriers; set
  /// before the segment is published.
  bool is_inherited = false;

 private:
  MappedSegment(const format::SegmentHeader& header, std::unique_ptr<File> file,
                std::pmr::memory_resource& heap);
  Result<void> verify_and_mark(std::uint32_t row) const;
  Result<void> verify_vector_row(std::uint32_t row) const;

  format::SegmentHeader header_;
  std::unique_ptr<File> file_;
  std::string path_;
  std::unique_ptr<Mapping> mapping_;
  const std::byte* heads_ = nullptr;
  const std::byte* matrix_ = nullptr;
  /// A file that is opened when first needed.
  struct LateFile {
    std::unique_ptr<File> owner;  ///< [late_mutex_]
    std::atomic<File*> file{nullptr};
  };
  mutable std::mutex late_mutex_;
  mutable LateFile direct_;
  mutable LateFile cached_;
  std::uint32_t rows_written_ahead_ = 0;
  std::atomic<bool> settled_{false};
  std::atomic<std::uint32_t> rows_{0};
  std::atomic<std::uint32_t> rows_durable_{0};
  std::atomic<std::uint32_t> live_rows_{0};
  mutable RowBitmap live_;
  mutable RowBitmap verified_;
};

}  // namespace vectolith::engine
