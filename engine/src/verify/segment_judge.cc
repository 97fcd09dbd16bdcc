/// @file
/// Judging vector rows against their sums, and walking the chain of records.
#include "verify/segment_judge.h"

#include <algorithm>

#include <vectolith/format/record.h>

#include "segment/recovery_table.h"
#include "verify/fsck_rows.h"
#include "verify/loose_read.h"

namespace vectolith::engine {
namespace {

using format::MetaRow;
using format::RowState;
using Table = format::InternedEntry::Table;

constexpr std::uint64_t kChunkBytes = std::uint64_t{4} << 20;
constexpr std::uint32_t kUnitBytes = 64;
constexpr std::uint16_t kBatchFlags = format::kRowBatchBegin | format::kRowBatchEnd | format::kRowBatchMember;

/// What both kinds share: the verdicts so far, in ascending order.
class Judge {
 public:
  Judge(const File& file, const format::SegmentHeader& header, const SegmentEntry& entry,
        std::uint32_t watermark)
      : file_(file), header_(header), entry_(entry), is_active_(entry.phase == SegmentPhase::kActive) {
    rows_ = is_active_ ? header.row_capacity : std::min(entry.row_count, header.row_capacity);
    answer_.watermark = is_active_ ? std::min(watermark, rows_) : rows_;
  }

 protected:
  void keep(const KeptRow& row, std::uint32_t rows) {
    close_gap(row.row);
    answer_.row_count = gap_first_ = row.row + rows;
    if (row.key.scope.value != 0) answer_.interned.emplace(Table::kScope, row.key.scope.value);
    if (row.key.chunker.value != 0) answer_.interned.emplace(Table::kChunker, row.key.chunker.value);
    if (row.build.value != 0) answer_.interned.emplace(Table::kBuild, row.build.value);
    answer_.newest = std::max(answer_.newest, row.sequence);
    answer_.kept.push_back(row);
  }
  void lose(std::uint32_t row, std::optional<std::pair<Key, Sequence>> version) {
    answer_.row_count = std::max(answer_.row_count, row + 1);
    if (version) answer_.newest = std::max(answer_.newest, version->second);
    answer_.lost.push_back({row, version});
  }
  /// A settled segment keeps its count: recovery decided it for ever.
  SegmentJudgement finish() {
    if (!is_active_) answer_.row_count = rows_;
    close_gap(answer_.row_count);
    return std::move(answer_);
  }

  const File& file_;
  const format::SegmentHeader& header_;
  const SegmentEntry& entry_;
  bool is_active_;
  std::uint32_t rows_ = 0;
  SegmentJudgement answer_;

 private:
  void close_gap(std::uint32_t next) {
    if (gap_first_ < next) answer_.invalid.push_back({gap_first_, next - 1});
    gap_first_ = std::max(gap_first_, next);
  }
  std::uint32_t gap_first_ = 0;
};

class VectorJudge : private Judge {
 public:
  using Judge::Judge;

  SegmentJudgement run() {
    meta_.resize(rows_);
    answer_.bytes_unread +=
        read_loosely(file_, header_.meta_offset, std::as_writable_bytes(std::span(meta_)));
    states_.resize(rows_);
    for (std::uint32_t row = 0; row < rows_; ++row)
      states_[row] =
          format::classify_row(meta_[row], header_.segment_uuid, header_.previous_uuid, RowIndex(row));
    if (is_active_) raise_watermark();
    check_vectors();
    judge();
    return finish();
  }

 private:
  void raise_watermark() {
    for (std::uint32_t row = 0; row < rows_; ++row) {
      const MetaRow& meta = meta_[row];
      const bool tells = states_[row] == RowState::kValid && (meta.flags & format::kRowBatchBegin) == 0 &&
                         meta.lag_or_count != format::kLagUnknown && meta.lag_or_count <= row;
      if (tells) answer_.watermark = std::max(answer_.watermark, row - meta.lag_or_count);
    }
  }

  void check_vectors() {
    holds_.assign(rows_, false);
    const auto step = static_cast<std::uint32_t>(std::max<std::uint64_t>(1, kChunkBytes / header_.row_bytes));
    std::vector<std::byte> chunk;
    for (std::uint32_t first = 0; first < rows_; first += step) {
      const auto states = std::span(states_).subspan(first, std::min(step, rows_ - first));
      if (std::ranges::find(states, RowState::kValid) == states.end()) continue;
      chunk.resize(states.size() * header_.row_bytes);
      answer_.bytes_unread +=
          read_loosely(file_, header_.matrix_offset + std::uint64_t{first} * header_.row_bytes, chunk);
      for (std::uint32_t i = 0; i < states.size(); ++i) {
        if (states[i] != RowState::kValid) continue;
        const auto vector = std::span(chunk).subspan(std::size_t{i} * header_.row_bytes, header_.row_bytes);
        holds_[first + i] = format::vector_sum(header_.segment_uuid, RowIndex(first + i), vector) ==
                            meta_[first + i].vector_sum;
      }
    }
  }

  [[nodiscard]] std::uint32_t end_of_whole_batch(std::uint32_t first) const {
    const std::uint32_t count = meta_[first].lag_or_count;
    if (count < 2 || count > rows_ - first) return first;
    for (std::uint32_t row = first; row < first + count; ++row) {
      const std::uint16_t flags = meta_[row].flags;
      const bool is_member =
          states_[row] == RowState::kValid && holds_[row] && (flags & format::kRowBatchMember) != 0;
      if (!is_member || ((flags & format::kRowBatchEnd) != 0) != (row + 1 == first + count) ||
          ((flags & format::kRowBatchBegin) != 0) != (row == first))
        return first;
    }
    return first + count;
  }

  void judge() {
    RangeCursor invalid(entry_.invalid);
    std::uint32_t batch_end = 0;
    for (std::uint32_t row = 0; row < rows_; ++row) {
      if (!is_active_ && invalid.find(row) != nullptr) continue;
      BatchState batch = BatchState::kNone;
      if (is_active_ && states_[row] == RowState::kValid) {
        if ((meta_[row].flags & format::kRowBatchBegin) != 0)
          batch_end = std::max(batch_end, end_of_whole_batch(row));
        if ((meta_[row].flags & kBatchFlags) != 0)
          batch = row < batch_end ? BatchState::kWhole : BatchState::kBroken;
      }
      settle(row, decide(states_[row], row < answer_.watermark,
                         holds_[row] ? PayloadState::kHolds : PayloadState::kFails, batch));
    }
  }

  void settle(std::uint32_t row, RowVerdict verdict) {
    const MetaRow& meta = meta_[row];
    const bool has_head = states_[row] == RowState::kValid;
    if (verdict == RowVerdict::kKeep && holds_[row]) {
      keep({row, meta.key, meta.sequence(), meta.build(), std::uint64_t{meta.created_at_s} * 1'000}, 1);
    } else if (verdict == RowVerdict::kKeep || verdict == RowVerdict::kDamaged) {
      lose(row, has_head ? std::optional(std::pair(meta.key, meta.sequence())) : std::nullopt);
    } else if (verdict == RowVerdict::kUnfinished) {
      ++answer_.unfinished;
    }
  }

  std::vector<MetaRow> meta_;
  std::vector<RowState> states_;
  std::vector<bool> holds_;
};

class RecordJudge : private Judge {
 public:
  using Judge::Judge;

  SegmentJudgement run() {
    data_.resize(std::size_t{rows_} * kUnitBytes);
    answer_.bytes_unread += read_loosely(file_, header_.matrix_offset, data_);
    if (is_active_) raise_watermark();
    walk([this](std::uint32_t unit, const std::optional<format::RecordView>& record, bool whole) {
      settle(unit, record, whole);
    });
    return finish();
  }

 private:
  /// Calls `visit(unit, record, whole)` at each place of the chain; resynchronises at every unit.
  template <class Visit>
  void walk(const Visit& visit) {
    RangeCursor invalid(entry_.invalid);
    for (std::uint32_t unit = 0; unit < rows_;) {
      if (const auto* range = is_active_ ? nullptr : invalid.find(unit)) {
        unit = range->last + 1;
        continue;
      }
      const auto bytes = std::span<const std::byte>(data_).subspan(std::size_t{unit} * kUnitBytes);
      std::optional<format::RecordView> record;
      bool whole = false;
      if (const auto head = format::decode_record_header(bytes, header_.segment_uuid, RowIndex(unit))) {
        record = *head;
        const auto body = format::decode_record(bytes, header_.segment_uuid, RowIndex(unit));
        whole = body.has_value() && payloads_.decode(*body).has_value();
        if (whole) record = *body;
      }
      visit(unit, record, whole);
      unit += record ? record->units() : 1;
    }
  }

  void raise_watermark() {
    walk([this](std::uint32_t unit, const std::optional<format::RecordView>& record, bool whole) {
      if (!whole || (record->header.flags() & format::kRowBatchBegin) != 0) return;
      const std::uint16_t lag = record->prefix.lag_or_count;
      if (lag != format::kLagUnknown && lag <= unit)
        answer_.watermark = std::max(answer_.watermark, unit - lag);
    });
  }

  void settle(std::uint32_t unit, const std::optional<format::RecordView>& record, bool whole) {
    if (whole) {
      const auto& head = record->header;
      in_gap_ = false;
      return keep({unit, head.key, head.sequence(), BuildId(), head.created_at_ms}, record->units());
    }
    if (unit < answer_.watermark) {
      // A run of units without a head is one loss; nobody can tell how many records it held.
      if (record || !in_gap_)
        lose(unit,
             record ? std::optional(std::pair(record->header.key, record->header.sequence())) : std::nullopt);
      in_gap_ = !record;
      const std::uint32_t end = std::min(unit + (record ? record->units() : 1), rows_);
      answer_.row_count = std::max(answer_.row_count, end);
      return;
    }
    const auto bytes = std::span(data_).subspan(std::size_t{unit} * kUnitBytes, kUnitBytes);
    if (record || std::ranges::any_of(bytes, [](std::byte b) { return b != std::byte{0}; }))
      ++answer_.unfinished;
  }

  std::vector<std::byte> data_;
  format::PayloadDecoder payloads_;
  bool in_gap_ = false;
};

}  // namespace

SegmentJudgement judge_segment(const File& file, const format::SegmentHeader& header,
                               const SegmentEntry& entry, std::uint32_t watermark) {
  if (header.kind == format::SegmentKind::kVector) return VectorJudge(file, header, entry, watermark).run();
  return RecordJudge(file, header, entry, watermark).run();
}

Result<std::vector<std::byte>> read_row(const File& file, const format::SegmentHeader& header,
                                        std::uint32_t row) {
  const auto damaged = [&] {
    return std::unexpected(Error(ErrorCode::kCorruption, "the row's sums do not hold any more")
                               .with_file(file.path())
                               .with_offset(header.matrix_offset + std::uint64_t{row} * header.row_bytes));
  };
  if (header.kind == format::SegmentKind::kVector) {
    MetaRow meta;
    read_loosely(file, header.meta_offset + std::uint64_t{row} * sizeof meta,
                 std::as_writable_bytes(std::span(&meta, 1)));
    std::vector<std::byte> vector(header.row_bytes);
    read_loosely(file, header.matrix_offset + std::uint64_t{row} * header.row_bytes, vector);
    const Uuid& life = header.segment_uuid;
    if (format::classify_row(meta, life, header.previous_uuid, RowIndex(row)) != RowState::kValid ||
        format::vector_sum(life, RowIndex(row), vector) != meta.vector_sum)
      return damaged();
    return vector;
  }
  const std::uint64_t offset = header.matrix_offset + std::uint64_t{row} * kUnitBytes;
  format::RecordHeader head;
  read_loosely(file, offset, std::as_writable_bytes(std::span(&head, 1)));
  if (head.stored_bytes > format::kRecordPayloadBytesMax) return damaged();
  std::vector<std::byte> bytes(
      std::size_t{std::min(format::record_units(head.stored_bytes), header.row_capacity - row)} * kUnitBytes);
  read_loosely(file, offset, bytes);
  const auto record = format::decode_record(bytes, header.segment_uuid, RowIndex(row));
  if (!record) return damaged();
  return format::record_payload(*record);
}

}  // namespace vectolith::engine
