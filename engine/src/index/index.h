/// @file
/// The in-memory index of one family: from the hash of a key to candidate locations of its row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <vectolith/format/result.h>

#include "index/epoch.h"
#include "index/page_source.h"
#include "index/shard.h"

namespace vectolith::engine {

struct IndexOptions {
  /// A power of two up to Index::kShardsMax, at least 4 times the cores.
  std::uint32_t shards = 8;
  /// How many rows a rebuild will insert; tables are made for them at once. 0: 64 KiB to start with.
  std::uint64_t expected_rows = 0;
};

/// Maps 64-bit hashes to locations, with 34 hash bits and no keys: the caller's `match` decides.
///
/// The hash must be keyed with a secret and uniform. Readers never lock; a key that is present
/// throughout a lookup is found by it, whatever moves or grows meanwhile. Writers lock one shard.
/// Threads:  any. The members that say so want the caller inside a scope of the epoch domain. The
///           writing ones need none, and a long-lived scope around them only holds up memory.
/// Lifetime: the domain outlives the index, the PageSource outlives the domain. To drop an index that
///           readers may still see, retire its deletion into the domain.
/// Source:   docs/decisions/0002-index-tables-keep-hash-bits.md
class Index {
 public:
  static constexpr std::uint32_t kShardsMax = 4096;
  class Rebuild;

  /// Errors: kInvalidArgument for a bad number of shards, kNoMemory.
  static Result<std::unique_ptr<Index>> create(const IndexOptions& options, EpochDomain& epochs,
                                               PageSource& pages);

  /// Starts to load the line that `find(hash)` looks at first. For a group of keys: prefetch all (16
  /// is a good size), then find each; the misses of the cache then overlap. Inside a scope.
  void prefetch(std::uint64_t hash) const noexcept {
    const std::uint64_t used = used_hash(hash);
    shard_of_used(used).prefetch(used);
  }

  /// The first location under this hash that `match(Location) -> bool` accepts. Inside a scope.
  /// `match` may see locations of other keys and, while one moves, the same location twice.
  /// Cost: one cache line, two if the key's bucket has overflowed. A false candidate in
  ///       2^34 / rows lookups (one in 1,700 at 10 M rows).
  template <class Match>
  std::optional<Location> find(std::uint64_t hash, Match&& match) const
      noexcept(noexcept(match(Location{}))) {
    const std::uint64_t used = used_hash(hash);
    return shard_of_used(used).find(used, match);
  }

  /// For a group of keys: what `find` with a `match` that accepts everything returns for each, with their
  /// cache misses overlapped. An absent candidate is a miss; one that the caller's own check refuses
  /// must be looked up with `find`. Shapes: `candidates` as long as `hashes`. Inside a scope.
  void find_candidates(std::span<const std::uint64_t> hashes,
                       std::span<std::optional<Location>> candidates) const noexcept;

  /// Adds one to an entry's frequency (at most kFrequencyMax), by one attempt that may be lost. Inside a
  /// scope.
  void touch(std::uint64_t hash, Location location) const noexcept;
  /// An entry's frequency; 0 if it is not there. Inside a scope.
  [[nodiscard]] std::uint32_t frequency(std::uint64_t hash, Location location) const noexcept;
  /// Sets an entry's frequency, at most kFrequencyMax; false if it is not seen. Inside a scope.
  bool set_frequency(std::uint64_t hash, Location location, std::uint32_t frequency) const noexcept;

  /// Adds an entry with frequency 0. The key must be absent.
  /// Errors: kNoMemory (nothing changed); kInvalidArgument for a location out of
  ///         range; kLimit when more than 14 keys share the 34 hash bits in use.
  /// Cost:   one or two cache lines; now and then a table of at most 32 Ki entries is rebuilt, under 1 ms.
  Result<void> insert(std::uint64_t hash, Location location);
  /// Takes the slot of a later `fill` with the same hash, which then cannot fail. Until then a lookup offers
  /// it to its `match` as kReservedLocation. Not counted by `size`. Errors and cost: as `insert`.
  Result<void> reserve(std::uint64_t hash);
  /// Inserts into a slot that was reserved.
  void fill(std::uint64_t hash, Location location) noexcept;
  /// Gives a reserved slot back.
  void release(std::uint64_t hash) noexcept;
  /// Points the entry at `from` to `to`, keeping its frequency; false if it is not there.
  bool replace(std::uint64_t hash, Location from, Location to);
  /// Removes the entry; false if it is not there.
  bool erase(std::uint64_t hash, Location location);

  [[nodiscard]] std::uint64_t size() const noexcept;
  /// Bytes of tables and directories in use, without what waits in the epoch domain.
  [[nodiscard]] std::uint64_t memory_bytes() const noexcept;
  [[nodiscard]] std::uint32_t shard_count() const noexcept {
    return static_cast<std::uint32_t>(shards_.size());
  }

 private:
  explicit Index(std::uint32_t shards) : shards_(shards), shard_shift_(shift_for(shards)) {}
  static unsigned shift_for(std::uint32_t shards) noexcept;

  [[nodiscard]] const Shard& shard_of_used(std::uint64_t used) const noexcept {
    return shards_[used >> shard_shift_];
  }
  [[nodiscard]] Shard& shard_of_used(std::uint64_t used) noexcept { return shards_[used >> shard_shift_]; }

  std::vector<Shard> shards_;
  unsigned shard_shift_;
};

/// Fills an index that nobody else writes to, without a lock for each row: holds every `parts`-th shard from
/// number `part` on. Threads: one; other parts may be filled by others. Lifetime: the index outlives it.
class Index::Rebuild {
 public:
  Rebuild(Index& index, std::size_t part, std::size_t parts);
  /// Whether rows of this hash belong to this part. The members below want such ones.
  [[nodiscard]] bool owns(std::uint64_t hash) const noexcept {
    return (used_hash(hash) >> index_.shard_shift_) % parts_ == part_;
  }
  /// As the members of Index.
  Result<void> insert(std::uint64_t hash, Location location);
  bool replace(std::uint64_t hash, Location from, Location to);

 private:
  [[nodiscard]] Shard::Writer& writer_of(std::uint64_t used) noexcept {
    return writers_[(used >> index_.shard_shift_) / parts_];
  }

  Index& index_;
  std::size_t part_;
  std::size_t parts_;
  std::deque<Shard::Writer> writers_;
};

}  // namespace vectolith::engine
