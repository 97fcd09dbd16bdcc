/// @file
/// What the harness asks of every store that is compared; each adapter in stores/ answers it in its own way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include <vectolith/format/key.h>
#include <vectolith/options.h>
#include <vectolith/store.h>

#include "support/bench_setup.h"

namespace vectolith::bench::compare {

/// What a store is opened for, so that each can be tuned for it as its experts would.
enum class Purpose : std::uint8_t {
  kLoad,       ///< Many new rows in batches, durable when `sync` returns.
  kServe,      ///< Reads of what fits into memory, and puts.
  kColdReads,  ///< Reads of what does not.
  kColdMetas,  ///< As kColdReads; nor is anything else to be kept in memory.
};

/// How to open a store.
struct OpenOptions {
  std::filesystem::path directory;  ///< Exists; empty for a new store.
  Purpose purpose = Purpose::kServe;
  Durability durability = Durability::kBuffered;  ///< What a `put` promises when it returns.
  std::uint32_t dim = 0;
  std::uint64_t rows = 0;          ///< That are or will be loaded.
  std::uint64_t rows_extra = 0;    ///< That may be put later.
  std::uint64_t memory_bytes = 0;  ///< What caches of its own may take.

  [[nodiscard]] std::size_t vector_bytes() const noexcept { return std::size_t{dim} * sizeof(float); }
  [[nodiscard]] std::uint64_t rows_max() const noexcept { return rows + rows_extra; }
};

/// One or more whole vectors, one after the other; valid during the call.
using RowsVisitor = std::function<void(std::span<const std::byte> rows)>;

/// One thread's way into a store: its connection, session, cursor or read scope. Keys are always the 32 bytes
/// of the digest. A failure ends the process, as it would spoil the figures.
class Client {
 public:
  virtual ~Client() = default;

  /// Lets go of the snapshot that earlier answers came from: called after every few reads.
  virtual void refresh() {}
  /// The vector where the store holds it, or a copy of its own; empty for a miss. Valid until the next call.
  virtual std::span<const std::byte> get(const Key& key) = 0;
  /// Copies the vector into `out`; false for a miss.
  virtual bool get_copy(const Key& key, std::span<std::byte> out);
  /// Copies hit i into row i of `matrix`. Returns the number of hits.
  virtual std::size_t multi_get(std::span<const Key> keys, std::span<std::byte> matrix);
  /// Shows every row once, in the order that is cheapest.
  virtual void scan(const RowsVisitor& visit) = 0;

  /// Stores or overwrites one row, with the durability the store was opened for.
  virtual void put(const Key& key, std::span<const std::byte> vector) = 0;
  /// Stores a batch of new rows: to be seen when the client has ended, and durable after
  /// `ComparedStore::sync`. Shapes: the vectors of a batch lie one after the other.
  virtual void insert(std::span<const BatchRow> rows) = 0;
  /// As insert, for keys that exist.
  virtual void overwrite(std::span<const BatchRow> rows) { insert(rows); }
};

/// An open store; closes when destroyed. Clients end before any other member is called.
class ComparedStore {
 public:
  virtual ~ComparedStore() = default;

  virtual std::unique_ptr<Client> client() = 0;
  /// Makes all batches durable.
  virtual void sync() = 0;
  /// Ends work that a load has put off, in the way its manual advises before reading begins.
  virtual void settle() {}
  /// Gives back what overwritten rows occupied.
  virtual void compact() {}
  /// Removes all rows at once by dropping what holds them (family, column family, table); durable on return.
  virtual void drop() {}

  /// Servers that work for this process; their memory and I/O count as the store's.
  [[nodiscard]] virtual std::vector<pid_t> servers() const { return {}; }
  /// Mapped memory that is read before each vector, where a store keeps such apart from the vectors.
  [[nodiscard]] virtual std::vector<std::span<const std::byte>> metas() { return {}; }
};

/// What not every store can do.
enum class Ability : std::uint8_t {
  kWarmReads,
  kColdReads,
  kPuts,
  kReadsBesideWrites,
  kCompact,
  kDrop,
  kMetasApart,
};

/// A store as the comparison lists it.
struct StoreEntry {
  int rank = 0;  ///< Order in listings.
  std::string_view name;
  std::string_view title;
  std::string_view settings;  ///< What was chosen for it, in one line.
  bool is_limit = false;      ///< No store, but what the hardware allows.
  bool zero_copy = false;     ///< `get` shows the vector where it lies in memory.
  bool metas_apart = false;   ///< `metas` is not empty.
  std::string (*version)() = nullptr;
  std::unique_ptr<ComparedStore> (*open)(const OpenOptions&) = nullptr;
  struct Lack {
    Ability ability;
    std::string_view reason;
  };
  std::vector<Lack> lacks{};
  /// Why it cannot run on this machine; empty if it can. Nullptr: it always can.
  std::string (*obstacle)() = nullptr;

  /// Why it cannot do that; nullopt if it can.
  [[nodiscard]] std::optional<std::string_view> lack_of(Ability ability) const;
};

/// Rows of a transaction in a load, for those whose transactions cost by themselves.
inline constexpr std::size_t kTransactionRows = 16'384;

/// All stores this program was built with, by rank.
std::span<const StoreEntry> store_entries();
/// Nullptr if this program was built without it.
const StoreEntry* find_store(std::string_view name);

/// Adds an entry before main runs. Each adapter defines one.
struct Registration {
  explicit Registration(StoreEntry entry);
};

/// The 32 bytes by which every store knows a row.
inline std::span<const std::byte, 32> digest_of(const Key& key) noexcept { return key.digest.bytes; }
/// The vectors of a batch as one matrix.
inline std::span<const std::byte> matrix_of(std::span<const BatchRow> rows) noexcept {
  return {rows.front().vector.data(), rows.size() * rows.front().vector.size()};
}
inline std::string_view as_text(std::span<const std::byte> bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace vectolith::bench::compare
