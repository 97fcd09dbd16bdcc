/// @file
/// An open store: its parts put together, with a life from open to close.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include <vectolith/store.h>

#include "store/committer.h"
#include "store/maintenance.h"
#include "store/recovery.h"
#include "store/segment_factory.h"
#include "store/store_context.h"

namespace vectolith::engine {

/// Owns every part of an open store. Public handles share it, so that a handle used after close gets
/// an error and not a dangling pointer.
class StoreImpl : public std::enable_shared_from_this<StoreImpl> {
 public:
  static Result<std::shared_ptr<StoreImpl>> open(const std::string& path, const Options& options,
                                                 bool must_create);
  ~StoreImpl();
  /// `before` is called first, unless the store is closed already. Two closing threads wait for each other.
  /// Never throws, unless `before` does.
  Result<void> close(const std::function<void()>& before = {});

  [[nodiscard]] StoreContext& context() noexcept { return context_; }
  [[nodiscard]] Committer& committer() noexcept { return committer_; }

  /// A family by name, created when missing and `create` is given. Errors: as Store::family.
  Result<std::shared_ptr<FamilyState>> family(std::string_view name, format::SegmentKind kind,
                                              const ModelSpec* spec, const FamilyOptions& options,
                                              bool create);
  Result<void> drop_family(std::string_view name);
  Result<std::uint32_t> intern(format::InternedEntry::Table table, std::string_view name,
                               std::uint32_t version);
  Result<std::shared_ptr<SnapshotState>> snapshot();
  /// Every interned entry.
  [[nodiscard]] std::vector<format::InternedEntry> interned() const;
  /// Whether `by_ordinal` may be read: the lock keeps a drop out, and what was dropped before is cleared
  /// without it. Needs the commit lock. Errors: kWrongFamily.
  static Result<void> check_listable(const FamilyState& family);
  /// The family's segments by id, pinned. Errors: kClosed, kWrongFamily.
  Result<std::map<SegmentId, std::shared_ptr<MappedSegment>>> segments_by_id(const FamilyState& family);
  Result<void> sync();
  Result<void> wait_durable(std::uint64_t commit);
  [[nodiscard]] StoreStats stats() noexcept;

  /// Runs a put or erase to its acknowledgement. Errors: the write's own.
  Result<void> run(PendingWrite& write);
  Result<EraseResult> erase(FamilyState& family, const Key& key, std::optional<Durability> durability);
  /// Queues an asynchronous write. Errors: kBusy when too much is pending.
  Result<void> submit(const std::shared_ptr<PendingWrite>& write);
  Result<void> wait(PendingWrite& write);

 private:
  StoreImpl(const std::string& path, const Options& options, std::shared_ptr<Environment> environment);
  /// Whether the directory holds a store. Errors: those of Store::open and Store::create where none can be
  /// made either.
  Result<bool> find_store(bool must_create, bool may_create) const;
  Result<void> create_files();
  Result<void> read_superblock();
  Result<void> lock_store();
  Result<void> start(bool must_create);
  Result<std::shared_ptr<FamilyState>> create_family(std::string_view name, format::SegmentKind kind,
                                                     const ModelSpec* spec, const FamilyOptions& options);
  Result<void> suspend();
  void close_files() noexcept;
  Result<void> start_workers();
  void stop_workers() noexcept;
  void notify_maintainer() noexcept;
  Result<void> add_sizes(StoreStats& stats);
  void add_family_stats(StoreStats& stats, const FamilyState& family);
  void add_disk_stats(StoreStats& stats);

  StoreContext context_;
  SegmentFactory factory_;
  Committer committer_;
  Maintenance maintenance_;
  std::mutex structure_mutex_;  ///< Serialises creation and removal of families and interning.
  std::mutex close_mutex_;      ///< Held while the store is being closed.
  std::mutex workers_mutex_;    ///< Guards the two pointers: writers notify while close takes them away.
  std::unique_ptr<Worker> flusher_;
  std::unique_ptr<Worker> maintainer_;
  std::uint64_t open_ns_ = 0;
};

}  // namespace vectolith::engine
