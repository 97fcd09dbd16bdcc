/// @file
/// Opening, creating and closing a store.
#include "store/store_impl.h"

#include <algorithm>
#include <shared_mutex>
#include <utility>

#include <vectolith/format/file_name.h>
#include <vectolith/format/superblock.h>

#include "io/sanitizer.h"
#include "no_memory.h"
#include "planted_bug.h"
#include "segment/sealing.h"

namespace vectolith::engine {
namespace {

constexpr std::chrono::milliseconds kFlusherIdle{60'000};

Result<std::shared_ptr<Environment>> environment_for(const Options& options) {
  if (options.environment != nullptr) return options.environment;
  const auto choice = options.io == IoChoice::kAuto    ? BackendChoice::kAuto
                      : options.io == IoChoice::kUring ? BackendChoice::kUring
                                                       : BackendChoice::kSync;
  VECTOLITH_TRY_ASSIGN(auto made, make_environment(choice));
  return std::shared_ptr<Environment>(std::move(made));
}

Result<void> check_options(const Options& options) {
  const auto outside = [](std::uint64_t bytes) {
    return bytes < format::kSegmentFileBytesMin || bytes > (256ULL << 20);
  };
  if (outside(options.segment_bytes_target)) {
    return fail(ErrorCode::kInvalidArgument, "segment_bytes_target must lie between 64 KiB and 256 MiB");
  }
  if (outside(options.segment_bytes_initial)) {
    return fail(ErrorCode::kInvalidArgument, "segment_bytes_initial must lie between 64 KiB and 256 MiB");
  }
  return {};
}

}  // namespace

StoreImpl::StoreImpl(const std::string& path, const Options& options,
                     std::shared_ptr<Environment> environment)
    : context_(options, path, std::move(environment)),
      factory_(context_),
      committer_(context_, factory_),
      maintenance_(context_, factory_, committer_) {}

StoreImpl::~StoreImpl() { (void)close(); }

Result<std::shared_ptr<StoreImpl>> StoreImpl::open(const std::string& path, const Options& options,
                                                   bool must_create) {
  VECTOLITH_TRY(check_options(options));
  VECTOLITH_TRY_ASSIGN(auto environment, environment_for(options));
  // In a forked child nothing of it is taken down: its threads do not run there, and what it would lock,
  // unlink, unlock or shut down belongs to the parent. Its memory goes with the child.
  const auto dispose = [](StoreImpl* impl) {
    if (!impl->context_.is_inherited()) {
      delete impl;
    } else {
      sanitizer::leave_behind(impl);
    }
  };
  std::shared_ptr<StoreImpl> store(new StoreImpl(path, options, std::move(environment)), dispose);
  VECTOLITH_TRY(store->context_.check_open());
  if (auto started = catch_no_memory([&] { return store->start(must_create); }); !started) {
    store->context_.closed.store(true);
    return std::unexpected(std::move(started).error());
  }
  return store;
}

Result<void> StoreImpl::start(bool must_create) {
  auto& environment = *context_.environment;
  const std::uint64_t began = environment.steady_ns();
  if (!environment.fallback_reason().empty()) {
    context_.report(Event::Kind::kIoFallback, std::string(environment.fallback_reason()));
  }
  const bool may_create = must_create || (context_.options.create_if_missing && !context_.options.read_only);
  VECTOLITH_TRY_ASSIGN(context_.directory, environment.open_directory(context_.path, may_create));
  VECTOLITH_TRY_ASSIGN(bool exists, find_store(must_create, may_create));
  if (!context_.options.read_only) {
    VECTOLITH_TRY(lock_store());
    // Another process may have made a store, and closed it, between the first look and the lock.
    VECTOLITH_TRY_ASSIGN(exists, find_store(must_create, may_create));
  }
  if (!exists) {
    VECTOLITH_TRY(create_files());
  } else if (!context_.options.read_only) {
    // Its creator may have died before it could: then power may take `STORE` and leave what we add.
    VECTOLITH_TRY(context_.directory->sync());
  }
  VECTOLITH_TRY(read_superblock());

  VECTOLITH_TRY_ASSIGN(auto log,
                       ManifestLog::open(environment, *context_.directory, context_.store_uuid,
                                         context_.options.read_only, context_.options.lock_timeout));
  ManifestLog& manifest = *log;
  context_.manifest.set(std::move(log));
  context_.manifest.refresh_version();
  for (const auto& entry : manifest.state().interned()) context_.note_interned(entry);
  const bool was_clean = manifest.state().clean_close().has_value();
  Recovery recovery(context_, factory_, manifest);
  VECTOLITH_TRY_ASSIGN(auto recovered, recovery.run());
  context_.manifest.refresh_version();
  if (!was_clean && context_.counters.recovered_rows.load() > 0) {
    context_.report(Event::Kind::kRecovered, "the store was not closed cleanly; " +
                                                 std::to_string(context_.counters.recovered_rows.load()) +
                                                 " rows of unsealed segments were read back");
  }
  committer_.set_next_sequence(recovered.next_sequence);
  if (!context_.options.read_only) {
    for (auto& job : recovered.seal_jobs) committer_.inherit(std::move(job));
    VECTOLITH_TRY(committer_.start(recovered.reserved_until, std::move(recovered.journal),
                                   recovered.next_journal_id, [this] { notify_maintainer(); }));
    VECTOLITH_TRY(start_workers());
  }
  open_ns_ = environment.steady_ns() - began;
  return {};
}

Result<bool> StoreImpl::find_store(bool must_create, bool may_create) const {
  const auto fail = [this](ErrorCode code, std::string_view what) {
    return std::unexpected(Error(code, what).with_file(context_.path));
  };
  VECTOLITH_TRY_ASSIGN(const auto names, context_.directory->list());
  const auto has = [&names](auto&& is_meant) {
    return std::ranges::any_of(names, [&](const std::string& name) {
      const auto parsed = format::parse_name(name);
      return is_meant(parsed ? std::optional(parsed->kind) : std::nullopt);
    });
  };
  using Kind = format::ParsedName::Kind;
  if (has([](auto kind) { return kind == Kind::kSuperblock; })) {
    if (must_create) return fail(ErrorCode::kExists, "there is a store already");
    return true;
  }
  // A creation that a crash cut short is begun anew. It leaves nothing but these, for a journal, and then
  // segments, are made by the first open of a finished store: with them, it is a store that lost `STORE`.
  if (has([](auto kind) { return kind == Kind::kSegment || kind == Kind::kJournal; })) {
    return std::unexpected(Error(ErrorCode::kCorruption,
                                 "the store lost its superblock; copy the directory, then run fsck on it")
                               .with_file(context_.path + "/" + std::string(format::kSuperblockName)));
  }
  if (!may_create) return fail(ErrorCode::kNotAStore, "the directory holds no vectolith store");
  if (has([](auto kind) { return !kind; })) {
    return must_create ? fail(ErrorCode::kExists, "the directory is not empty")
                       : fail(ErrorCode::kNotAStore, "the directory is not empty and holds no store");
  }
  return false;
}

Result<void> StoreImpl::start_workers() {
  auto& environment = *context_.environment;
  const std::lock_guard lock(workers_mutex_);
  flusher_ = environment.start_worker("vl-flush", [this]() -> std::chrono::nanoseconds {
    return committer_.step() ? std::chrono::nanoseconds(0) : std::chrono::nanoseconds(kFlusherIdle);
  });
  maintainer_ = environment.start_worker("vl-maintain", [this] { return maintenance_.step(); });
  if (flusher_ == nullptr || maintainer_ == nullptr)
    return fail(ErrorCode::kNoMemory, "the system refuses the store another thread");
  return {};
}

void StoreImpl::stop_workers() noexcept {
  std::unique_lock lock(workers_mutex_);
  const auto flusher = std::move(flusher_);
  const auto maintainer = std::move(maintainer_);
  // They end after the lock, which a commit of the flusher may wait for.
  lock.unlock();
}

void StoreImpl::notify_maintainer() noexcept {
  const std::lock_guard lock(workers_mutex_);
  if (maintainer_ != nullptr) maintainer_->notify();
}

Result<void> StoreImpl::lock_store() {
  VECTOLITH_TRY_ASSIGN(context_.lock_file,
                       context_.directory->open(format::kLockName, OpenMode::kOpenOrCreate));
  VECTOLITH_TRY_ASSIGN(const bool locked, context_.lock_file->try_lock(LockMode::kExclusive));
  if (!locked) {
    return std::unexpected(Error(ErrorCode::kLocked, "another process has the store open")
                               .with_file(context_.lock_file->path()));
  }
  return {};
}

Result<void> StoreImpl::create_files() {
  auto& directory = *context_.directory;
  VECTOLITH_TRY_ASSIGN(const auto names, directory.list());
  for (const auto& name : names) {
    if (name != format::kLockName) VECTOLITH_TRY(directory.unlink(name));
  }
  format::Superblock superblock;
  superblock.store_uuid = context_.random_uuid();
  superblock.created_at_s = context_.environment->wall_clock_ms() / 1'000;
  VECTOLITH_TRY(ManifestLog::create(*context_.environment, directory, superblock.store_uuid, {}));
  const std::string temporary(format::kSuperblockTemporaryName);
  {
    VECTOLITH_TRY_ASSIGN(auto file, directory.open(temporary, OpenMode::kOpenOrCreate));
    VECTOLITH_TRY(file->write_at(0, format::encode_superblock(superblock)));
    VECTOLITH_TRY(file->data_sync());
  }
  // The superblock's name is what makes a directory a store: it comes last, whole, and durable.
  VECTOLITH_TRY(directory.rename(temporary, format::kSuperblockName));
  return directory.sync();
}

Result<void> StoreImpl::read_superblock() {
  VECTOLITH_TRY_ASSIGN(const auto file,
                       context_.directory->open(format::kSuperblockName, OpenMode::kReadOnly));
  std::vector<std::byte> bytes(format::kSuperblockFileBytes);
  VECTOLITH_TRY_ASSIGN(const auto length, file->read_at(0, bytes));
  bytes.resize(length);
  auto superblock = format::decode_superblock(bytes);
  if (!superblock) return std::unexpected(std::move(superblock).error().with_file(file->path()));
  VECTOLITH_TRY_ASSIGN(
      const auto access,
      format::check_features(superblock->version_major,
                             {superblock->compat, superblock->ro_compat, superblock->incompat}, "store"));
  if (access == format::Access::kReadOnly && !context_.options.read_only) {
    return std::unexpected(
        Error(ErrorCode::kUnsupported,
              "the store uses a feature that this version can only read; open it read-only")
            .with_file(file->path()));
  }
  context_.store_uuid = superblock->store_uuid;
  return {};
}

Result<void> StoreImpl::close(const std::function<void()>& before) {
  if (context_.is_inherited()) return context_.check_open();
  const std::lock_guard closing(close_mutex_);
  if (context_.closed.load()) return {};
  if (before) before();
  context_.closed.store(true);
  if (context_.options.read_only) return {};
  stop_workers();
  while (committer_.step()) {
  }
  auto suspended = catch_no_memory([this] { return suspend(); });
  close_files();
  context_.epochs.collect();
  return suspended;
}

void StoreImpl::close_files() noexcept {
  // Calls that passed their check before `closed` was set may still be on their way to the commit lock.
  const Committer::Lock lock(committer_);
  const std::shared_lock listing(context_.families_mutex);
  for (const auto& [id, family] : context_.families) {
    for (const auto& segment : family->by_ordinal) segment->close_file();
    const std::lock_guard preparing(family->prepare_mutex);
    family->prepared.reset();
  }
  committer_.close_files();
  context_.manifest.set(nullptr);
  context_.lock_file.reset();
}

Result<void> StoreImpl::suspend() {
  {
    // Before the segments are sealed: a late write could roll one that nobody would seal.
    const Committer::Lock lock(committer_);
    committer_.shut();
  }
  auto sealed = maintenance_.seal_all();
  if (!context_.is_read_only() && !is_planted(PlantedBug::kCloseWithoutSync)) {
    PendingWrite sync;
    sync.kind = PendingWrite::Kind::kSync;
    sync.level = Durability::kDurable;
    committer_.submit(sync);
    committer_.wait(sync);
    if (sync.error) return std::unexpected(*sync.error);
  }
  const Committer::Lock lock(committer_);
  if (!sealed) return sealed;
  VECTOLITH_TRY(context_.check_not_failed());
  std::vector<format::Edit> edits;
  for (const auto& family : context_.family_list()) {
    if (family->prepared != nullptr) edits.emplace_back(format::RemoveSegment{family->prepared->id()});
    if (family->active == nullptr) continue;
    edits.emplace_back(format::SuspendSegment{family->active->id(), family->active->rows()});
  }
  edits.emplace_back(format::CleanClose{committer_.next_sequence(), committer_.journal().next_row()});
  VECTOLITH_TRY(context_.manifest.commit(edits, true));
  for (const auto& family : context_.family_list()) {
    if (family->prepared != nullptr) factory_.remove_file(*family->prepared);
    // The preallocated rest is given back; the next writer allocates it again.
    if (family->active != nullptr)
      VECTOLITH_TRY(release_unused_tail(*family->active, family->active->rows()));
  }
  return {};
}

}  // namespace vectolith::engine
