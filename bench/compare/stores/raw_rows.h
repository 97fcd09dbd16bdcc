/// @file
/// Two plain files and a perfect index: what both limits stand on.
#pragma once

#include <mutex>
#include <vector>

#include "compare/compared_store.h"
#include "support/raw_table.h"

namespace vectolith::bench::compare {

/// `vectors`, row after row without a gap, and `keys`, 32 bytes a row, from which the index is filled at
/// open. No sums, no order of writes: a crash may tear rows and lose keys.
class RawRows {
 public:
  explicit RawRows(const OpenOptions& options);
  ~RawRows();
  RawRows(const RawRows&) = delete;
  RawRows& operator=(const RawRows&) = delete;

  [[nodiscard]] std::size_t vector_bytes() const noexcept { return vector_bytes_; }
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  [[nodiscard]] int descriptor() const noexcept { return vectors_; }
  [[nodiscard]] const std::filesystem::path& vectors_path() const noexcept { return vectors_path_; }
  [[nodiscard]] const RawTable& table() const noexcept { return table_; }
  /// RawTable::kAbsent for a miss.
  [[nodiscard]] std::uint32_t find(const Key& key) const noexcept { return table_.find(raw_hash(key)); }

  /// Writes over the row if there is one, else behind the last. Threads: any, but nobody may read meanwhile.
  void put(const Key& key, std::span<const std::byte> vector, Durability durability);
  /// Appends the keys of rows whose vectors the caller writes, from the row returned on.
  std::uint64_t add_keys(std::span<const BatchRow> rows);
  /// Writes vectors from row `first` on.
  void write(std::uint64_t first, std::span<const std::byte> vectors);
  void sync();
  void drop();

 private:
  void fill_table();
  void write_ahead(std::uint64_t rows);

  std::filesystem::path directory_;
  std::filesystem::path vectors_path_;
  std::size_t vector_bytes_;
  int vectors_;
  int keys_;
  RawTable table_;
  std::mutex adding_;
  std::uint64_t size_ = 0;
};

/// Ends the process with errno unless `ok`.
void check_errno(bool ok, std::string_view what);

}  // namespace vectolith::bench::compare
