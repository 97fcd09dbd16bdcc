/// @file
/// The raw row beside each figure: the least code that could do the same work, without our promises.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include <vectolith/format/key.h>

#include "support/bench_data.h"

namespace vectolith::bench {

/// Anonymous memory in huge pages where the kernel gives them.
class HugeMemory {
 public:
  explicit HugeMemory(std::size_t bytes);
  ~HugeMemory();
  HugeMemory(const HugeMemory&) = delete;
  HugeMemory& operator=(const HugeMemory&) = delete;
  [[nodiscard]] void* data() const noexcept { return data_; }

 private:
  void* data_;
  std::size_t bytes_;
};

/// Open addressing, {u64 hash, u32 row}, load at most 0.5, no key and no check: 16 bytes a slot.
class RawTable {
 public:
  static constexpr std::uint32_t kAbsent = UINT32_MAX;

  explicit RawTable(std::uint64_t rows);
  void insert(std::uint64_t hash, std::uint32_t row) noexcept;
  /// The row, or kAbsent.
  [[nodiscard]] std::uint32_t find(std::uint64_t hash) const noexcept {
    std::uint64_t at = hash & mask_;
    while (slots_[at].row != kAbsent && slots_[at].hash != hash) at = (at + 1) & mask_;
    return slots_[at].row;
  }
  void prefetch(std::uint64_t hash) const noexcept { __builtin_prefetch(&slots_[hash & mask_]); }

 private:
  struct Slot {
    std::uint64_t hash;
    std::uint32_t row;
  };
  std::uint64_t mask_;
  HugeMemory memory_;
  Slot* slots_;
};

/// The digest is random already, so a raw table needs no hash function at all.
std::uint64_t raw_hash(const Key& key) noexcept;

/// Copies hit i into row i of `matrix`, from the array at `base`: slots, then first lines, prefetched in
/// groups of 16.
std::size_t copy_grouped(const RawTable& table, const std::byte* base, std::span<const Key> keys,
                         std::span<std::byte> matrix) noexcept;

/// All vectors in one mapped file, in row order, without meta or sums.
class RawFile {
 public:
  /// Writes `rows` vectors of `source` in 1 MiB chunks, so that the kernel can map it by 2 MiB.
  RawFile(const std::filesystem::path& path, std::uint64_t rows, const VectorSource& source);
  ~RawFile();
  RawFile(const RawFile&) = delete;
  RawFile& operator=(const RawFile&) = delete;

  [[nodiscard]] std::span<const std::byte> vector(std::uint32_t row) const noexcept {
    return {base_ + std::size_t{row} * vector_bytes_, vector_bytes_};
  }
  [[nodiscard]] std::uint64_t rows() const noexcept { return rows_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return rows_ * vector_bytes_; }
  [[nodiscard]] int descriptor() const noexcept { return fd_; }
  /// Drops its pages from the page cache and advises random access.
  void make_cold() noexcept;

 private:
  void map();

  std::uint64_t rows_;
  std::size_t vector_bytes_;
  int fd_;
  const std::byte* base_ = nullptr;
};

/// A table over a file: what a get costs at least.
class RawStore {
 public:
  RawStore(const std::filesystem::path& path, std::uint64_t rows, const VectorSource& source);

  [[nodiscard]] std::span<const std::byte> get(const Key& key) const noexcept {
    const auto row = table_.find(raw_hash(key));
    return row == RawTable::kAbsent ? std::span<const std::byte>() : file_.vector(row);
  }
  std::size_t multi_get_copy(std::span<const Key> keys, std::span<std::byte> matrix) const noexcept {
    return copy_grouped(table_, file_.vector(0).data(), keys, matrix);
  }
  [[nodiscard]] const RawFile& file() const noexcept { return file_; }
  [[nodiscard]] RawFile& file() noexcept { return file_; }

 private:
  RawFile file_;
  RawTable table_;
};

}  // namespace vectolith::bench
