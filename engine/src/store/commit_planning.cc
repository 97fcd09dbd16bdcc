/// @file
/// Planning of a group commit: rows, sequences, journal places, and which barriers are needed.
#include <algorithm>
#include <array>
#include <utility>

#include <vectolith/format/file_name.h>
#include <vectolith/format/record.h>

#include "no_memory.h"
#include "planted_bug.h"
#include "segment/sealing.h"
#include "store/committer.h"

namespace vectolith::engine {
namespace {

constexpr std::uint32_t kJournalReserveRows = 4'096;
constexpr std::uint32_t kJournalRows = 65'472;                   // 4 MiB with the header.
constexpr std::uint64_t kSegmentOverheadBytes = 256ULL * 1'024;  // Header, alignment and footer, generously.

}  // namespace

void Committer::plan(PendingWrite& write) noexcept {
  auto planned = catch_no_memory([&] {
    reserve_operations();  // A sync of the journal alone asks for no other.
    switch (write.kind) {
      case PendingWrite::Kind::kErase: return plan_erase(write);
      case PendingWrite::Kind::kSync: return plan_sync();
      case PendingWrite::Kind::kPut: break;
    }
    return plan_put(write);
  });
  if (!planned) write.error = std::move(planned).error();
}

Result<void> Committer::plan_sync() {
  for (std::size_t i = 0; i < dirty_.size(); ++i) VECTOLITH_TRY(want_sync(dirty_[i]));
  for (auto& run : runs_) run.needs_sync = true;
  journal_sync_ = journal_sync_ || journal_->is_dirty() || !journal_rows_.empty();
  return {};
}

Result<void> Committer::want_sync(std::shared_ptr<MappedSegment> segment) {
  for (auto& run : runs_) {
    if (run.segment == segment) {
      run.needs_sync = true;
      return {};
    }
  }
  if (std::ranges::find(extra_syncs_, segment) != extra_syncs_.end()) return {};
  if (segment->is_inherited) VECTOLITH_TRY(rewrite_unsynced_rows(*segment));
  reserve_operations();
  extra_syncs_.push_back(std::move(segment));
  return {};
}

Result<void> Committer::existing_row(PendingWrite& write, std::uint32_t item, Location at) {
  const auto& segment = write.family->by_ordinal[at.ordinal];
  write.results[item] = {.stored = false, .sequence = segment->sequence(at.row), .ticket = {}};
  // Rule (e): put(kDurable) of a key that exists returns only when the existing row is durable.
  if (write.level == Durability::kDurable && at.row >= segment->rows_durable() &&
      !is_planted(PlantedBug::kExistingRowNotSynced)) {
    return want_sync(segment);
  }
  return {};
}

Result<void> Committer::plan_put(PendingWrite& write) {
  if (write.family->dropped.load())
    return fail(ErrorCode::kWrongFamily, "family '" + write.family->name + "' was dropped");
  std::vector<std::uint32_t> items;
  items.reserve(write.rows.size());
  for (std::uint32_t item = 0; item < write.rows.size(); ++item) {
    if (write.replace) {
      items.push_back(item);
      continue;
    }
    if (const auto* earlier = changes_.newest(write, item); earlier != nullptr) {
      if (earlier->run < 0) {
        items.push_back(item);
        continue;
      }
      write.results[item] = {.stored = false, .sequence = earlier->sequence, .ticket = {}};
      write.runs |= run_bit(static_cast<std::size_t>(earlier->run));
      if (write.level == Durability::kDurable)
        runs_[static_cast<std::size_t>(earlier->run)].needs_sync = true;
      continue;
    }
    if (const auto at = write.family->find(write.hashes[item], write.rows[item].key)) {
      VECTOLITH_TRY(existing_row(write, item, *at));
    } else {
      items.push_back(item);
    }
  }
  add(context_.counters.puts_existing, write.rows.size() - items.size());
  if (items.empty()) return {};
  if (write.is_large) return commit_large_batch(write, items);
  const std::uint32_t units =
      write.family->holds_records()
          ? format::record_units(static_cast<std::uint32_t>(write.payload->bytes().size()))
          : static_cast<std::uint32_t>(items.size());
  VECTOLITH_TRY(reserve_slots(write, items));
  const auto run = catch_no_memory([&] { return run_for(*write.family, units, items.size()); });
  if (!run) {
    release_slots(write, items);
    return std::unexpected(run.error());
  }
  write.runs |= run_bit(*run);
  if (write.family->holds_records()) {
    place_record(write, *run);
  } else {
    place_vectors(write, items, *run);
  }
  if (write.level == Durability::kDurable) runs_[*run].needs_sync = true;
  return {};
}

Result<void> Committer::reserve_slots(const PendingWrite& write, std::span<const std::uint32_t> items) {
  auto& family = *write.family;
  if (write.replace && !context_.snapshots.empty()) {
    for (const auto item : items) {
      const Key& key = write.rows[item].key;
      if (const auto at = family.find(write.hashes[item], key))
        context_.snapshots.before_replace(family.id, key, family.by_ordinal[at->ordinal], at->row);
    }
  }
  for (std::size_t i = 0; i < items.size(); ++i) {
    auto reserved = family.index->reserve(write.hashes[items[i]]);
    if (reserved) continue;
    release_slots(write, items.first(i));
    return reserved;
  }
  return {};
}

void Committer::release_slots(const PendingWrite& write, std::span<const std::uint32_t> items) noexcept {
  for (const auto item : items) write.family->index->release(write.hashes[item]);
}

Result<std::size_t> Committer::run_for(FamilyState& family, std::uint32_t units, std::size_t items) {
  if (family.active == nullptr || family.active->capacity() - family.next_row < units) {
    VECTOLITH_TRY(roll_segment(family, units));
  }
  const auto make_room = [&](CommitRun& run) {
    if (family.holds_records()) return reserve_more(run.records, std::size_t{units} * 64);
    reserve_more(run.metas, items);
    reserve_more(run.vectors, items);
  };
  for (std::size_t i = runs_.size(); i-- > 0;) {
    if (runs_[i].segment != family.active) continue;
    make_room(runs_[i]);
    return i;
  }
  CommitRun run(context_.heap);
  run.family = &family;
  run.segment = family.active;
  run.first_row = run.next_row = family.next_row;
  make_room(run);
  run.meta_buffers.reserve(1);
  reserve_operations();
  runs_.push_back(std::move(run));
  // A barrier asked for before this run existed must come after its writes, or it would vouch for them.
  runs_.back().needs_sync = std::erase(extra_syncs_, family.active) > 0;
  return runs_.size() - 1;
}

Result<std::shared_ptr<MappedSegment>> Committer::next_segment(FamilyState& family, std::uint32_t rows) {
  // To the end: a segment that was prepared meanwhile would take the last space from this one.
  const std::lock_guard lock(family.prepare_mutex);
  if (family.prepared != nullptr) {
    if (family.prepared->capacity() >= rows) return std::exchange(family.prepared, nullptr);
    const std::array<format::Edit, 1> edits = {format::RemoveSegment{family.prepared->id()}};
    VECTOLITH_TRY(context_.manifest.commit(edits, true));
    factory_.remove_file(*std::exchange(family.prepared, nullptr));
  }
  std::uint64_t bytes = family.next_segment_bytes.load();
  VECTOLITH_TRY_ASSIGN(const auto capacity, factory_.capacity(family, bytes));
  if (capacity < rows)
    bytes = std::max<std::uint64_t>(bytes, rows * (family.row_bytes + 64ULL) + kSegmentOverheadBytes);
  VECTOLITH_TRY_ASSIGN(auto made, factory_.create_active(family, bytes));
  if (made->capacity() < rows)
    return fail(ErrorCode::kNoSpace, "the disk holds no segment large enough for the write");
  return made;
}

Result<void> Committer::roll_segment(FamilyState& family, std::uint32_t rows) {
  SealJobs full;
  if (family.active != nullptr)
    full.push_back({.family = family.shared_from_this(), .segment = family.active});
  VECTOLITH_TRY(reserve_ordinals(family, 1));
  VECTOLITH_TRY_ASSIGN(auto next, next_segment(family, rows));
  // The manifest names it as active: nothing may fail any more.
  attach_segment(family, next);
  rolled_.splice(rolled_.end(), full);
  const std::uint64_t doubled = std::max(family.next_segment_bytes.load(), next->header().file_bytes) * 2;
  family.next_segment_bytes.store(std::min(family.segment_bytes_target, doubled));
  family.active = std::move(next);
  family.next_row = 0;
  family.wants_prepared.store(false);
  return {};
}

format::MetaRow Committer::make_meta(const PendingWrite& write, std::uint32_t item,
                                     const MappedSegment& segment, std::uint32_t row, Sequence sequence,
                                     std::uint16_t lag) const {
  const auto& life = segment.header().segment_uuid;
  format::MetaRow meta;
  meta.key = write.rows[item].key;
  meta.set_sequence_and_build(sequence, write.build);
  meta.created_at_s = static_cast<std::uint32_t>(write.created_at_ms / 1'000);
  meta.flags = write.flags;
  meta.lag_or_count = lag;
  meta.vector_sum = format::vector_sum(life, RowIndex(row), write.rows[item].vector);
  return meta;
}

void Committer::place_vectors(PendingWrite& write, std::span<const std::uint32_t> items,
                              std::size_t run_index) noexcept {
  auto& run = runs_[run_index];
  auto& family = *write.family;
  const bool is_batch = items.size() > 1;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::uint32_t item = items[i];
    const std::uint32_t row = run.next_row++;
    const Sequence sequence(next_sequence_.fetch_add(1));
    auto meta =
        make_meta(write, item, *run.segment, row, sequence, durable_lag(row, run.segment->rows_durable()));
    if (is_batch) meta.flags |= format::kRowBatchMember;
    if (is_batch && i == 0) {
      meta.flags |= format::kRowBatchBegin;
      meta.lag_or_count = static_cast<std::uint16_t>(items.size());
    }
    if (is_batch && i + 1 == items.size()) meta.flags |= format::kRowBatchEnd;
    meta.row_sum = format::row_sum(run.segment->header().segment_uuid, RowIndex(row), meta);
    run.metas.push_back(meta);
    append_buffer(run.vectors, write.rows[item].vector);
    write.results[item] = {.stored = true, .sequence = sequence, .ticket = {}};
    changes_.add({&write, item, static_cast<std::int32_t>(run_index), row, sequence});
  }
  add(context_.counters.vector_bytes_written, std::uint64_t{items.size()} * family.row_bytes);
  note_filled(family, run);
}

void Committer::note_filled(FamilyState& family, const CommitRun& run) noexcept {
  family.next_row = run.next_row;
  if (family.next_row > run.segment->capacity() / 2 && !family.wants_prepared.exchange(true) && on_work_)
    on_work_();
}

void Committer::place_record(PendingWrite& write, std::size_t run_index) noexcept {
  auto& run = runs_[run_index];
  const std::uint32_t row = run.next_row;
  const auto units = format::record_units(static_cast<std::uint32_t>(write.payload->bytes().size()));
  const Sequence sequence(next_sequence_.fetch_add(1));
  const std::size_t at = run.records.size();
  run.records.resize(at + std::size_t{units} * 64);
  const format::RecordFields fields{.key = write.rows[0].key,
                                    .sequence = sequence,
                                    .flags = write.flags,
                                    .created_at_ms = write.created_at_ms,
                                    .lag_or_count = durable_lag(row, run.segment->rows_durable())};
  format::encode_record(fields, *write.payload, run.segment->header().segment_uuid, RowIndex(row),
                        std::span(run.records).subspan(at));
  run.next_row += units;
  write.results[0] = {.stored = true, .sequence = sequence, .ticket = {}};
  changes_.add({&write, 0, static_cast<std::int32_t>(run_index), row, sequence});
  add(context_.counters.vector_bytes_written, write.payload->raw.size());
  note_filled(*write.family, run);
}

Result<void> Committer::ensure_journal_row() {
  const auto free = journal_->rows_free();
  if (free > kJournalReserveRows || (free > 0 && free % 512 != 0)) return {};
  // The rows of this commit that are placed already must be written through the old journal.
  if (!journal_rows_.empty())
    return free > 0 ? Result<void>{} : fail(ErrorCode::kBusy, "the journal is full; try again");
  format::JournalHeader header;
  header.row_capacity = kJournalRows;
  header.store_uuid = context_.store_uuid;
  header.journal_uuid = context_.random_uuid();
  header.journal_id = JournalId(next_journal_id_++);  // One that fails may leave its file behind.
  header.manifest_version = context_.manifest.version();
  const auto roll = [&]() -> Result<void> {
    if (journal_->is_dirty()) VECTOLITH_TRY(journal_->file().data_sync());
    VECTOLITH_TRY_ASSIGN(auto next, JournalFile::create(*context_.directory, header));
    VECTOLITH_TRY_ASSIGN(const auto bytes, next->file().size());
    const std::array<format::Edit, 1> edits = {
        format::AddJournal{header.journal_id, header.journal_uuid, bytes}};
    if (auto added = context_.manifest.commit(edits); !added) {
      if (left_unchanged(added.error()))
        (void)context_.directory->unlink(format::journal_name(header.journal_id));
      return added;
    }
    journal_ = std::move(next);
    return {};
  };
  auto rolled = roll();
  // On a full disk the rest of this journal is the reserve that keeps erase working.
  if (!rolled && free > 0 && rolled.error().code() == ErrorCode::kNoSpace) return {};
  return rolled;
}

Result<void> Committer::plan_erase(PendingWrite& write) {
  auto& family = *write.family;
  if (family.dropped.load()) return fail(ErrorCode::kWrongFamily, "family '" + family.name + "' was dropped");
  const auto* earlier = changes_.newest(write, 0);
  write.existed =
      earlier != nullptr ? earlier->run >= 0 : family.find(write.hashes[0], write.rows[0].key).has_value();
  if (!write.existed) {
    // An erase acknowledged before at kBuffered must be durable before this one may say so.
    if (write.level == Durability::kDurable)
      journal_sync_ = journal_sync_ || journal_->is_dirty() || !journal_rows_.empty();
    return {};
  }
  VECTOLITH_TRY(ensure_journal_row());
  reserve_more(journal_rows_, 1);
  if (journal_rows_.empty()) journal_first_row_ = journal_->next_row();
  const Sequence sequence(next_sequence_.fetch_add(1));
  auto row = format::JournalRow::erase(write.rows[0].key, family.id, sequence, context_.manifest.version());
  journal_->place(row);
  journal_rows_.push_back(row);
  if (write.level == Durability::kDurable && !is_planted(PlantedBug::kEraseWithoutSync)) journal_sync_ = true;
  changes_.add({&write, 0, -1, 0, sequence});
  return {};
}

}  // namespace vectolith::engine
