/// @file
/// What the parts of an open store share: environment, manifest, families, counters, failure state.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <memory_resource>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <vector>

#include <vectolith/format/checksum.h>
#include <vectolith/options.h>
#include <vectolith/stats.h>

#include "index/epoch.h"
#include "index/page_source.h"
#include "io/environment.h"
#include "manifest/family_state.h"
#include "manifest/manifest_log.h"
#include "store/cold_reads.h"
#include "store/snapshot_state.h"

namespace vectolith::engine {

/// Counters since open; relaxed, any thread.
struct StoreCounters {
  std::atomic<std::uint64_t> puts{0}, puts_existing{0}, replaces{0}, erases{0};
  std::atomic<std::uint64_t> hits{0}, misses{0};
  std::array<std::atomic<std::uint64_t>, static_cast<std::size_t>(RejectReason::kCount)> rejected{};
  std::atomic<std::uint64_t> commits{0}, commit_rows{0};
  std::atomic<std::uint64_t> corruptions{0}, rows_lost{0}, segments_poisoned{0};
  std::atomic<std::uint64_t> vector_bytes_written{0};
  std::atomic<std::uint64_t> recovered_rows{0}, damaged_rows{0};
};

inline void add(std::atomic<std::uint64_t>& counter, std::uint64_t amount = 1) noexcept {
  counter.fetch_add(amount, std::memory_order_relaxed);
}

/// The manifest with its lock. Lock order: commit lock, then this.
class SharedManifest {
 public:
  void set(std::unique_ptr<ManifestLog> log) noexcept {
    const std::lock_guard lock(mutex_);
    log_ = std::move(log);
  }
  /// Errors: as ManifestLog::commit, kClosed.
  Result<void> commit(std::span<const format::Edit> edits, bool uses_reserve = false) {
    const std::lock_guard lock(mutex_);
    VECTOLITH_TRY(check_open());
    auto committed = log_->commit(edits, uses_reserve);
    version_.store(log_->version().value, std::memory_order_release);
    return committed;
  }
  /// Commits `edits(state)`, built under the lock; an empty list commits nothing.
  template <class Build>
  Result<void> commit_with(const Build& edits, bool uses_reserve = false) {
    const std::lock_guard lock(mutex_);
    VECTOLITH_TRY(check_open());
    const std::vector<format::Edit> built = edits(log_->state());
    if (built.empty()) return {};
    auto committed = log_->commit(built, uses_reserve);
    version_.store(log_->version().value, std::memory_order_release);
    return committed;
  }
  /// An empty state once the store is closed.
  template <class Read>
  auto read(const Read& reader) const {
    const std::lock_guard lock(mutex_);
    return reader(log_ != nullptr ? log_->state() : closed_);
  }
  [[nodiscard]] ManifestVersion version() const noexcept {
    return ManifestVersion(version_.load(std::memory_order_acquire));
  }
  void refresh_version() noexcept { version_.store(log_->version().value, std::memory_order_release); }

 private:
  [[nodiscard]] Result<void> check_open() const {
    if (log_ == nullptr) [[unlikely]]
      return fail(ErrorCode::kClosed, "the store is closed");
    return {};
  }

  mutable std::mutex mutex_;
  std::unique_ptr<ManifestLog> log_;
  const ManifestState closed_;
  std::atomic<std::uint64_t> version_{0};
};

/// Everything the parts of one open store share.
struct StoreContext {
  StoreContext(Options opened_with, std::string store_path, std::shared_ptr<Environment> os);
  StoreContext(const StoreContext&) = delete;
  StoreContext& operator=(const StoreContext&) = delete;
  ~StoreContext() { epochs.collect(); }

  Options options;
  std::string path;
  std::shared_ptr<Environment> environment;
  /// Reads 0 where this store was inherited by fork: its locks may be held by threads that do not exist here.
  const std::shared_ptr<const std::atomic<std::uint32_t>> process_mark;
  std::pmr::memory_resource& heap;  ///< Options::heap, or the default resource.
  std::unique_ptr<Directory> directory;
  std::unique_ptr<File> lock_file;
  Uuid store_uuid;
  SharedManifest manifest;
  std::shared_ptr<PageSource> page_source;
  std::shared_ptr<EpochDomain> epoch_domain;  ///< Shared with the families: handles may outlive the store.
  EpochDomain& epochs;
  format::KeyHasher hasher;
  StoreCounters counters;
  SnapshotRegistry snapshots;
  ColdReads cold_reads;
  /// Mapped pages are being taken back: what was in memory once need not be there now.
  std::atomic<bool> memory_is_short{false};
  std::mutex placement_mutex;  ///< Taken without the commit lock.

  mutable std::shared_mutex families_mutex;
  std::map<FamilyId, std::shared_ptr<FamilyState>> families;  ///< [families_mutex]

  std::atomic<bool> closed{false};
  /// Highest defined id of each interned table, by its number; ids are given out without gaps.
  std::array<std::atomic<std::uint32_t>, 4> interned_max{};

  /// A fresh random UUID.
  [[nodiscard]] Uuid random_uuid() const;
  [[nodiscard]] std::uint32_t index_shards() const noexcept;
  /// Builds the in-memory state of a family, without rows. Errors: kNoMemory, kCorruption (its spec).
  Result<std::shared_ptr<FamilyState>> make_family(const FamilyEntry& entry, std::uint64_t rows_expected);
  /// None in a forked child.
  [[nodiscard]] std::vector<std::shared_ptr<FamilyState>> family_list() const;

  /// The family of this id, if it was not dropped.
  [[nodiscard]] std::shared_ptr<FamilyState> find_family(FamilyId id) const;

  /// Tells the caller's listener, if there is one. What cannot be told for want of memory is lost.
  void report(Event::Kind kind, std::string_view message,
              std::optional<Error> error = std::nullopt) const noexcept;
  /// Turns the store read-only for good; the first cause is kept and repeated.
  void fail_store(const Error& cause) noexcept;
  /// Errors: kClosed, kReadOnly with the first cause.
  Result<void> check_writable() const;
  /// Errors: kReadOnly with the first cause, also when the store is being closed.
  Result<void> check_not_failed() const;
  /// Errors: kClosed, also in a forked child.
  Result<void> check_open() const;
  [[nodiscard]] bool is_inherited() const noexcept {
    return process_mark->load(std::memory_order_relaxed) == 0;
  }
  /// Whether `check_open` fails.
  [[nodiscard]] bool is_unusable() const noexcept {
    return closed.load(std::memory_order_acquire) || is_inherited();
  }
  /// Counts what `entry` defines as defined.
  void note_interned(const format::InternedEntry& entry) noexcept;
  /// Errors: kInvalidArgument naming an id of the row that this store never defined.
  Result<void> check_interned(const Key& key, BuildId build) const;
  [[nodiscard]] bool is_read_only() const noexcept { return read_only_.load(std::memory_order_acquire); }

 private:
  std::atomic<bool> read_only_{false};
  mutable std::mutex failure_mutex_;
  std::optional<Error> failure_;
};

}  // namespace vectolith::engine
