/// @file
/// The store: open it, make families, put vectors, read them back without a copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <memory_resource>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <vectolith/async.h>
#include <vectolith/format/key.h>
#include <vectolith/format/model_spec.h>
#include <vectolith/format/result.h>
#include <vectolith/format/segment.h>
#include <vectolith/options.h>
#include <vectolith/stats.h>

namespace vectolith {

namespace engine {
struct FamilyState;
class StoreImpl;
struct SnapshotState;
struct PendingWrite;
}  // namespace engine

/// A position in the order of commits: everything up to it is made durable by `wait_durable`.
struct Ticket {
  std::uint64_t commit = 0;
};

/// What a put did. `stored` is false when the key existed and `replace` was not asked for.
struct PutResult {
  bool stored = false;
  Sequence sequence;  ///< Of the row that now answers for the key.
  Ticket ticket;
};
struct EraseResult {
  bool existed = false;
  Ticket ticket;
};

/// Where a row lies; stable while its segment lives (a pin or snapshot holds it).
struct RowId {
  SegmentId segment;
  RowIndex row;
  friend bool operator==(const RowId&, const RowId&) = default;
};

/// A vector where it lies in a mapped segment.
/// Lifetime: until the ReadScope, PinnedVector, SegmentView or Snapshot it came from ends.
class VectorView {
 public:
  VectorView() = default;
  VectorView(const std::byte* data, std::uint32_t size_bytes, const format::MetaRow* meta, RowId id) noexcept
      : data_(data), meta_(meta), id_(id), size_bytes_(size_bytes) {}
  /// Shapes: `dim` elements of `dtype` of the family's spec; 64-byte aligned when vector_bytes is a
  /// multiple of 64.
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data_, size_bytes_}; }
  /// Precondition: T is the family's element type.
  template <class T>
  [[nodiscard]] std::span<const T> as() const noexcept {
    return {reinterpret_cast<const T*>(data_), size_bytes_ / sizeof(T)};
  }
  [[nodiscard]] const Key& key() const noexcept { return meta_->key; }
  [[nodiscard]] Sequence sequence() const noexcept { return meta_->sequence(); }
  [[nodiscard]] std::uint32_t created_at_s() const noexcept { return meta_->created_at_s; }
  [[nodiscard]] BuildId build() const noexcept { return meta_->build(); }
  [[nodiscard]] const format::MetaRow& meta() const noexcept { return *meta_; }
  [[nodiscard]] RowId row_id() const noexcept { return id_; }

 private:
  const std::byte* data_ = nullptr;
  const format::MetaRow* meta_ = nullptr;
  RowId id_;
  std::uint32_t size_bytes_ = 0;
};

/// A vector whose segment stays mapped as long as this object lives, in any thread.
class PinnedVector {
 public:
  PinnedVector(VectorView view, std::shared_ptr<const void> pin) noexcept
      : view_(view), pin_(std::move(pin)) {}
  const VectorView* operator->() const noexcept { return &view_; }
  const VectorView& operator*() const noexcept { return view_; }

 private:
  VectorView view_;
  std::shared_ptr<const void> pin_;
};

/// Keeps what is read through it valid until it ends. Costs about a nanosecond.
/// Threads: belongs to the thread that made it. Scopes may nest. Keep them short: what is dropped or
/// replaced meanwhile stays in memory and on disk until the scope ends.
class ReadScope {
 public:
  ReadScope(ReadScope&&) = delete;
  ~ReadScope();

 private:
  friend class Store;
  explicit ReadScope(engine::StoreImpl& store) noexcept;
  friend class Family;
  alignas(void*) std::byte scope_[sizeof(void*)];  // An engine scope, whose type is internal.
  /// Holds vectors that were read past the page cache, until the scope ends.
  mutable std::unique_ptr<std::pmr::monotonic_buffer_resource> buffers_;
};

/// One answer of a multi_get.
struct Lookup {
  enum class Status : std::uint8_t {
    kMiss,
    kHit,
    kCorrupt,  ///< The row is damaged; `Family::get` of the key returns the error.
  };
  Status status = Status::kMiss;
  VectorView view;  ///< Valid if kHit.
};

/// One segment as a contiguous matrix.
/// Shapes: `rows` x `stride_bytes`, row-major, no gap (stride_bytes is the vector's size); base is
/// page-aligned. Row r is live if bit r%64 of live[r/64] is set; other rows hold unspecified bytes.
struct SegmentView {
  SegmentId id;
  const std::byte* base = nullptr;
  std::uint32_t rows = 0;
  std::uint32_t dim = 0;
  std::uint32_t stride_bytes = 0;
  Dtype dtype{};
  std::span<const format::MetaRow> meta;  ///< `rows` entries.
  /// ceil(rows / 64) words, frozen; but an erase clears bits of a snapshot's while you read: `live_word`.
  std::span<const std::uint64_t> live;
  std::uint64_t live_rows = 0;
  std::shared_ptr<const void> pin;  ///< Holds all of the above.

  [[nodiscard]] bool is_live(std::uint32_t row) const noexcept {
    return (live_word(row / 64) >> (row % 64) & 1) != 0;
  }
  /// live[index], read so that an erase may change it meanwhile.
  [[nodiscard]] std::uint64_t live_word(std::size_t index) const noexcept {
    return __atomic_load_n(&live[index], __ATOMIC_RELAXED);
  }
  [[nodiscard]] std::span<const std::byte> vector(std::uint32_t row) const noexcept {
    return {base + std::size_t{row} * stride_bytes, stride_bytes};
  }
};

/// Consecutive rows of one segment, as `Family::scan` shows them: a contiguous matrix in memory.
/// Lifetime: the call that it is passed to.
struct RowBlock {
  SegmentId segment;
  std::uint32_t first_row = 0;  ///< Number in its segment of the block's row 0.
  std::uint32_t rows = 0;
  std::uint32_t dim = 0;
  Dtype dtype{};
  std::uint32_t stride_bytes = 0;
  const std::byte* base = nullptr;        ///< `rows` x `stride_bytes`, row-major, no gap.
  std::span<const format::MetaRow> meta;  ///< `rows` entries; of rows that are not live, unspecified.
  const SegmentView* view = nullptr;      ///< The segment's frozen state.

  [[nodiscard]] bool is_live(std::uint32_t row) const noexcept { return view->is_live(first_row + row); }
  /// True if no row of the whole segment is dead, so that the block may be used as one matrix.
  [[nodiscard]] bool are_all_live() const noexcept { return view->live_rows == view->rows; }
  [[nodiscard]] std::span<const std::byte> vector(std::uint32_t row) const noexcept {
    return {base + std::size_t{row} * stride_bytes, stride_bytes};
  }
};

/// One row of a put_batch.
struct BatchRow {
  Key key;
  std::span<const std::byte> vector;
};

/// A write that was submitted and not yet waited for.
/// Dropping it does not cancel the write.
class PendingPut {
 public:
  /// Returns when the write is acknowledged at its level. Call once.
  Result<PutResult> wait();
  [[nodiscard]] bool ready() const noexcept;

 private:
  friend class Family;
  PendingPut(std::shared_ptr<engine::StoreImpl> store, std::shared_ptr<engine::PendingWrite> write) noexcept;
  std::shared_ptr<engine::StoreImpl> store_;
  std::shared_ptr<engine::PendingWrite> write_;
};

/// A handle on all vectors of one model spec. Cheap to copy.
/// Threads: any, for all members. Lifetime: calls after the store closed return kClosed; after the
/// family was dropped, kWrongFamily.
class Family {
 public:
  [[nodiscard]] const std::string& name() const noexcept;
  [[nodiscard]] FamilyId id() const noexcept;
  [[nodiscard]] const ModelSpec& spec() const noexcept;
  /// Chooses where this family's vectors, and the 64 bytes a row that a lookup compares, are kept from now
  /// on, until the store closes. Cost: kPinned reads everything into memory first. Errors: kLimit when so
  /// much may not be locked (Options::pinned_bytes_max, RLIMIT_MEMLOCK); then
  ///         nothing changed. kClosed, kWrongFamily.
  Result<void> place(Placement vectors, bool pin_metas = false);
  [[nodiscard]] Placement placement() const noexcept;
  /// Sets the caller's own check for every later put through any handle of this family. Errors: kClosed.
  Result<void> set_validator(Validator validator);

  /// Stores `vector` under `key`; if the key exists and `replace` is not set, the old row stays
  /// (and, for kDurable, is durable when put returns).
  /// Shapes: `vector` has spec().vector_bytes() bytes.
  /// Errors: kRejected (length, NaN or infinity, all zero, norm, validator), kInvalidArgument (a scope,
  ///         chunker or build that was never interned; a created_at above 2^32 - 1), kNoSpace, kIo,
  ///         kReadOnly, kClosed, kWrongFamily. On an error nothing changed.
  Result<PutResult> put(const Key& key, std::span<const std::byte> vector, const WriteOptions& options = {});
  /// For f32 families. Errors: also kInvalidArgument for another dtype.
  Result<PutResult> put(const Key& key, std::span<const float> vector, const WriteOptions& options = {});
  /// Copies the vector and returns at once; the write proceeds in the background.
  /// Errors: kRejected and the like at once; the rest from `PendingPut::wait`. kBusy when too much is
  /// pending.
  Result<PendingPut> submit_put(const Key& key, std::span<const std::byte> vector,
                                const WriteOptions& options = {});
  /// All rows or none, also across a crash. Keys that exist keep their row unless `replace` is set.
  /// Errors: as put; kInvalidArgument when a key occurs twice. Returns one result per row.
  Result<std::vector<PutResult>> put_batch(std::span<const BatchRow> rows, const WriteOptions& options = {});
  /// Removes the key: invisible at once, and never back after a crash once acknowledged at its level.
  Result<EraseResult> erase(const Key& key, std::optional<Durability> durability = std::nullopt);

  /// Looks up the vector stored for `key`.
  /// Errors: kCorruption if a checksum fails (file and offset named), kIo if a page cannot be read.
  ///         A miss is a value.
  /// Lifetime: the view stays valid until the scope ends. Cost: one index probe; no lock, no
  /// allocation, no system call when the row is resident and was touched before.
  Result<std::optional<VectorView>> get(const ReadScope& scope, const Key& key,
                                        const ReadOptions& options = {}) const;
  /// As above, with a pin of its own that outlives scopes.
  Result<std::optional<PinnedVector>> get(const Key& key, const ReadOptions& options = {}) const;
  /// Copies the vector into `out` (vector_bytes long); false for a miss, `out` is then untouched.
  Result<bool> get_copy(const Key& key, std::span<std::byte> out, const ReadOptions& options = {}) const;
  Result<bool> contains(const Key& key) const;
  /// Answers keys[i] in answers[i], always; duplicates are allowed. Probes, meta rows and vectors are
  /// prefetched in groups. Precondition: answers.size() == keys.size(). Errors: kIo, kClosed.
  Result<void> multi_get(const ReadScope& scope, std::span<const Key> keys, std::span<Lookup> answers) const;
  /// As multi_get, and copies hit i into row i of `matrix` (keys.size() x vector_bytes).
  /// found[i] tells whether row i was written. Errors: also kCorruption for the first damaged row.
  Result<std::size_t> multi_get_copy(std::span<const Key> keys, std::span<std::byte> matrix,
                                     std::span<bool> found) const;
  /// Submits a get_copy and returns at once; the outcome comes through `queue`, with `tag`. `out` stays the
  /// caller's until then. Shapes: `out` has vector_bytes() bytes.
  /// Errors: kInvalidArgument, kClosed, kWrongFamily, kBusy when too much is pending; no completion comes
  /// then.
  Result<void> get_async(ReadQueue& queue, const Key& key, std::span<std::byte> out, std::uint64_t tag,
                         const AsyncReadOptions& options = {}) const;
  /// As get_async, for many keys at a time: a hit of keys[i] is copied into row i of `matrix`, and found[i]
  /// tells of it. `keys` are the caller's again when this returns.
  Result<void> multi_get_async(ReadQueue& queue, std::span<const Key> keys, std::span<std::byte> matrix,
                               std::span<bool> found, std::uint64_t tag,
                               const AsyncReadOptions& options = {}) const;
  /// Copies rows by position into `matrix` (rows.size() x vector_bytes): the rescoring read.
  /// Errors: kNotFound when a row id names no live row of this family; kCorruption.
  Result<void> gather(std::span<const RowId> rows, std::span<std::byte> matrix) const;
  /// Every segment as a contiguous matrix with a frozen live bitmap: the scan interface.
  Result<std::vector<SegmentView>> segments() const;
  /// Calls `visit` for blocks of about a MiB in segment order until it returns false: every live row once,
  /// its sums checked as Options::verify wants it. What is not in memory is read ahead; in a cold family past
  /// the page cache. Errors: kCorruption, kIo; blocks before the bad one were shown.
  Result<void> scan(const std::function<bool(const RowBlock&)>& visit) const;
  /// Calls `visit` for each live row in segment order until it returns false. Errors: as scan.
  Result<void> for_each(const std::function<bool(const VectorView&)>& visit) const;
  /// Rows that answer a get now. Cost: O(1).
  [[nodiscard]] std::uint64_t size() const noexcept;

 private:
  friend class Store;
  friend class Snapshot;
  Family(std::shared_ptr<engine::StoreImpl> store, std::shared_ptr<engine::FamilyState> state) noexcept;
  std::shared_ptr<engine::StoreImpl> store_;
  std::shared_ptr<engine::FamilyState> state_;
};

/// A variable-length record that was read.
struct Record {
  Key key;
  Sequence sequence;
  std::uint64_t created_at_ms = 0;
  std::vector<std::byte> payload;
};

/// A handle on a family of variable-length records. Cheap to copy; threads and lifetime as Family.
class RecordFamily {
 public:
  [[nodiscard]] const std::string& name() const noexcept;
  [[nodiscard]] FamilyId id() const noexcept;
  /// Errors: as Family::put; kInvalidArgument above 16 MiB or above a quarter of the segment target.
  Result<PutResult> put(const Key& key, std::span<const std::byte> payload, const WriteOptions& options = {});
  Result<PutResult> put(const Key& key, std::string_view payload, const WriteOptions& options = {});
  /// Errors: kCorruption, kIo. A miss is a value.
  Result<std::optional<Record>> get(const Key& key) const;
  Result<bool> contains(const Key& key) const;
  Result<EraseResult> erase(const Key& key, std::optional<Durability> durability = std::nullopt);
  /// Calls `visit` for each live record in segment order until it returns false.
  Result<void> for_each(const std::function<bool(const Record&)>& visit) const;
  [[nodiscard]] std::uint64_t size() const noexcept;

 private:
  friend class Store;
  RecordFamily(std::shared_ptr<engine::StoreImpl> store, std::shared_ptr<engine::FamilyState> state) noexcept;
  std::shared_ptr<engine::StoreImpl> store_;
  std::shared_ptr<engine::FamilyState> state_;
};

/// A state of the store, frozen when it was taken. Erased keys are unreadable through it at once.
/// Its files stay on disk until it ends. Threads: any.
class Snapshot {
 public:
  [[nodiscard]] Sequence sequence() const noexcept;
  /// Errors: as Family::get; kWrongFamily if the family is younger than the snapshot.
  Result<std::optional<PinnedVector>> get(const Family& family, const Key& key) const;
  Result<std::vector<SegmentView>> segments(const Family& family) const;

 private:
  friend class Store;
  Snapshot(std::shared_ptr<engine::SnapshotState> state, std::shared_ptr<engine::StoreImpl> store) noexcept;
  std::shared_ptr<engine::SnapshotState> state_;
  std::shared_ptr<engine::StoreImpl> store_;
};

/// What a family is, for listings.
struct FamilyInfo {
  FamilyId id;
  std::string name;
  format::SegmentKind kind{};
  ModelSpec spec;  ///< Empty for record families.
  std::uint64_t rows = 0;
};

/// A store directory, owned by this process. Threads: any, for all members.
///
/// Memory: where memory is refused, every call here and on what comes from here answers kNoMemory, besides
/// the errors that it names: nothing was changed, and the store goes on. Only `close` has closed all the
/// same. std::bad_alloc never leaves the library. If the device fails while memory is refused, the store may
/// turn read-only. docs/decisions/0006-out-of-memory.md.
///
/// Fork: in a child, every call through handles that it inherited returns kClosed (or nothing), and
/// destroying them leaves alone what is the parent's, who goes on undisturbed. What was pinned stays
/// readable. A child that outlives a killed parent keeps the store locked until it ends or calls exec.
/// docs/architecture.md, "Fork".
class Store {
 public:
  /// Opens (or creates, with `create_if_missing`) the store in directory `path`.
  /// Errors: kNotFound, kNotAStore, kLocked, kCorruption (superblock or manifest: names fsck),
  ///         kUnsupported, kIo, kNoSpace. Nothing is removed from a directory that holds foreign files or
  ///         a store that lost its superblock.
  static Result<std::unique_ptr<Store>> open(const std::string& path, const Options& options = {});
  /// Creates a store; the directory may exist if it is empty. Errors: kExists, kIo, kNoSpace.
  static Result<std::unique_ptr<Store>> create(const std::string& path, const Options& options = {});

  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;
  /// Closes; errors are lost. Call `close` to hear of them.
  ~Store();
  /// Stops intake, drains, syncs, suspends the active segments, unlocks. Views pinned by callers stay
  /// valid. Errors: the first failure; the store is closed all the same.
  Result<void> close() noexcept;

  /// Creates a family, or opens it if one exists under this name with an equal spec.
  /// Errors: kSpecMismatch naming each difference; kInvalidArgument (name, spec); kWrongFamily for a
  ///         record family; kNoSpace, kReadOnly.
  Result<Family> family(std::string_view name, const ModelSpec& spec, const FamilyOptions& options = {});
  /// Errors: kNotFound, kWrongFamily.
  Result<Family> family(std::string_view name);
  /// Creates or opens a record family. Errors: as `family`.
  Result<RecordFamily> record_family(std::string_view name, const FamilyOptions& options = {});
  Result<RecordFamily> existing_record_family(std::string_view name);
  /// Drops the family: its files go when the last pin goes. Cost: grows with segments, not rows.
  Result<void> drop_family(std::string_view name);
  /// Empty also where memory is refused; `family` then says so.
  [[nodiscard]] std::vector<FamilyInfo> families() const noexcept;

  /// The number of a tenant, chunker or embedder build; defined durably when new.
  /// Errors: kLimit when ids are exhausted (65,535 builds), kInvalidArgument (name over 255 bytes).
  Result<ScopeId> intern_scope(std::string_view name);
  Result<ChunkerId> intern_chunker(std::string_view name, std::uint32_t version);
  Result<BuildId> intern_build(std::string_view name);
  /// Every interned entry, for listings. Empty also where memory is refused.
  [[nodiscard]] std::vector<format::InternedEntry> interned() const noexcept;

  [[nodiscard]] ReadScope read_scope() const noexcept { return ReadScope(*impl_); }
  Result<Snapshot> snapshot();
  /// A queue for asynchronous reads of any family of this store. Errors: kInvalidArgument, kIo, kClosed.
  Result<std::unique_ptr<ReadQueue>> read_queue(const ReadQueueOptions& options = {});
  /// Makes every write acknowledged before durable.
  Result<void> sync();
  /// Makes the write of `ticket`, and all before it, durable.
  Result<void> wait_durable(Ticket ticket);

  /// Where memory is refused, `StoreStats::is_partial` says so.
  [[nodiscard]] StoreStats stats() const noexcept;
  [[nodiscard]] const std::string& path() const noexcept;

 private:
  explicit Store(std::shared_ptr<engine::StoreImpl> impl) noexcept;
  static Result<std::unique_ptr<Store>> open_impl(const std::string& path, const Options& options,
                                                  bool must_create);
  std::shared_ptr<engine::StoreImpl> impl_;
  std::shared_ptr<void> control_;  ///< The control server, if Options::control asked for one.
};

}  // namespace vectolith
