/// @file
/// The seam to the operating system: files, queues, mappings, clock, randomness, workers, memory.
///
/// Only `engine/src/io` makes system calls (a test greps for it). A simulated disk with a
/// single-threaded executor can stand behind these interfaces.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <vectolith/format/result.h>

namespace vectolith::engine {

/// How a lock on a file is shared.
enum class LockMode : std::uint8_t { kShared, kExclusive };

/// Access advice for a mapped range.
enum class MapAdvice : std::uint8_t { kRandom, kSequential, kWillNeed, kDontNeed };

/// A read-only view of a whole file. Unmapped by the destructor. Never grows or shrinks.
class Mapping {
 public:
  virtual ~Mapping() = default;
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }
  virtual void advise(std::uint64_t offset, std::uint64_t length, MapAdvice advice) noexcept = 0;
  /// Keeps the pages of the range in memory until the mapping ends, however short memory becomes.
  /// Errors: kLimit when the process may not lock so much (RLIMIT_MEMLOCK), kIo where a page cannot be read.
  virtual Result<void> lock(std::uint64_t /*offset*/, std::uint64_t /*length*/) { return {}; }
  /// Takes the lock of the range back.
  virtual void unlock(std::uint64_t /*offset*/, std::uint64_t /*length*/) noexcept {}
  /// Reads the range into memory, so that touching it for the first time cannot fault fatally.
  ///
  /// A page that the kernel has taken back since, and then cannot load again (device error, truncated file),
  /// still raises SIGBUS: only a signal handler could catch that, and a library installs none. Errors: kIo
  /// where a load would have raised SIGBUS.
  virtual Result<void> populate(std::uint64_t offset, std::uint64_t length) = 0;

 protected:
  std::span<const std::byte> bytes_;
};

/// An open file. Closed (and its lock released) by the destructor.
/// Errors: kIo with file, offset and errno; kNoSpace for ENOSPC and EDQUOT; kNoMemory for ENOMEM. Transfers,
///         barriers and unlock take no memory; what the others need they take before the system is asked, so
///         that std::bad_alloc says that nothing was done.
/// Threads: any, where operations do not overlap in the file.
class File {
 public:
  virtual ~File() = default;
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] virtual Result<std::uint64_t> size() const = 0;
  /// Bytes the file system has allocated (st_blocks * 512).
  [[nodiscard]] virtual Result<std::uint64_t> allocated_bytes() const = 0;
  [[nodiscard]] virtual Result<std::uint64_t> link_count() const = 0;
  /// Allocates blocks for the range, growing the file; they read as zeros.
  virtual Result<void> preallocate(std::uint64_t offset, std::uint64_t length) = 0;
  /// Gives the blocks of the range back; it reads as zeros, the size stays.
  virtual Result<void> punch(std::uint64_t offset, std::uint64_t length) = 0;
  /// Takes an advisory lock on the open file itself (flock). Returns false if somebody else holds it.
  virtual Result<bool> try_lock(LockMode mode) = 0;
  virtual Result<void> unlock() = 0;
  /// Reads up to bytes.size() bytes; fewer only at the end of the file.
  virtual Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> bytes) const = 0;
  /// Reads exactly bytes.size() bytes. Errors: also kCorruption when the file ends before.
  Result<void> read_exact(std::uint64_t offset, std::span<std::byte> bytes) const;
  /// Writes all bytes; short writes are continued.
  virtual Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) = 0;
  /// fdatasync. A failure is final for everything written since the last success: never retry it.
  virtual Result<void> data_sync() = 0;
  /// Maps the whole file read-only.
  virtual Result<std::unique_ptr<Mapping>> map() const = 0;
  /// Drops clean pages of the range from the page cache.
  virtual void drop_cache(std::uint64_t offset, std::uint64_t length) const noexcept = 0;
  /// What offsets, lengths and buffers of reads must be multiples of; 1 unless opened by kReadDirect.
  [[nodiscard]] virtual std::uint32_t direct_alignment() const noexcept { return 1; }

 protected:
  std::string path_;
};

enum class OpenMode : std::uint8_t {
  kReadOnly,
  /// Read-only and past the page cache; through it where the file system refuses that. What a queue or
  /// `read_at` reads must keep to `File::direct_alignment`.
  kReadDirect,
  kReadWrite,
  kCreateNew,  ///< Read-write; fails with kExists if the name is taken. Mode 0600.
  kOpenOrCreate,
};

/// An open directory; every name is resolved beneath it (no '/', no symlink is followed).
class Directory {
 public:
  virtual ~Directory() = default;
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  /// Errors: kNotFound, kExists, kIo; kInvalidArgument if it is no regular file.
  virtual Result<std::unique_ptr<File>> open(std::string_view name, OpenMode mode) = 0;
  virtual Result<void> rename(std::string_view from, std::string_view to) = 0;
  virtual Result<void> unlink(std::string_view name) = 0;
  /// Names of all entries but "." and "..", unordered.
  virtual Result<std::vector<std::string>> list() const = 0;
  /// Makes creations, renames and removals durable.
  virtual Result<void> sync() = 0;
  [[nodiscard]] virtual Result<std::uint64_t> free_bytes() const = 0;

 protected:
  std::string path_;
};

/// One asynchronous operation. The caller owns it and the buffers until it is done.
struct IoOperation {
  enum class Kind : std::uint8_t { kRead, kWrite, kDataSync };
  /// Bytes in memory; written from or read into.
  struct Buffer {
    void* data;
    std::size_t bytes;
  };

  Kind kind = Kind::kDataSync;
  File* file = nullptr;
  std::uint64_t offset = 0;
  std::span<Buffer> buffers = {};  ///< May be consumed (changed) while a short transfer is continued.
  /// The next operation of the same submit starts only after this one succeeded in full.
  bool linked = false;

  // Result, valid once done.
  bool done = false;
  int error = 0;  ///< 0 or a positive errno; ECANCELED if a linked predecessor failed.
  std::uint64_t transferred = 0;

  std::uint64_t wanted = 0;  ///< Set by submit: the sum of the buffers' bytes.
};

/// Submits operations and waits for their completion. One owner at a time (externally synchronised);
/// it may be used from different threads in turn.
///
/// Every operation ends in full or with an error: short transfers are continued, EINTR, EAGAIN and
/// EBUSY are retried with a bound; a write of length 0 is an EIO; a read at the end of file completes with
/// transferred < wanted and error 0. A failed data sync is never retried.
class IoQueue {
 public:
  virtual ~IoQueue() = default;
  /// Makes room for `count` more operations in flight: submitting and finishing them then needs no memory.
  virtual void reserve(std::size_t count) { static_cast<void>(count); }
  /// Starts the operations; a group whose members are `linked` runs in order. Operations of
  /// different groups may run in any order and side by side.
  /// Errors: kIo if the queue itself is broken; then every operation is done with an error. Where memory for
  ///         more operations than were reserved is refused, std::bad_alloc: then none was begun.
  virtual Result<void> submit(std::span<IoOperation> operations) = 0;
  /// Returns when `operation` is done. Errors: kIo if the queue is broken.
  virtual Result<void> wait(const IoOperation& operation) = 0;
  /// Takes completions that are there without waiting; returns how many operations became done.
  virtual std::size_t poll() = 0;
  /// As `poll`, and waits up to `timeout` if none is there and something is in flight.
  virtual std::size_t wait_some(std::chrono::nanoseconds /*timeout*/) { return poll(); }
  /// An eventfd, owned by the queue, that becomes readable when a completion may be there for `poll`.
  /// Errors: kIo; kUnsupported where there are no descriptors (simulation).
  virtual Result<int> event_fd() { return fail(ErrorCode::kUnsupported, "this queue has no eventfd"); }
  /// Makes the eventfd readable, if one was asked for.
  virtual void notify() noexcept {}
  /// Operations submitted and not yet done.
  [[nodiscard]] virtual std::size_t in_flight() const noexcept = 0;
};

/// Counters of an environment's I/O, since its start. Relaxed; any thread may read.
struct IoCounters {
  std::uint64_t reads = 0, read_bytes = 0;
  std::uint64_t writes = 0, write_bytes = 0;
  std::uint64_t data_syncs = 0, data_sync_ns = 0;
  std::uint64_t directory_syncs = 0;
  std::uint64_t short_transfers = 0, retries = 0;
  std::uint64_t uring_submissions = 0, uring_completions = 0;
  std::uint64_t uring_fallbacks = 0;  ///< 1 if `io = auto` had to fall back to plain system calls.
};

/// A background activity: `step` is called on its own thread until the worker is destroyed.
class Worker {
 public:
  virtual ~Worker() = default;  ///< Waits until a running step returned.
  /// Ends the current pause early. Threads: any.
  virtual void notify() noexcept = 0;
};

/// Page-aligned anonymous memory, zeroed; huge pages where allowed and sensible. Freed by the destructor.
class Pages {
 public:
  virtual ~Pages() = default;
  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return bytes_; }

 protected:
  std::span<std::byte> bytes_;
};

/// A stream connection to another process of this machine (Unix socket).
class Connection {
 public:
  virtual ~Connection() = default;
  /// Errors: kIo; kClosed when the peer closed before all bytes came.
  virtual Result<void> read_exact(std::span<std::byte> bytes) = 0;
  virtual Result<void> write_all(std::span<const std::byte> bytes) = 0;
  /// Wakes a thread blocked in read or write; both fail afterwards. Threads: any.
  virtual void shutdown() noexcept = 0;
};

/// A listening Unix socket (0600); the peer must run as the same user (or root).
class Listener {
 public:
  virtual ~Listener() = default;  ///< Unlinks the socket.
  /// Waits for the next connection. Errors: kClosed after `shutdown`.
  virtual Result<std::unique_ptr<Connection>> accept() = 0;
  virtual void shutdown() noexcept = 0;
};

/// Everything the engine takes from the operating system.
/// Threads: any, for all members. Lifetime: outlives everything made from it.
class Environment {
 public:
  virtual ~Environment() = default;

  /// Opens the directory, or creates it (0700) when `create` is set and it is missing.
  /// Errors: kNotFound, kIo; kInvalidArgument if it is no directory.
  virtual Result<std::unique_ptr<Directory>> open_directory(const std::string& path, bool create) = 0;
  /// A queue for up to `depth` operations in flight (more are accepted and wait their turn).
  virtual Result<std::unique_ptr<IoQueue>> make_queue(std::uint32_t depth) = 0;
  /// A queue that has up to `depth` reads at the device side by side, also without io_uring.
  virtual Result<std::unique_ptr<IoQueue>> make_read_queue(std::uint32_t depth) { return make_queue(depth); }
  /// "uring" or "sync".
  [[nodiscard]] virtual std::string_view backend() const noexcept = 0;
  /// Why `io = auto` fell back, for a person; empty if it did not.
  [[nodiscard]] virtual std::string_view fallback_reason() const noexcept = 0;
  [[nodiscard]] virtual IoCounters counters() const noexcept = 0;
  /// A word that is 1 in the process that made the environment and 0 in every process forked from it, where
  /// files, queues and workers are not to be touched. Null where there are no processes (simulation).
  [[nodiscard]] virtual const std::atomic<std::uint32_t>* process_mark() const noexcept { return nullptr; }

  [[nodiscard]] virtual std::uint64_t wall_clock_ms() const noexcept = 0;  ///< Since 1970.
  [[nodiscard]] virtual std::uint64_t steady_ns() const noexcept = 0;
  virtual void fill_random(std::span<std::byte> bytes) = 0;
  [[nodiscard]] virtual std::uint32_t cores() const noexcept = 0;
  /// Page faults of this process that had to wait for a device, so far.
  [[nodiscard]] virtual std::uint64_t major_faults() const noexcept { return 0; }
  /// Asks for mapped ranges to be read into memory side by side, and returns at once. Advice: nothing is
  /// promised.
  virtual void will_need(std::span<const std::span<const std::byte>> /*ranges*/) noexcept {}

  /// Starts a worker. `step` does one bounded piece of work and returns how long to pause before the
  /// next call (0: at once); `notify` cuts the pause short.
  virtual std::unique_ptr<Worker> start_worker(std::string_view name,
                                               std::function<std::chrono::nanoseconds()> step) = 0;
  /// Runs `task(0) ... task(count - 1)` on up to cores() threads, and returns when all have ended.
  virtual void run_parallel(std::size_t count, const std::function<void(std::size_t)>& task) = 0;
  /// Errors: kNoMemory.
  virtual Result<std::unique_ptr<Pages>> allocate_pages(std::size_t bytes) = 0;
  /// A full memory barrier on every running thread of the process (membarrier), so that readers can
  /// do with a compiler barrier. False if the kernel refuses: then readers must fence themselves.
  virtual bool barrier_all_threads() noexcept = 0;

  /// Errors: kIo, kLocked when a live process listens there.
  virtual Result<std::unique_ptr<Listener>> listen(Directory& directory, std::string_view name) = 0;
  /// Errors: kNotFound when nobody listens there.
  virtual Result<std::unique_ptr<Connection>> connect(Directory& directory, std::string_view name) = 0;
};

/// Which backend to take; mirrors `Options::io`.
enum class BackendChoice : std::uint8_t { kAuto, kUring, kSync };

/// The real operating system.
/// Errors: kUnsupported if kUring was asked for and io_uring is not available here (says why).
Result<std::unique_ptr<Environment>> make_environment(BackendChoice choice);

}  // namespace vectolith::engine
