/// @file
/// The writer's half of a table: placing, moving and removing entries under the shard's lock.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "index/buckets.h"
#include "index/page_source.h"

namespace vectolith::engine {

/// All keys of a shard with one prefix of hash bits. Never resized in place.
/// Threads: one at a time (the shard's lock), beside any readers of `buckets()`.
class Table {
 public:
  struct Entry {
    std::uint64_t rest;  ///< w, the hash bits below the table's prefix.
    Location location;
    std::uint32_t frequency;
  };

  /// A table in `block` at `offset` (zeroed, room for the buckets of `positions`). Null when memory is
  /// refused.
  static std::unique_ptr<Table> create(std::shared_ptr<PageBlock> block, std::size_t offset,
                                       Positions positions, unsigned depth) noexcept;

  [[nodiscard]] const Buckets& buckets() const noexcept { return buckets_; }
  [[nodiscard]] const Positions& positions() const noexcept { return buckets_.positions(); }
  /// How many bits below the shard's the table's prefix has.
  [[nodiscard]] unsigned depth() const noexcept { return depth_; }
  [[nodiscard]] std::uint64_t entry_count() const noexcept { return entry_count_; }
  [[nodiscard]] std::uint64_t slot_count() const noexcept {
    return positions().bucket_count() * kBucketSlots;
  }
  [[nodiscard]] std::size_t bytes() const noexcept { return positions().bucket_count() * sizeof(Bucket); }

  /// False if there is no room within two displacements; then nothing a reader can tell has changed.
  bool insert(const Entry& entry) noexcept;
  /// False if there is no entry at `from`. Keeps the frequency.
  bool replace(std::uint64_t rest, Location from, Location to) noexcept;
  bool erase(std::uint64_t rest, Location location) noexcept;

  /// How a copy into other tables ended.
  enum class Copied : std::uint8_t { kAll, kNoRoom, kNoMemory };
  /// Copies all entries into new, empty tables: into `low`, or by their next hash bit into `low` and `high`.
  [[nodiscard]] Copied copy_to(Table& low, Table* high) const noexcept;

  /// Calls `visit(Entry)` for every entry.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (std::uint64_t bucket = 0; bucket < positions().bucket_count(); ++bucket) {
      for_each_in(bucket, taken_slots(bucket), [&](unsigned, const Entry& entry) { visit(entry); });
    }
  }

 private:
  Table(std::shared_ptr<PageBlock> block, std::size_t offset, Positions positions, unsigned depth) noexcept;

  /// What says that a bucket has no empty slot.
  static constexpr unsigned kNoSlot = kBucketSlots;

  /// Calls `visit(slot, Entry)` for the slots of the bucket that `slots` has bits for.
  template <class Visit>
  void for_each_in(std::uint64_t bucket, unsigned slots, Visit&& visit) const {
    const std::uint64_t first = positions().first_position(bucket);
    for (; slots != 0; slots &= slots - 1) {
      const auto slot = static_cast<unsigned>(std::countr_zero(slots));
      visit(slot, entry_at(bucket, slot, buckets_[bucket].at(slot).load(std::memory_order_relaxed), first));
    }
  }
  /// A bit for each slot that holds an entry. Without branches: how full a bucket is cannot be predicted.
  [[nodiscard]] unsigned taken_slots(std::uint64_t bucket) const noexcept {
    unsigned taken = 0;
#pragma GCC unroll 7
    for (unsigned slot = 0; slot < kBucketSlots; ++slot) {
      const bool entry = buckets_[bucket].at(slot).load(std::memory_order_relaxed) != 0;
      taken |= static_cast<unsigned>(entry) << slot;
    }
    return taken;
  }
  [[nodiscard]] unsigned empty_slot(std::uint64_t bucket) const noexcept {
    return static_cast<unsigned>(std::countr_one(taken_slots(bucket)));
  }
  [[nodiscard]] Entry entry_at(std::uint64_t bucket, unsigned slot, IndexWord word,
                               std::uint64_t first) const noexcept {
    const BucketControl control = buckets_[bucket].control().load(std::memory_order_relaxed);
    return {.rest = positions().recover(first, role_of(word), tag_of(word), extra_of(control, slot)),
            .location = location_of(word),
            .frequency = frequency_of(word)};
  }
  bool put(const Entry& entry, BucketRole role, std::uint64_t bucket, unsigned slot) noexcept;
  void publish(const Entry& entry, BucketRole role, std::uint64_t bucket, unsigned slot) noexcept;
  void count_overflow(std::uint64_t primary_bucket, bool added, bool moved) noexcept;
  void clear(std::uint64_t bucket, unsigned slot) noexcept;
  bool move_away(std::uint64_t bucket, unsigned slot, const Entry& entry, BucketRole role,
                 std::uint64_t target) noexcept;
  unsigned make_room(std::uint64_t bucket, unsigned moves) noexcept;

  Buckets buckets_;
  unsigned depth_;
  std::uint64_t entry_count_ = 0;
  std::shared_ptr<PageBlock> block_;
};

}  // namespace vectolith::engine
