/// @file
/// fsck of vector segments: the meta column in memory, the matrix as a stream.
#include <algorithm>
#include <span>
#include <vector>

#include <vectolith/format/checksum.h>

#include "segment/recovery_table.h"
#include "verify/fsck_rows.h"

namespace vectolith::engine {
namespace {

using format::MetaRow;
using format::RowState;

constexpr std::uint64_t kChunkBytes = std::uint64_t{4} << 20;
constexpr std::uint16_t kBatchFlags = format::kRowBatchBegin | format::kRowBatchEnd | format::kRowBatchMember;

/// At most 64 MiB of meta rows (2^20) and one chunk of the matrix are in memory.
class VectorRowsCheck {
 public:
  explicit VectorRowsCheck(const SegmentUnderCheck& segment)
      : segment_(segment), findings_(segment.context.findings), header_(segment.header), fields_(segment) {}

  void run() {
    const SegmentPhase phase = segment_.entry.phase;
    const bool whole_column = phase == SegmentPhase::kActive || phase == SegmentPhase::kSuspended;
    meta_.resize(whole_column ? header_.row_capacity : segment_.entry.row_count);
    findings_.read(segment_.file, header_.meta_offset, std::as_writable_bytes(std::span(meta_)));
    until_ = rows();
    // The rows of an active segment vouch for one another: it is checked in one piece.
    is_divisible_ = phase != SegmentPhase::kActive;
    if (is_divisible_) first_ = std::min(segment_.context.window.first_row(segment_.entry.id), rows());
    classify();
    check_meta_sum();
    check_matrix();
    if (phase == SegmentPhase::kActive) {
      judge_active_rows();
    } else {
      judge_settled_rows();
    }
    fields_.finish();
  }

 private:
  [[nodiscard]] Place meta_place(std::uint32_t row) const {
    return segment_.at(header_.meta_offset + std::uint64_t{row} * sizeof(MetaRow));
  }
  [[nodiscard]] Place vector_place(std::uint32_t row) const {
    return segment_.at(header_.matrix_offset + std::uint64_t{row} * header_.row_bytes);
  }
  [[nodiscard]] std::uint32_t rows() const { return static_cast<std::uint32_t>(meta_.size()); }

  void classify() {
    states_.resize(meta_.size());
    for (std::uint32_t row = 0; row < rows(); ++row) {
      states_[row] =
          format::classify_row(meta_[row], header_.segment_uuid, header_.previous_uuid, RowIndex(row));
    }
  }

  void check_meta_sum() {
    if (!segment_.footer) return;
    const auto used =
        std::as_bytes(std::span(meta_))
            .first(std::min<std::size_t>(meta_.size(), segment_.footer->row_count) * sizeof(MetaRow));
    const std::uint64_t sum = format::checksum64(used);
    if (sum == segment_.footer->meta_sum) return;
    findings_.damage(Finding::Kind::kAcknowledgedDamage, segment_.at(header_.meta_offset),
                     "the sum of the meta column does not hold", std::to_string(segment_.footer->meta_sum),
                     std::to_string(sum));
  }

  /// How much of the matrix is read at once: of a scrub's piece no more than it may read.
  [[nodiscard]] std::uint32_t rows_per_chunk() const {
    const std::uint64_t bytes_max = segment_.context.window.bytes_max();
    const bool is_short = is_divisible_ && bytes_max != 0;
    const std::uint64_t bytes = is_short ? std::min(bytes_max, kChunkBytes) : kChunkBytes;
    return static_cast<std::uint32_t>(std::max<std::uint64_t>(1, bytes / header_.row_bytes));
  }

  /// Feeds what stands in the first row's block before it.
  void start_block() {
    const std::uint64_t end = std::uint64_t{first_} * header_.row_bytes;
    block_ = static_cast<std::size_t>(end / format::kMatrixBlockBytes);
    std::vector<std::byte> before(end % format::kMatrixBlockBytes);
    findings_.read(segment_.file, header_.matrix_offset + end - before.size(), before);
    feed_blocks(before);
  }

  /// Leaves the rows from `next` on to the next piece of a scrub, if this one has read enough.
  bool stop_at(std::uint32_t next) {
    ScrubWindow& window = segment_.context.window;
    if (!is_divisible_ || next >= rows() || !window.is_spent(findings_.bytes_read())) return false;
    until_ = next;
    window.stop({segment_.entry.id, next});
    return true;
  }

  /// Streams the matrix once: block sums of a sealed segment, and the vector of every valid row.
  void check_matrix() {
    holds_.assign(meta_.size(), false);
    const std::uint32_t rows_per_chunk = this->rows_per_chunk();
    const std::uint32_t block_rows = segment_.footer ? std::min(rows(), segment_.footer->row_count) : 0;
    if (first_ != 0 && first_ < block_rows) start_block();
    std::vector<std::byte> chunk;
    for (std::uint32_t first = first_; first < rows(); first += rows_per_chunk) {
      const std::uint32_t count = std::min(rows_per_chunk, rows() - first);
      const auto states = std::span(states_).subspan(first, count);
      if (first >= block_rows && std::ranges::find(states, RowState::kValid) == states.end()) continue;
      chunk.resize(std::size_t{count} * header_.row_bytes);
      findings_.read(segment_.file, vector_place(first).offset, chunk);
      if (first < block_rows)
        feed_blocks(
            std::span(chunk).first(std::size_t{std::min(count, block_rows - first)} * header_.row_bytes));
      for (std::uint32_t i = 0; i < count; ++i) {
        if (states[i] != RowState::kValid) continue;
        const auto vector = std::span(chunk).subspan(std::size_t{i} * header_.row_bytes, header_.row_bytes);
        holds_[first + i] = format::vector_sum(header_.segment_uuid, RowIndex(first + i), vector) ==
                            meta_[first + i].vector_sum;
      }
      // A block that is cut here is summed from its beginning when the scrub goes on.
      if (stop_at(first + count)) return;
    }
    if (block_bytes_ > 0) close_block();
  }

  void feed_blocks(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const auto piece =
          bytes.first(std::min<std::size_t>(bytes.size(), format::kMatrixBlockBytes - block_bytes_));
      block_sum_.update(piece);
      block_bytes_ += piece.size();
      bytes = bytes.subspan(piece.size());
      if (block_bytes_ == format::kMatrixBlockBytes) close_block();
    }
  }

  void close_block() {
    const std::uint64_t sum = block_sum_.digest();
    const auto& expected = segment_.footer->block_sums;
    if (block_ < expected.size() && sum != expected[block_]) {
      findings_.damage(Finding::Kind::kAcknowledgedDamage,
                       segment_.at(header_.matrix_offset + block_ * format::kMatrixBlockBytes),
                       "the sum of a matrix block does not hold", std::to_string(expected[block_]),
                       std::to_string(sum));
    }
    ++block_;
    block_bytes_ = 0;
    block_sum_ = format::StreamingChecksum64();
  }

  void accept(std::uint32_t row) {
    findings_.count_row();
    fields_.check(meta_place(row), meta_[row].key, meta_[row].sequence(), meta_[row].build());
  }

  void report(Finding::Severity severity, std::uint32_t row) {
    const bool is_damage = severity == Finding::Severity::kDamage;
    if (!is_damage && segment_.context.online) return;
    if (states_[row] == RowState::kValid) {
      findings_.add(
          severity, SegmentUnderCheck::kind_of(severity), vector_place(row),
          is_damage ? "the vector of an acknowledged row is damaged" : "a vector is damaged or unfinished",
          "vector sum " + std::to_string(meta_[row].vector_sum), "another sum; row " + std::to_string(row));
      return;
    }
    const char* found = states_[row] == RowState::kZero    ? "zeros"
                        : states_[row] == RowState::kStale ? "an earlier life"
                                                           : "another sum";
    const auto kind = is_damage && states_[row] == RowState::kStale ? Finding::Kind::kStaleEpoch
                                                                    : SegmentUnderCheck::kind_of(severity);
    findings_.add(severity, kind, meta_place(row),
                  is_damage ? "an acknowledged row is damaged" : "a row is damaged or unfinished",
                  "row " + std::to_string(row) + ", whose sum holds here", found);
  }

  void judge_settled_rows() {
    const std::uint32_t watermark = segment_.rows_acknowledged();
    RangeCursor invalid(segment_.entry.invalid);
    for (std::uint32_t row = first_; row < std::min(segment_.entry.row_count, until_); ++row) {
      if (invalid.find(row) != nullptr) continue;
      if (states_[row] == RowState::kValid && holds_[row]) {
        accept(row);
      } else {
        report(segment_.severity_of(row, watermark), row);
      }
    }
    for (std::uint32_t row = std::max(first_, segment_.entry.row_count); row < until_; ++row) {
      if (states_[row] == RowState::kValid) {
        findings_.warning(Finding::Kind::kContradiction, meta_place(row),
                          "a valid row behind those that a clean close counted",
                          std::to_string(segment_.entry.row_count) + " rows", "row " + std::to_string(row));
      } else if (states_[row] == RowState::kInvalid) {
        report(Finding::Severity::kInfo, row);
      }
    }
  }

  /// The durable prefix that the valid rows themselves attest.
  [[nodiscard]] std::uint32_t attested_watermark() const {
    std::uint32_t watermark = std::min(segment_.rows_acknowledged(), rows());
    for (std::uint32_t row = 0; row < rows(); ++row) {
      const MetaRow& meta = meta_[row];
      const bool tells = states_[row] == RowState::kValid && (meta.flags & format::kRowBatchBegin) == 0 &&
                         meta.lag_or_count != format::kLagUnknown && meta.lag_or_count <= row;
      if (tells) watermark = std::max(watermark, row - meta.lag_or_count);
    }
    return watermark;
  }

  /// Whether the batch that begins at `first` is whole; its end is then returned, else `first`.
  [[nodiscard]] std::uint32_t end_of_whole_batch(std::uint32_t first) const {
    const std::uint32_t count = meta_[first].lag_or_count;
    if (count < 2 || count > rows() - first) return first;
    for (std::uint32_t row = first; row < first + count; ++row) {
      const std::uint16_t flags = meta_[row].flags;
      const bool is_last = row + 1 == first + count;
      const bool is_member =
          states_[row] == RowState::kValid && holds_[row] && (flags & format::kRowBatchMember) != 0;
      const bool is_begin = (flags & format::kRowBatchBegin) != 0;
      if (!is_member || ((flags & format::kRowBatchEnd) != 0) != is_last || is_begin != (row == first))
        return first;
    }
    return first + count;
  }

  /// As recovery will decide at the next open, with the vectors below the watermark looked at too.
  void judge_active_rows() {
    const std::uint32_t watermark = attested_watermark();
    std::uint32_t batch_end = 0;
    for (std::uint32_t row = 0; row < rows(); ++row) {
      BatchState batch = BatchState::kNone;
      if (states_[row] == RowState::kValid) {
        if ((meta_[row].flags & format::kRowBatchBegin) != 0)
          batch_end = std::max(batch_end, end_of_whole_batch(row));
        if ((meta_[row].flags & kBatchFlags) != 0)
          batch = row < batch_end ? BatchState::kWhole : BatchState::kBroken;
      }
      const auto payload = holds_[row] ? PayloadState::kHolds : PayloadState::kFails;
      auto verdict = decide(states_[row], row < watermark, payload, batch);
      if (verdict == RowVerdict::kKeep && !holds_[row]) verdict = RowVerdict::kDamaged;
      switch (verdict) {
        case RowVerdict::kKeep: accept(row); break;
        case RowVerdict::kNeverWritten: break;
        case RowVerdict::kUnfinished: report_unfinished(row); break;
        case RowVerdict::kDamaged: report(Finding::Severity::kDamage, row); break;
      }
    }
  }

  void report_unfinished(std::uint32_t row) {
    if (states_[row] != RowState::kValid || !holds_[row]) return report(Finding::Severity::kInfo, row);
    segment_.context.add_unfinished(meta_place(row), "a row of an unfinished batch", "every row of its batch",
                                    "row " + std::to_string(row));
  }

  const SegmentUnderCheck& segment_;
  FsckFindings& findings_;
  const format::SegmentHeader& header_;
  RowFieldsCheck fields_;
  std::vector<MetaRow> meta_;
  std::vector<RowState> states_;
  std::vector<bool> holds_;
  bool is_divisible_ = false;
  std::uint32_t first_ = 0, until_ = 0;  ///< Rows that are judged.
  format::StreamingChecksum64 block_sum_;
  std::uint64_t block_bytes_ = 0;
  std::size_t block_ = 0;
};

}  // namespace

void check_vector_rows(const SegmentUnderCheck& segment) { VectorRowsCheck(segment).run(); }

}  // namespace vectolith::engine
