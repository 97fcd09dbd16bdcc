/// @file
/// Rescue after a failed write or fsync: acknowledged rows move to a segment that can be synced.
#include <array>
#include <mutex>
#include <utility>
#include <vector>

#include <vectolith/format/record.h>

#include "no_memory.h"
#include "store/committer.h"

namespace vectolith::engine {
namespace {

/// Rows at or above `first` that still answer for their keys.
std::vector<std::uint32_t> live_rows_from(const MappedSegment& segment, std::uint32_t first) {
  std::vector<std::uint32_t> rows;
  for (std::uint32_t row = first; row < segment.rows(); ++row) {
    if (segment.live().test(row)) rows.push_back(row);
  }
  return rows;
}

/// Copies one row under the new segment's identity. Its batch is resolved: it was acknowledged.
Result<std::uint32_t> copy_row(const MappedSegment& from, std::uint32_t row, MappedSegment& to,
                               std::uint32_t at) {
  const auto& life = to.header().segment_uuid;
  if (from.holds_records()) {
    VECTOLITH_TRY_ASSIGN(const auto record, from.record(row));
    VECTOLITH_TRY_ASSIGN(const auto raw, format::record_payload(record));
    VECTOLITH_TRY_ASSIGN(const auto payload, format::prepare_payload(raw));
    const auto units = format::record_units(static_cast<std::uint32_t>(payload.bytes().size()));
    std::vector<std::byte> bytes(std::size_t{units} * 64);
    format::encode_record({.key = record.header.key,
                           .sequence = record.header.sequence(),
                           .flags = record.header.flags(),
                           .created_at_ms = record.header.created_at_ms,
                           .lag_or_count = format::kLagUnknown},
                          payload, life, RowIndex(at), bytes);
    VECTOLITH_TRY(to.file().write_at(to.meta_offset(at), bytes));
    return units;
  }
  VECTOLITH_TRY(from.verify_row(row));
  const std::span<const std::byte> vector(from.vector(row), from.header().row_bytes);
  format::MetaRow meta = from.meta(row);
  meta.flags &=
      static_cast<std::uint16_t>(~(format::kRowBatchBegin | format::kRowBatchEnd | format::kRowBatchMember));
  meta.lag_or_count = format::kLagUnknown;
  meta.vector_sum = format::vector_sum(life, RowIndex(at), vector);
  meta.row_sum = format::row_sum(life, RowIndex(at), meta);
  VECTOLITH_TRY(to.file().write_at(to.vector_offset(at), vector));
  VECTOLITH_TRY(to.file().write_at(to.meta_offset(at), std::as_bytes(std::span(&meta, 1))));
  return 1U;
}

struct MovedRow {
  std::uint32_t from;
  std::uint32_t to;
};

}  // namespace

void Committer::leave_segment(FamilyState& family, const std::shared_ptr<MappedSegment>& segment) noexcept {
  std::erase(dirty_, segment);
  // It will be frozen, which is final until the next open seals it.
  const auto is_of_segment = [&](const SealJob& job) { return job.segment == segment; };
  std::erase_if(rolled_, is_of_segment);
  {
    const std::lock_guard lock(seal_mutex_);
    std::erase_if(seal_jobs_, is_of_segment);
  }
  if (family.active == segment) {
    family.active = nullptr;
    family.next_row = 0;
  }
}

void Committer::lose_row(FamilyState& family, MappedSegment& segment, std::uint32_t row,
                         const Error& error) noexcept {
  family.index->erase(context_.hasher(segment.key(row)), {segment.ordinal, row});
  segment.clear_live(row);
  add(context_.counters.rows_lost);
  context_.report(Event::Kind::kRowsLost, "a row acknowledged kBuffered could not be saved", error);
}

Result<void> Committer::save_rows(FamilyState& family, const std::shared_ptr<MappedSegment>& segment,
                                  std::optional<Error>& lost) {
  const std::uint32_t durable = segment->rows_durable();
  VECTOLITH_TRY(reserve_ordinals(family, 1));
  VECTOLITH_TRY_ASSIGN(const auto fresh, factory_.create(family, segment->header().file_bytes));
  attach_segment(family, fresh);
  std::uint32_t next = 0;
  std::vector<MovedRow> moved;
  for (const auto row : live_rows_from(*segment, durable)) {
    auto units = copy_row(*segment, row, *fresh, next);
    if (!units) {
      if (units.error().code() != ErrorCode::kCorruption) return std::unexpected(std::move(units).error());
      lose_row(family, *segment, row, units.error());
      lost = units.error();
      continue;
    }
    moved.push_back({row, next});
    if (!context_.snapshots.empty())
      context_.snapshots.before_replace(family.id, segment->key(row), segment, row);
    next += *units;
  }
  VECTOLITH_TRY(fresh->file().data_sync());
  fresh->set_rows(next);
  fresh->set_rows_durable(next);
  // One edit: a crash before it finds the old rows and an orphan, and no batch of which a part was copied.
  const std::array<format::Edit, 2> edits = {
      format::Edit(SegmentFactory::add_edit(*fresh)),
      format::FreezeSegment{segment->id(), durable, durable, segment->invalid}};
  VECTOLITH_TRY(context_.manifest.commit(edits, true));
  for (const auto& [from, to] : moved) {
    fresh->set_live(to);
    family.index->replace(context_.hasher(segment->key(from)), {segment->ordinal, from},
                          {fresh->ordinal, to});
    segment->clear_live(from);
  }
  if (family.active == nullptr) {
    family.active = fresh;
    family.next_row = next;
  }
  return {};
}

Result<void> Committer::rescue(const std::shared_ptr<MappedSegment>& segment, const Error& cause) noexcept {
  const auto family = context_.find_family(segment->header().family_id);
  if (family == nullptr) return {};  // Dropped while its segment was being sealed: nobody misses the rows.
  add(context_.counters.segments_poisoned);
  context_.report(Event::Kind::kSegmentPoisoned, "a segment failed; its rows are written elsewhere", cause);
  leave_segment(*family, segment);
  std::optional<Error> lost;
  if (auto saved = catch_no_memory([&] { return save_rows(*family, segment, lost); }); !saved) {
    context_.fail_store(cause);
    // The failure is the device's: memory alone would have let the caller try again.
    if (saved.error().code() == ErrorCode::kNoMemory) return std::unexpected(cause);
    return saved;
  }
  if (lost) return std::unexpected(*lost);
  return {};
}

}  // namespace vectolith::engine
