/// @file
/// The limit of warm reads: one mapped array with a perfect index.
#include <algorithm>
#include <memory>
#include <string>

#include <sys/mman.h>

#include "compare/stores/raw_rows.h"

namespace vectolith::bench::compare {
namespace {

/// The array as it lies in the page cache. It reaches beyond the file if later puts will.
class MappedArray {
 public:
  MappedArray(const RawRows& rows, const OpenOptions& options)
      : bytes_(std::max(rows.size(), options.rows_max()) * options.vector_bytes()),
        base_(::mmap(nullptr, bytes_, PROT_READ, MAP_SHARED, rows.descriptor(), 0)) {
    check_errno(base_ != MAP_FAILED, "mmap");
    if (options.purpose == Purpose::kColdReads) ::madvise(base_, bytes_, MADV_RANDOM);
  }
  ~MappedArray() { ::munmap(base_, bytes_); }
  MappedArray(const MappedArray&) = delete;
  MappedArray& operator=(const MappedArray&) = delete;
  [[nodiscard]] const std::byte* base() const noexcept { return static_cast<const std::byte*>(base_); }
  void advise(int advice) const noexcept { ::madvise(base_, bytes_, advice); }

 private:
  std::size_t bytes_;
  void* base_;
};

class MappedClient final : public Client {
 public:
  MappedClient(RawRows& rows, const MappedArray& array, const OpenOptions& options)
      : rows_(rows), array_(array), purpose_(options.purpose), durability_(options.durability) {}

  std::span<const std::byte> get(const Key& key) override {
    const auto row = rows_.find(key);
    return row == RawTable::kAbsent ? std::span<const std::byte>() : vector(row);
  }
  std::size_t multi_get(std::span<const Key> keys, std::span<std::byte> matrix) override {
    return copy_grouped(rows_.table(), array_.base(), keys, matrix);
  }
  void scan(const RowsVisitor& visit) override {
    if (purpose_ == Purpose::kColdReads) array_.advise(MADV_SEQUENTIAL);
    visit({array_.base(), rows_.size() * rows_.vector_bytes()});
  }
  void put(const Key& key, std::span<const std::byte> vector) override {
    rows_.put(key, vector, durability_);
  }
  void insert(std::span<const BatchRow> rows) override { rows_.write(rows_.add_keys(rows), matrix_of(rows)); }
  void overwrite(std::span<const BatchRow> rows) override {
    for (const auto& row : rows) rows_.put(row.key, row.vector, Durability::kBuffered);
  }

 private:
  [[nodiscard]] std::span<const std::byte> vector(std::uint32_t row) const noexcept {
    return {array_.base() + row * rows_.vector_bytes(), rows_.vector_bytes()};
  }

  RawRows& rows_;
  const MappedArray& array_;
  Purpose purpose_;
  Durability durability_;
};

class MappedStore final : public ComparedStore {
 public:
  explicit MappedStore(const OpenOptions& options)
      : options_(options), rows_(options), array_(rows_, options) {}
  std::unique_ptr<Client> client() override {
    return std::make_unique<MappedClient>(rows_, array_, options_);
  }
  void sync() override { rows_.sync(); }
  void drop() override { rows_.drop(); }

 private:
  OpenOptions options_;
  RawRows rows_;
  MappedArray array_;
};

const Registration kRegistration({
    .rank = 80,
    .name = "raw_mapped",
    .title = "raw mmap",
    .settings = "one mapped array of bare vectors; open addressing {u64 hash, u32 row} at load 0.5 in huge "
                "pages, the hash "
                "taken from the digest for nothing, keys not compared; pwrite (durable: and fdatasync) into "
                "blocks written "
                "before, overwrites in place; opening reads 32 bytes a row",
    .is_limit = true,
    .zero_copy = true,
    .version = [] { return std::string("-"); },
    .open = [](const OpenOptions& options) -> std::unique_ptr<ComparedStore> {
      return std::make_unique<MappedStore>(options);
    },
    .lacks = {{Ability::kCompact, "overwrites in place"},
              {Ability::kReadsBesideWrites, "promises nothing to readers beside a writer"}},
});

}  // namespace
}  // namespace vectolith::bench::compare
