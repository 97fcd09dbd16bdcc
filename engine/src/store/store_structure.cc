/// @file
/// Families, interned ids, snapshots, sync and statistics of an open store.
#include <algorithm>
#include <array>
#include <utility>

#include <vectolith/format/file_name.h>

#include "no_memory.h"
#include "planted_bug.h"
#include "store/placement.h"
#include "store/store_impl.h"

namespace vectolith::engine {
namespace {

Result<void> check_family_name(std::string_view name) {
  if (name.empty() || name.size() > format::kFamilyNameBytesMax) {
    return fail(ErrorCode::kInvalidArgument, "a family's name has 1 to 255 bytes");
  }
  const bool printable = std::ranges::all_of(
      name, [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != '/' && c != 0x7F; });
  if (!printable)
    return fail(ErrorCode::kInvalidArgument, "a family's name has no '/' and no control characters");
  return {};
}

Result<void> check_same(const FamilyState& family, format::SegmentKind kind, const ModelSpec* spec) {
  if (family.kind != kind) {
    return fail(ErrorCode::kWrongFamily,
                "family '" + family.name + "' holds " + (family.holds_records() ? "records" : "vectors"));
  }
  if (spec == nullptr || *spec == family.spec) return {};
  return fail(ErrorCode::kSpecMismatch, "family '" + family.name + "' has another model spec: " +
                                            format::difference(*spec, family.spec));
}

}  // namespace

Result<std::shared_ptr<FamilyState>> StoreImpl::family(std::string_view name, format::SegmentKind kind,
                                                       const ModelSpec* spec, const FamilyOptions& options,
                                                       bool create) {
  VECTOLITH_TRY(context_.check_open());
  const std::lock_guard structure(structure_mutex_);
  for (const auto& family : context_.family_list()) {
    if (family->name != name) continue;
    VECTOLITH_TRY(check_same(*family, kind, spec));
    return family;
  }
  if (!create) return fail(ErrorCode::kNotFound, "there is no family '" + std::string(name) + "'");
  VECTOLITH_TRY(check_family_name(name));
  if (spec != nullptr) VECTOLITH_TRY(format::check_model_spec(*spec));
  return create_family(name, kind, spec, options);
}

Result<std::shared_ptr<FamilyState>> StoreImpl::create_family(std::string_view name, format::SegmentKind kind,
                                                              const ModelSpec* spec,
                                                              const FamilyOptions& options) {
  VECTOLITH_TRY(context_.check_writable());
  format::CreateFamily edit;
  edit.family = context_.manifest.read([](const ManifestState& state) { return state.next_ids().family; });
  edit.kind = kind;
  edit.name = name;
  if (spec != nullptr) edit.spec = format::encode_model_spec(*spec);
  edit.segment_bytes_target = options.segment_bytes_target != 0 ? options.segment_bytes_target
                                                                : context_.options.segment_bytes_target;
  if (edit.segment_bytes_target < format::kSegmentFileBytesMin ||
      edit.segment_bytes_target > (256ULL << 20)) {
    return fail(ErrorCode::kInvalidArgument, "segment_bytes_target must lie between 64 KiB and 256 MiB");
  }
  FamilyEntry entry{.id = edit.family,
                    .kind = kind,
                    .name = edit.name,
                    .spec = std::nullopt,
                    .segment_bytes_target = edit.segment_bytes_target};
  if (spec != nullptr) entry.spec = *spec;
  VECTOLITH_TRY_ASSIGN(auto family, context_.make_family(entry, 0));
  std::map<FamilyId, std::shared_ptr<FamilyState>> listed;
  listed.emplace(entry.id, family);
  const std::array<format::Edit, 1> edits = {std::move(edit)};
  VECTOLITH_TRY(context_.manifest.commit(edits));
  const std::unique_lock lock(context_.families_mutex);
  context_.families.merge(listed);  // The node is there already: it needs no memory.
  return family;
}

Result<void> StoreImpl::drop_family(std::string_view name) {
  VECTOLITH_TRY(context_.check_writable());
  const std::lock_guard structure(structure_mutex_);
  const auto families = context_.family_list();
  const auto found = std::ranges::find_if(families, [&](const auto& family) { return family->name == name; });
  if (found == families.end())
    return fail(ErrorCode::kNotFound, "there is no family '" + std::string(name) + "'");
  const auto& family = *found;
  // Readers in a scope may still look at its segments when it is gone; handles keep the rest.
  auto retirement = EpochDomain::prepare([family] { family->by_ordinal.clear(); });
  family->dropped.store(true);
  const Committer::Lock commit(committer_);
  const std::lock_guard preparing(family->prepare_mutex);
  std::vector<SegmentId> removed;
  const auto removal = [&](const ManifestState& state) {
    std::vector<format::Edit> edits;
    for (const auto& [id, entry] : state.segments()) {
      if (entry.family != family->id) continue;
      edits.emplace_back(format::RemoveSegment{id});
      removed.push_back(id);
    }
    edits.emplace_back(format::DropFamily{family->id});
    if (is_planted(PlantedBug::kRemoveFilesFirst)) {
      for (const auto id : removed) factory_.remove_file(id);
    }
    return edits;
  };
  auto committed = catch_no_memory([&] { return context_.manifest.commit_with(removal, true); });
  if (!committed) {
    family->dropped.store(false);
    return committed;
  }
  committer_.forget_family(*family);
  {
    const std::unique_lock lock(context_.families_mutex);
    context_.families.erase(family->id);
  }
  for (const auto id : removed) factory_.remove_file(id);
  family->active.reset();
  family->prepared.reset();
  context_.epochs.retire(std::move(retirement));
  return {};
}

Result<std::uint32_t> StoreImpl::intern(format::InternedEntry::Table table, std::string_view name,
                                        std::uint32_t version) {
  VECTOLITH_TRY(context_.check_open());
  if (name.size() > format::kFamilyNameBytesMax)
    return fail(ErrorCode::kInvalidArgument, "an interned name has at most 255 bytes");
  if (name.empty()) return 0U;
  const std::lock_guard structure(structure_mutex_);
  std::uint32_t highest = 0;
  const auto known = context_.manifest.read([&](const ManifestState& state) -> std::optional<std::uint32_t> {
    for (const auto& entry : state.interned()) {
      if (entry.table != table) continue;
      if (entry.name == name && entry.version == version) return entry.id;
      highest = std::max(highest, entry.id);
    }
    return std::nullopt;
  });
  if (known) return *known;
  VECTOLITH_TRY(context_.check_writable());
  const std::uint32_t limit = table == format::InternedEntry::Table::kBuild ? 0xFFFFU : 0xFFFF'FFFFU;
  if (highest == limit) return fail(ErrorCode::kLimit, "no interned id is left in this table");
  const format::DefineInterned definition{{table, highest + 1, version, std::string(name)}};
  const std::array<format::Edit, 1> edits = {definition};
  VECTOLITH_TRY(context_.manifest.commit(edits));
  context_.note_interned(definition.entry);
  return highest + 1;
}

Result<std::shared_ptr<SnapshotState>> StoreImpl::snapshot() {
  VECTOLITH_TRY(context_.check_open());
  auto state = std::make_shared<SnapshotState>();
  const Committer::Lock lock(committer_);
  state->sequence = Sequence(committer_.next_sequence().value - 1);
  for (const auto& family : context_.family_list()) {
    auto& view = state->families[family->id];
    view.family = family;
    for (const auto& segment : family->by_ordinal) {
      if (segment->rows() > 0)
        view.by_ordinal.emplace(segment->ordinal, freeze_segment(segment, segment->rows()));
    }
  }
  context_.snapshots.add(state);
  return state;
}

std::vector<format::InternedEntry> StoreImpl::interned() const {
  if (context_.is_unusable()) return {};
  return context_.manifest.read([](const ManifestState& state) { return state.interned(); });
}

Result<std::map<SegmentId, std::shared_ptr<MappedSegment>>> StoreImpl::segments_by_id(
    const FamilyState& family) {
  VECTOLITH_TRY(context_.check_open());
  std::map<SegmentId, std::shared_ptr<MappedSegment>> by_id;
  const Committer::Lock lock(committer_);
  VECTOLITH_TRY(check_listable(family));
  for (const auto& segment : family.by_ordinal) by_id.emplace(segment->id(), segment);
  return by_id;
}

Result<void> StoreImpl::check_listable(const FamilyState& family) {
  if (family.dropped.load()) return fail(ErrorCode::kWrongFamily, "family '" + family.name + "' was dropped");
  return {};
}

Result<void> StoreImpl::run(PendingWrite& write) {
  VECTOLITH_TRY(context_.check_writable());
  committer_.submit(write);
  committer_.wait(write);
  if (write.error) return std::unexpected(std::move(*write.error));
  for (auto& result : write.results) result.ticket.commit = write.commit;
  return {};
}

Result<EraseResult> StoreImpl::erase(FamilyState& family, const Key& key,
                                     std::optional<Durability> durability) {
  const BatchRow row{key, {}};
  const std::uint64_t hash = context_.hasher(key);
  PendingWrite write;
  write.kind = PendingWrite::Kind::kErase;
  write.level = durability.value_or(context_.options.durability);
  write.family = &family;
  write.rows = {&row, 1};
  write.hashes = {&hash, 1};
  VECTOLITH_TRY(run(write));
  return EraseResult{write.existed, {write.commit}};
}

Result<void> StoreImpl::submit(const std::shared_ptr<PendingWrite>& write) {
  constexpr std::size_t kPendingMax = 65'536;
  VECTOLITH_TRY(context_.check_writable());
  if (committer_.queued() >= kPendingMax) return fail(ErrorCode::kBusy, "too many writes are pending");
  write->self = write;
  committer_.submit(*write);  // It keeps itself alive from here on; nothing may fail any more.
  {
    const std::lock_guard lock(workers_mutex_);
    if (flusher_ != nullptr) {
      flusher_->notify();
      return {};
    }
  }
  committer_.step();  // Nobody else may come to answer it: the store is being closed.
  return {};
}

Result<void> StoreImpl::wait(PendingWrite& write) {
  if (context_.is_inherited()) return context_.check_open();
  committer_.wait(write);
  if (write.error) return std::unexpected(*write.error);
  for (auto& result : write.results) result.ticket.commit = write.commit;
  return {};
}

Result<void> StoreImpl::sync() { return wait_durable(committer_.last_commit()); }

Result<void> StoreImpl::wait_durable(std::uint64_t commit) {
  VECTOLITH_TRY(context_.check_open());
  if (committer_.durable_commit() >= commit) return {};
  PendingWrite write;
  write.kind = PendingWrite::Kind::kSync;
  write.level = Durability::kDurable;
  VECTOLITH_TRY(run(write));
  const Committer::Lock lock(committer_);
  committer_.write_witness();
  return {};
}

void StoreImpl::add_family_stats(StoreStats& stats, const FamilyState& family) {
  FamilyStats entry;
  entry.id = family.id;
  entry.name = family.name;
  entry.kind = family.kind;
  entry.index_bytes = family.index->memory_bytes();
  entry.live_rows = family.index->size();
  for (const auto& segment : family.by_ordinal) {
    ++entry.segments;
    if (!segment->holds_records()) {
      entry.dead_rows += segment->rows() - segment->live_rows();
      entry.payload_bytes += std::uint64_t{segment->live_rows()} * family.row_bytes;
    } else {
      entry.payload_bytes += std::uint64_t{segment->rows()} * 64;
    }
    if (const auto bytes = segment->file().allocated_bytes()) entry.allocated_bytes += *bytes;
  }
  stats.families.push_back(std::move(entry));
}

void StoreImpl::add_disk_stats(StoreStats& stats) {
  const auto names = context_.directory->list();
  if (!names) return;
  std::vector<std::string> prepared;
  for (const auto& family : context_.family_list()) {
    const std::lock_guard lock(family->prepare_mutex);
    if (family->prepared != nullptr) prepared.push_back(format::segment_name(family->prepared->id()));
  }
  for (const auto& name : *names) {
    if (!format::parse_name(name)) continue;
    const auto file = context_.directory->open(name, OpenMode::kReadOnly);
    if (!file) continue;
    const auto bytes = (*file)->allocated_bytes();
    if (!bytes) continue;
    (std::ranges::find(prepared, name) != prepared.end() ? stats.pool_bytes : stats.disk_bytes) += *bytes;
  }
}

Result<void> StoreImpl::add_sizes(StoreStats& stats) {
  stats.io_backend = context_.environment->backend();
  stats.io_fallback = context_.environment->fallback_reason();
  {
    const Committer::Lock lock(committer_);
    if (committer_.files_closed() && !context_.options.read_only) return {};
    stats.pinned_bytes = pinned_bytes(context_);
    for (const auto& family : context_.family_list()) add_family_stats(stats, *family);
  }
  add_disk_stats(stats);
  return {};
}

StoreStats StoreImpl::stats() noexcept {
  StoreStats stats;
  if (context_.is_unusable()) return stats;
  const auto& counters = context_.counters;
  const auto io = context_.environment->counters();
  stats.read_only = context_.options.read_only || context_.is_read_only();
  stats.next_sequence = committer_.next_sequence().value;
  stats.manifest_version = context_.manifest.version().value;
  stats.puts = counters.puts.load();
  stats.puts_existing = counters.puts_existing.load();
  stats.replaces = counters.replaces.load();
  stats.erases = counters.erases.load();
  stats.hits = counters.hits.load();
  stats.misses = counters.misses.load();
  stats.gets = stats.hits + stats.misses;
  for (std::size_t i = 0; i < stats.rejected.size(); ++i) stats.rejected[i] = counters.rejected[i].load();
  stats.commits = counters.commits.load();
  stats.commit_rows = counters.commit_rows.load();
  stats.corruptions = counters.corruptions.load();
  stats.rows_lost = counters.rows_lost.load();
  stats.segments_poisoned = counters.segments_poisoned.load();
  stats.vector_bytes_written = counters.vector_bytes_written.load();
  stats.bytes_written = io.write_bytes;
  stats.bytes_read = io.read_bytes;
  stats.writes = io.writes;
  stats.reads = io.reads;
  stats.data_syncs = io.data_syncs;
  stats.data_sync_ns = io.data_sync_ns;
  stats.short_transfers = io.short_transfers;
  stats.io_retries = io.retries;
  stats.io_fallbacks = io.uring_fallbacks;
  stats.open_ns = open_ns_;
  stats.read_buffer_bytes = context_.cold_reads.buffer_bytes();
  stats.recovered_rows = counters.recovered_rows.load();
  stats.damaged_rows = counters.damaged_rows.load();
  if (!catch_no_memory([&] { return add_sizes(stats); })) {
    stats.is_partial = true;
    stats.io_backend.clear();
    stats.io_fallback.clear();
    stats.families.clear();
    stats.disk_bytes = stats.pool_bytes = 0;
  }
  return stats;
}

}  // namespace vectolith::engine
