/// @file
/// A disk under a page cache, in memory: what is written, what is synced, and what a crash leaves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "io/environment.h"
#include "support/sim/sim_bytes.h"

namespace vectolith::testing::sim {

using Random = std::mt19937_64;

/// A number in [0, bound); bound > 0.
inline std::uint64_t below(Random& random, std::uint64_t bound) { return random() % bound; }
/// True once in `n` times; never for 0.
inline bool one_in(Random& random, std::uint64_t n) { return n != 0 && random() % n == 0; }

/// A change of a file's bytes that no barrier has covered yet.
struct Change {
  std::uint64_t number = 0;  ///< In the order of issue, over the whole disk.
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::vector<std::byte> bytes;  ///< Empty: zeros (a punched hole).
};

/// A file, with or without a name.
///
/// Three layers: `durable` is the medium; `unsynced` are changes that the cache shows and that a power cut
/// keeps, drops or tears sector by sector; `lost` are changes that a failed barrier dropped: the cache may
/// go on showing them, and no later barrier writes them.
struct Inode {
  SparseBytes durable;
  std::uint64_t durable_size = 0;
  std::uint64_t size = 0;
  std::vector<std::uint64_t> unsynced_sizes;
  std::vector<Change> unsynced;
  std::vector<Change> lost;
  std::set<std::uint64_t> blocks;    ///< Numbers of the allocated 4 KiB blocks.
  std::shared_ptr<HeapBytes> cache;  ///< Null until somebody looks.
  std::map<const void*, engine::LockMode> locks;
  std::uint32_t writes_in_flight = 0;  ///< Of a dead process: its locks are held until they have landed.
};
using InodePtr = std::shared_ptr<Inode>;

/// A directory: names are durable only after a sync of the directory itself.
struct SimDirectoryState {
  struct Edit {
    std::string from;  ///< Loses the inode; empty: nothing does.
    std::string to;    ///< Names the inode; empty: nothing does.
    InodePtr inode;
  };
  std::map<std::string, InodePtr> names;
  std::map<std::string, InodePtr> durable;
  std::vector<Edit> unsynced;
};

/// The disk. Deterministic: everything random is drawn from the generator given.
///
/// Sectors are 512 bytes; `tear_bytes` (512 or 4096) is the unit that a power cut keeps or drops whole
/// or, now and then, tears inside. Bytes of a sector that no write changed survive (assumption A1 of
/// docs/durability.md). Threads: one.
class SimDisk {
 public:
  static constexpr std::uint64_t kBlockBytes = 4096;

  explicit SimDisk(std::uint64_t tear_bytes = 512, std::uint64_t capacity_bytes = std::uint64_t{1} << 40)
      : tear_bytes_(tear_bytes), capacity_bytes_(capacity_bytes) {}
  /// A copy of the medium and of nothing that is unsynced. Precondition: just after a power cut.
  [[nodiscard]] SimDisk clone_durable() const;

  SimDirectoryState* find_directory(const std::string& path);
  SimDirectoryState& make_directory(const std::string& path) { return directories_[path]; }

  /// The cache's bytes of the whole file.
  std::span<std::byte> cached(Inode& inode);
  [[nodiscard]] std::shared_ptr<HeapBytes> cache_of(Inode& inode);
  /// Writes through the cache; grows the file. False if the disk is full (nothing is written then).
  bool write(Inode& inode, std::uint64_t offset, std::span<const std::byte> bytes);
  bool preallocate(Inode& inode, std::uint64_t offset, std::uint64_t length);
  void punch(Inode& inode, std::uint64_t offset, std::uint64_t length);
  /// The number that the next change gets: changes below it were issued before now.
  [[nodiscard]] std::uint64_t next_change() const noexcept { return next_change_; }
  /// A barrier over the changes below `before`.
  void sync(Inode& inode, std::uint64_t before);
  /// A failed barrier: a random part of the changes reaches the medium, none is dirty any more.
  void fail_sync(Inode& inode, std::uint64_t before, Random& random);
  /// The cache drops clean pages: what a failed barrier lost is seen to be lost.
  /// True if there was something.
  bool evict_lost(Inode& inode);

  /// A write of a dead process that the device still has: it lands when the clock reaches `lands_at_ns`.
  void leave_in_flight(InodePtr inode, std::uint64_t offset, std::vector<std::byte> bytes,
                       std::uint64_t lands_at_ns);
  /// Lands the writes that are due. Returns when the next one is, if there is one.
  std::optional<std::uint64_t> land_due(std::uint64_t now_ns);

  /// Power goes: of each unsynced sector, size and name a random state between old and new remains.
  void power_cut(Random& random);
  /// The whole cache reaches the medium.
  void sync_everything();

  /// A file keeps its blocks while it has a name or is open.
  [[nodiscard]] std::uint64_t used_bytes() const;
  void note_open(const InodePtr& inode) { ++opens_[inode]; }
  void note_close(const InodePtr& inode);
  [[nodiscard]] std::uint64_t free_bytes() const;
  void set_capacity(std::uint64_t bytes) noexcept { capacity_bytes_ = bytes; }
  /// Every inode that has a name.
  [[nodiscard]] std::map<std::string, InodePtr> files(const std::string& directory) const;
  /// Changes medium and cache alike, as rot, a stale or a misdirected sector would.
  void damage(Inode& inode, std::uint64_t offset, std::span<const std::byte> bytes);

 private:
  void settle(Inode& inode, Random& random);
  bool allocate(Inode& inode, std::uint64_t offset, std::uint64_t length);
  void resize(Inode& inode, std::uint64_t size);
  void apply(Inode& inode, const Change& change);

  struct InFlight {
    InodePtr inode;
    std::uint64_t offset;
    std::vector<std::byte> bytes;
    std::uint64_t lands_at_ns;
  };

  std::vector<InFlight> in_flight_;
  std::map<InodePtr, std::uint32_t> opens_;
  std::uint64_t tear_bytes_;
  std::uint64_t capacity_bytes_;
  std::uint64_t next_change_ = 1;
  std::map<std::string, SimDirectoryState> directories_;
};

}  // namespace vectolith::testing::sim
