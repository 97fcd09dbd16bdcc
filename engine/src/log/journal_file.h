/// @file
/// A journal file: deaths and watermarks in 64-byte rows, appended by the committer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include <vectolith/format/journal.h>
#include <vectolith/format/result.h>

#include "io/environment.h"

namespace vectolith::engine {

/// An open journal. Threads: one at a time (the committer's lock).
class JournalFile {
 public:
  /// Creates the preallocated file with a durable header and name. Errors: kNoSpace, kIo.
  static Result<std::unique_ptr<JournalFile>> create(Directory& directory,
                                                     const format::JournalHeader& header);
  /// Errors: kNotFound, kCorruption, kUnsupported, kIo.
  static Result<std::unique_ptr<JournalFile>> open(Directory& directory, JournalId id, OpenMode mode);

  [[nodiscard]] const format::JournalHeader& header() const noexcept { return header_; }
  [[nodiscard]] File& file() const noexcept { return *file_; }
  [[nodiscard]] std::uint32_t next_row() const noexcept { return next_row_; }
  [[nodiscard]] std::uint32_t rows_free() const noexcept { return header_.row_capacity - next_row_; }
  /// Rows before this are on the medium.
  [[nodiscard]] std::uint32_t rows_durable() const noexcept { return rows_durable_; }
  void set_rows_durable(std::uint32_t rows) noexcept { rows_durable_ = rows; }
  [[nodiscard]] bool is_dirty() const noexcept { return rows_durable_ < next_row_; }
  void set_next_row(std::uint32_t row) noexcept { next_row_ = row; }

  /// Takes the next place for `row`, fills in its sum and returns its file offset.
  /// Precondition: rows_free() > 0.
  std::uint64_t place(format::JournalRow& row) noexcept;
  /// Gives the last place back: its write failed, and nobody was promised the row.
  void withdraw() noexcept { --next_row_; }

  struct Scan {
    std::uint32_t rows = 0;          ///< Places up to and including the last valid row.
    std::uint32_t invalid = 0;       ///< Damaged or unfinished rows.
    std::uint32_t invalid_tail = 0;  ///< Of these, behind the last valid row.
  };
  /// Calls `visit` for every valid row, also those behind invalid ones.
  Result<Scan> scan(const std::function<void(const format::JournalRow&)>& visit) const;

 private:
  JournalFile(const format::JournalHeader& header, std::unique_ptr<File> file)
      : header_(header), file_(std::move(file)) {}
  format::JournalHeader header_;
  std::unique_ptr<File> file_;
  std::uint32_t next_row_ = 0;
  std::uint32_t rows_durable_ = 0;
};

}  // namespace vectolith::engine
