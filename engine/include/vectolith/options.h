/// @file
/// Options of a store, of a family and of single operations, with their defaults and units.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <memory_resource>
#include <optional>
#include <span>
#include <string>

#include <vectolith/format/ids.h>
#include <vectolith/format/result.h>

namespace vectolith {

namespace engine {
class Environment;
}

/// Which I/O backend to use.
enum class IoChoice : std::uint8_t {
  kAuto,   ///< io_uring where the kernel allows it, else plain system calls (said once, counted).
  kUring,  ///< io_uring or an error.
  kSync,   ///< Plain pread, pwrite, fdatasync.
};

/// When a write is acknowledged, and so what it survives. docs/durability.md.
enum class Durability : std::uint8_t {
  kBuffered = 1,  ///< Its writes have completed: survives the death of the process.
  kDurable = 2,   ///< fdatasync has returned: survives loss of power.
};

/// When a row's vector is checked against its sum on the read path.
enum class VerifyMode : std::uint8_t {
  kOff,         ///< Never; the key is still compared in full.
  kFirstTouch,  ///< Once per row since its segment was mapped.
  kAlways,
};

/// Where the vectors of a family are kept while nobody reads them.
enum class Placement : std::uint8_t {
  kCached,  ///< In the page cache, as long as the kernel keeps them there.
  /// On the device: sealed segments are read past the page cache, which so stays free for others.
  kCold,
  kPinned,  ///< Locked in memory.
};

/// Something an operator should hear of. Delivered on the thread where it happened.
struct Event {
  enum class Kind : std::uint8_t {
    kIoFallback,       ///< io_uring is not available; plain system calls are used.
    kRecovered,        ///< The store was not closed cleanly; recovery ran.
    kCorruption,       ///< Damage to acknowledged data was found; `error` names file and offset.
    kSegmentPoisoned,  ///< A write or fsync of a segment failed; its rows are written elsewhere.
    kRowsLost,         ///< Rows acknowledged kBuffered could not be saved after a failed fsync.
    kReadOnly,         ///< The store turned read-only; `error` is the first cause.
    kNotPinned,        ///< A new segment of a pinned family could not be locked in memory; `error` says why.
  };
  Kind kind{};
  std::string message;
  std::optional<Error> error;
};

/// How to open or create a store.
struct Options {
  bool create_if_missing = false;
  bool read_only = false;
  IoChoice io = IoChoice::kAuto;
  Durability durability = Durability::kBuffered;  ///< Default level of writes.
  VerifyMode verify = VerifyMode::kFirstTouch;
  /// Serve the control socket in the store's directory, so that tools reach a running process.
  bool control = false;
  /// Families grow their segments from `segment_bytes_initial` by doubling up to this size. 64 KiB to 256
  /// MiB. A file may be larger: it holds at least 16 vectors and every single batch, or 1 MiB of records.
  std::uint64_t segment_bytes_target = 64ULL << 20;
  std::uint64_t segment_bytes_initial = 1ULL << 20;
  /// The most bytes of segments that pinned families and metas may lock in memory; 0: as many as the
  /// system allows (RLIMIT_MEMLOCK).
  std::uint64_t pinned_bytes_max = 0;
  /// How long open waits for files that a dead predecessor's writes still hold.
  std::chrono::milliseconds lock_timeout{10'000};
  /// Called for every event; must not call back into the store. May be empty. What it throws is ignored; an
  /// event for which there is no memory is not told.
  std::function<void(const Event&)> on_event{};
  /// Where the write path's buffers and the bitmaps of segments come from, for example a resource over a heap
  /// of mimalloc; null for std::pmr's default. Index and mapped segments have pages of their own and never
  /// come from here. It refuses by std::bad_alloc. Threads: any, at once. Lifetime: longer than the store and
  /// than all pins and snapshots.
  std::pmr::memory_resource* heap = nullptr;
  /// The operating system to stand on; null for the real one. For tests and simulation.
  std::shared_ptr<engine::Environment> environment{};
};

/// A caller's check of a vector before it is stored: a reason to reject it, or nothing.
using Validator = std::function<std::optional<std::string>(std::span<const std::byte> vector)>;

/// How to create a family, or to open one.
struct FamilyOptions {
  std::uint64_t segment_bytes_target = 0;  ///< 0: the store's. Of a new family only.
  /// Unset: as it is; kCached for a family that this process has not placed yet.
  std::optional<Placement> placement{};
  bool pin_metas = false;  ///< Locks the 64 bytes a row that a lookup compares. Counts if `placement` is set.
};

/// How to write one row or batch.
struct WriteOptions {
  std::optional<Durability> durability{};       ///< Unset: the store's default.
  bool replace = false;                         ///< Overwrite a row that exists. Default: first write wins.
  BuildId build{};                              ///< Embedder build, from `Store::intern_build`.
  std::optional<std::uint64_t> created_at_s{};  ///< Unset: now. Seconds since 1970.
};

/// How to read.
struct ReadOptions {
  /// kDurable: rows that a power cut could still take back are misses.
  Durability min_durability = Durability::kBuffered;
};

}  // namespace vectolith
