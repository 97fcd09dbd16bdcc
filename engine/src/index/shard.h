/// @file
/// A shard of the index: an extendible directory of tables, one lock for its writers, and their growth.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>

#include <vectolith/format/result.h>

#include "index/epoch.h"
#include "index/table.h"

namespace vectolith::engine {

/// The tables of a shard by the top bits of what the shard's prefix leaves. Immutable once published:
/// any growth makes a new one, so that readers take one atomic step from the shard to a bucket.
class ShardDirectory {
 public:
  struct Deleter {
    void operator()(const ShardDirectory* directory) const noexcept;
  };
  using Owner = std::unique_ptr<const ShardDirectory, Deleter>;
  /// Does not own the table.
  struct Slot {
    Buckets buckets;
    Table* table;
  };

  /// All slots empty. `width` is the number of hash bits below the shard's prefix. Null when memory is
  /// refused.
  static std::unique_ptr<ShardDirectory, Deleter> create(unsigned width, unsigned depth) noexcept;

  [[nodiscard]] unsigned depth() const noexcept { return depth_; }
  [[nodiscard]] std::size_t size() const noexcept { return std::size_t{1} << depth_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return sizeof(ShardDirectory) + size() * sizeof(Slot); }
  [[nodiscard]] const Slot& at(std::size_t index) const noexcept { return slots()[index]; }
  void set(std::size_t index, Table* table) noexcept { slots()[index] = {table->buckets(), table}; }
  /// The slot of a hash value; a shard's prefix above is ignored.
  [[nodiscard]] const Slot& slot_of(std::uint64_t used) const noexcept {
    return at((used >> shift_) & mask_);
  }

 private:
  ShardDirectory(unsigned width, unsigned depth) noexcept;
  // The slots follow the object; the constructor makes them.
  [[nodiscard]] Slot* slots() noexcept { return reinterpret_cast<Slot*>(this + 1); }
  [[nodiscard]] const Slot* slots() const noexcept { return reinterpret_cast<const Slot*>(this + 1); }

  std::uint64_t mask_;
  std::uint32_t shift_;
  std::uint32_t depth_;
};

/// What the shards of one index share.
struct ShardContext {
  EpochDomain* epochs;
  PageSource* pages;
  unsigned shard_bits;
};

/// Hash values `used` are `used_hash(hash)`, shard prefix included.
/// Threads: reading members any, inside a scope of the epoch domain; writing members any.
class alignas(64) Shard {
 public:
  Shard() = default;
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;
  ~Shard();

  /// Takes the first directory; it must be full of tables.
  void open(const ShardContext& context, ShardDirectory::Owner directory) noexcept;

  void prefetch(std::uint64_t used) const noexcept {
    const Buckets buckets = buckets_of(used);
    buckets.prefetch(buckets.positions().rest_of(used));
  }

  template <class Match>
  std::optional<Location> find(std::uint64_t used, Match& match) const noexcept(noexcept(match(Location{}))) {
    const ShardDirectory* directory = directory_.load(std::memory_order_acquire);
    while (true) {
      const Buckets buckets = directory->slot_of(used).buckets;
      ProbeState probe = ProbeState::kSettled;
      if (auto hit = buckets.find(buckets.positions().rest_of(used), match, probe)) return hit;
      // A table that was replaced meanwhile says nothing about what came later.
      const ShardDirectory* const now = directory_.load(std::memory_order_acquire);
      if (probe == ProbeState::kSettled && now == directory) return std::nullopt;
      directory = now;
    }
  }

  /// The buckets for lock-free work on one entry.
  [[nodiscard]] Buckets buckets_of(std::uint64_t used) const noexcept {
    return directory_.load(std::memory_order_acquire)->slot_of(used).buckets;
  }

  /// Holds the shard for a run of inserts; frees what they replaced once it is let go.
  class Writer {
   public:
    explicit Writer(Shard& shard) : shard_(shard), lock_(shard.mutex_) {}
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;
    ~Writer();

    /// Errors: kNoMemory, kLimit when too many keys share their hash bits.
    Result<void> insert(std::uint64_t used, Location location);
    /// As Index::reserve, fill and release.
    Result<void> reserve(std::uint64_t used) { return place(used, kReservedLocation); }
    void fill(std::uint64_t used, Location location) noexcept;
    void release(std::uint64_t used) noexcept;
    bool replace(std::uint64_t used, Location from, Location to) noexcept;
    bool erase(std::uint64_t used, Location location) noexcept;

   private:
    Result<void> place(std::uint64_t used, Location location);

    Shard& shard_;
    std::unique_lock<std::mutex> lock_;
    bool retired_ = false;
  };

  [[nodiscard]] std::uint64_t entry_count() const noexcept {
    return entry_count_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t memory_bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }

 private:
  /// The one or two tables that take the place of a full one.
  struct Successors {
    std::unique_ptr<Table> low;
    std::unique_ptr<Table> high;  ///< Null when the table only grew.
  };

  Result<void> make_room(std::uint64_t used);
  Result<Successors> build_successors(const Table& full, bool split);
  [[nodiscard]] std::unique_ptr<Table> make_table(unsigned depth, std::uint64_t bucket_count);
  [[nodiscard]] Table& table_of(std::uint64_t used) const noexcept {
    return *directory_.load(std::memory_order_relaxed)->slot_of(used).table;
  }
  Result<void> publish(Table& old, Successors successors);

  std::atomic<const ShardDirectory*> directory_{nullptr};
  ShardContext context_{};
  // The writers' line, apart from the one that every reader loads.
  alignas(64) std::mutex mutex_;
  std::atomic<std::uint64_t> entry_count_{0};
  std::atomic<std::uint64_t> bytes_{0};
};

/// The number of buckets for `entries` with some room to grow.
std::uint64_t bucket_count_for(std::uint64_t entries, unsigned position_bits) noexcept;
/// The entries up to which one table is made for them, so that replacing one stays short.
inline constexpr std::uint64_t kTableEntriesMax = 1U << 15;

}  // namespace vectolith::engine
