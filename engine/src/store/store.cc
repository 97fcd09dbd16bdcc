/// @file
/// The public Store, its scopes, snapshots and pending writes, over StoreImpl.
#include <vectolith/store.h>

#include <new>
#include <utility>

#include "no_memory.h"
#include "store/control_start.h"
#include "store/read_path.h"
#include "store/store_impl.h"

namespace vectolith {

using engine::EpochDomain;

static_assert(sizeof(EpochDomain::Scope) <= sizeof(void*), "ReadScope keeps an engine scope in place");

ReadScope::ReadScope(engine::StoreImpl& store) noexcept {
  new (scope_) EpochDomain::Scope(store.context().epochs.enter());
}
ReadScope::~ReadScope() { std::launder(reinterpret_cast<EpochDomain::Scope*>(scope_))->~Scope(); }

PendingPut::PendingPut(std::shared_ptr<engine::StoreImpl> store,
                       std::shared_ptr<engine::PendingWrite> write) noexcept
    : store_(std::move(store)), write_(std::move(write)) {}

bool PendingPut::ready() const noexcept {
  return write_->state.load(std::memory_order_acquire) == engine::PendingWrite::kDone;
}

Result<PutResult> PendingPut::wait() {
  return catch_no_memory([&]() -> Result<PutResult> {
    VECTOLITH_TRY(store_->wait(*write_));
    return write_->owned_result;
  });
}

Store::Store(std::shared_ptr<engine::StoreImpl> impl) noexcept : impl_(std::move(impl)) {}

Store::~Store() { (void)close(); }

Result<std::unique_ptr<Store>> Store::open_impl(const std::string& path, const Options& options,
                                                bool must_create) {
  return catch_no_memory([&]() -> Result<std::unique_ptr<Store>> {
    VECTOLITH_TRY_ASSIGN(auto impl, engine::StoreImpl::open(path, options, must_create));
    auto& context = impl->context();
    std::unique_ptr<Store> store(new Store(std::move(impl)));
    if (options.control && !options.read_only) {
      VECTOLITH_TRY_ASSIGN(store->control_,
                           engine::start_control_service(*store, *context.environment, *context.directory));
    }
    return store;
  });
}

Result<std::unique_ptr<Store>> Store::open(const std::string& path, const Options& options) {
  return open_impl(path, options, false);
}

Result<std::unique_ptr<Store>> Store::create(const std::string& path, const Options& options) {
  return open_impl(path, options, true);
}

Result<void> Store::close() noexcept {
  // The control server's sessions call this store: they end before it does.
  return impl_->close([this] { control_.reset(); });
}

Result<Family> Store::family(std::string_view name, const ModelSpec& spec, const FamilyOptions& options) {
  return catch_no_memory([&]() -> Result<Family> {
    VECTOLITH_TRY_ASSIGN(auto state, impl_->family(name, format::SegmentKind::kVector, &spec, options, true));
    Family family(impl_, std::move(state));
    if (options.placement) VECTOLITH_TRY(family.place(*options.placement, options.pin_metas));
    return family;
  });
}

Result<Family> Store::family(std::string_view name) {
  return catch_no_memory([&]() -> Result<Family> {
    VECTOLITH_TRY_ASSIGN(auto state, impl_->family(name, format::SegmentKind::kVector, nullptr, {}, false));
    return Family(impl_, std::move(state));
  });
}

Result<RecordFamily> Store::record_family(std::string_view name, const FamilyOptions& options) {
  return catch_no_memory([&]() -> Result<RecordFamily> {
    VECTOLITH_TRY_ASSIGN(auto state,
                         impl_->family(name, format::SegmentKind::kRecord, nullptr, options, true));
    return RecordFamily(impl_, std::move(state));
  });
}

Result<RecordFamily> Store::existing_record_family(std::string_view name) {
  return catch_no_memory([&]() -> Result<RecordFamily> {
    VECTOLITH_TRY_ASSIGN(auto state, impl_->family(name, format::SegmentKind::kRecord, nullptr, {}, false));
    return RecordFamily(impl_, std::move(state));
  });
}

Result<void> Store::drop_family(std::string_view name) {
  return catch_no_memory([&] { return impl_->drop_family(name); });
}

std::vector<FamilyInfo> Store::families() const noexcept {
  auto listed = catch_no_memory([this]() -> Result<std::vector<FamilyInfo>> {
    std::vector<FamilyInfo> infos;
    for (const auto& family : impl_->context().family_list()) {
      infos.push_back({.id = family->id,
                       .name = family->name,
                       .kind = family->kind,
                       .spec = family->spec,
                       .rows = family->index->size()});
    }
    return infos;
  });
  return listed ? *std::move(listed) : std::vector<FamilyInfo>();
}

Result<ScopeId> Store::intern_scope(std::string_view name) {
  return catch_no_memory([&]() -> Result<ScopeId> {
    VECTOLITH_TRY_ASSIGN(const auto id, impl_->intern(format::InternedEntry::Table::kScope, name, 0));
    return ScopeId(id);
  });
}

Result<ChunkerId> Store::intern_chunker(std::string_view name, std::uint32_t version) {
  return catch_no_memory([&]() -> Result<ChunkerId> {
    VECTOLITH_TRY_ASSIGN(const auto id, impl_->intern(format::InternedEntry::Table::kChunker, name, version));
    return ChunkerId(id);
  });
}

Result<BuildId> Store::intern_build(std::string_view name) {
  return catch_no_memory([&]() -> Result<BuildId> {
    VECTOLITH_TRY_ASSIGN(const auto id, impl_->intern(format::InternedEntry::Table::kBuild, name, 0));
    return BuildId(static_cast<std::uint16_t>(id));
  });
}

std::vector<format::InternedEntry> Store::interned() const noexcept {
  auto listed =
      catch_no_memory([this]() -> Result<std::vector<format::InternedEntry>> { return impl_->interned(); });
  return listed ? *std::move(listed) : std::vector<format::InternedEntry>();
}

Result<Snapshot> Store::snapshot() {
  return catch_no_memory([&]() -> Result<Snapshot> {
    VECTOLITH_TRY_ASSIGN(auto state, impl_->snapshot());
    return Snapshot(std::move(state), impl_);
  });
}

Result<void> Store::sync() {
  return catch_no_memory([&] { return impl_->sync(); });
}

Result<void> Store::wait_durable(Ticket ticket) {
  return catch_no_memory([&] { return impl_->wait_durable(ticket.commit); });
}

StoreStats Store::stats() const noexcept { return impl_->stats(); }
const std::string& Store::path() const noexcept { return impl_->context().path; }

Snapshot::Snapshot(std::shared_ptr<engine::SnapshotState> state,
                   std::shared_ptr<engine::StoreImpl> store) noexcept
    : state_(std::move(state)), store_(std::move(store)) {}

Sequence Snapshot::sequence() const noexcept { return state_->sequence; }

Result<std::vector<SegmentView>> Snapshot::segments(const Family& family) const {
  return catch_no_memory([&]() -> Result<std::vector<SegmentView>> {
    const auto view = state_->families.find(family.id());
    if (view == state_->families.end())
      return fail(ErrorCode::kWrongFamily, "family '" + family.name() + "' is younger than the snapshot");
    std::vector<SegmentView> views;
    for (const auto& [ordinal, frozen] : view->second.by_ordinal)
      views.push_back(engine::view_of(frozen, *view->second.family));
    return views;
  });
}

Result<std::optional<PinnedVector>> Snapshot::get(const Family& family, const Key& key) const {
  return catch_no_memory([&]() -> Result<std::optional<PinnedVector>> {
    const auto found = state_->families.find(family.id());
    if (found == state_->families.end())
      return fail(ErrorCode::kWrongFamily, "family '" + family.name() + "' is younger than the snapshot");
    auto& context = store_->context();
    const auto& state = *found->second.family;
    const auto scope = context.epochs.enter();
    const engine::ReadPath reads(context, state);
    VECTOLITH_TRY(reads.check());
    std::optional<engine::PinnedLocation> at;
    if (const auto now = state.find(context.hasher(key), key);
        now && state_->holds(state.id, now->ordinal, now->row)) {
      at = engine::PinnedLocation{state.segments.get(now->ordinal)->shared_from_this(), now->row};
    } else {
      at = state_->superseded(state.id, key);
    }
    if (!at) return std::optional<PinnedVector>();
    VECTOLITH_TRY(at->segment->verify_first_touch(at->row));
    return std::optional<PinnedVector>(
        PinnedVector(reads.view(engine::FoundRow{at->segment.get(), at->row}), at->segment));
  });
}

}  // namespace vectolith
