/// @file
/// fsck of record segments: the chain of records, their sums, and their payloads decompressed.
#include <algorithm>
#include <span>
#include <vector>

#include <vectolith/format/checksum.h>
#include <vectolith/format/record.h>

#include "verify/fsck_rows.h"

namespace vectolith::engine {
namespace {

using format::RecordView;

constexpr std::size_t kUnitBytes = 64;

/// What stands at one place of the chain.
struct Step {
  std::uint32_t unit = 0;
  std::uint32_t units = 1;           ///< To the next place.
  std::optional<RecordView> record;  ///< Absent if no record header holds here.
  std::optional<Error> error;        ///< Why the record is not whole.
  [[nodiscard]] bool is_whole() const noexcept { return record.has_value() && !error.has_value(); }
};

/// At most the 64 MiB of a data region (2^20 units) and one payload are in memory.
class RecordRowsCheck {
 public:
  explicit RecordRowsCheck(const SegmentUnderCheck& segment)
      : segment_(segment),
        findings_(segment.context.findings),
        header_(segment.header),
        fields_(segment),
        data_(segment.context.record_data) {}

  void run() {
    const bool is_active = segment_.entry.phase == SegmentPhase::kActive;
    units_ = is_active ? header_.row_capacity : segment_.entry.row_count;
    data_.resize(std::size_t{units_} * kUnitBytes);
    findings_.read(segment_.file, header_.matrix_offset, data_);
    check_block_sums();
    walk(is_active ? attested_watermark() : segment_.rows_acknowledged());
    fields_.finish();
  }

 private:
  [[nodiscard]] Place place(std::uint32_t unit) const {
    return segment_.at(header_.matrix_offset + std::uint64_t{unit} * kUnitBytes);
  }
  [[nodiscard]] bool is_zero(std::uint32_t unit) const {
    const auto bytes = std::span(data_).subspan(std::size_t{unit} * kUnitBytes, kUnitBytes);
    return std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; });
  }

  [[nodiscard]] Step step_at(std::uint32_t unit, bool decompress) {
    const auto bytes = std::span(data_).subspan(std::size_t{unit} * kUnitBytes);
    const Uuid& life = header_.segment_uuid;
    Step step{.unit = unit, .units = 1, .record = std::nullopt, .error = std::nullopt};
    auto header = format::decode_record_header(bytes, life, RowIndex(unit));
    if (!header) {
      step.error = header.error();
      return step;
    }
    step.record = *header;
    step.units = header->units();
    if (auto whole = format::decode_record(bytes, life, RowIndex(unit)); !whole) {
      step.error = whole.error();
    } else if (!decompress) {
      return step;
    } else if (auto payload = payloads_.decode(*whole); !payload) {
      step.error = payload.error();
    }
    return step;
  }

  void check_block_sums() {
    if (!segment_.footer) return;
    const auto& sums = segment_.footer->block_sums;
    for (std::size_t block = 0; block < sums.size() && block * format::kMatrixBlockBytes < data_.size();
         ++block) {
      const auto rest = std::span<const std::byte>(data_).subspan(block * format::kMatrixBlockBytes);
      const std::uint64_t sum =
          format::checksum64(rest.first(std::min<std::size_t>(rest.size(), format::kMatrixBlockBytes)));
      if (sum == sums[block]) continue;
      findings_.damage(Finding::Kind::kAcknowledgedDamage,
                       segment_.at(header_.matrix_offset + block * format::kMatrixBlockBytes),
                       "the sum of a data block does not hold", std::to_string(sums[block]),
                       std::to_string(sum));
    }
  }

  /// The durable prefix that whole records themselves attest.
  [[nodiscard]] std::uint32_t attested_watermark() {
    std::uint32_t watermark = std::min(segment_.rows_acknowledged(), units_);
    for (std::uint32_t unit = 0; unit < units_;) {
      const Step step = step_at(unit, false);
      if (step.is_whole() && (step.record->header.flags() & format::kRowBatchBegin) == 0) {
        const std::uint16_t lag = step.record->prefix.lag_or_count;
        if (lag != format::kLagUnknown && lag <= unit) watermark = std::max(watermark, unit - lag);
      }
      unit += step.units;
    }
    return watermark;
  }

  void walk(std::uint32_t watermark) {
    RangeCursor invalid(segment_.entry.invalid);
    bool in_gap = false;
    for (std::uint32_t unit = 0; unit < units_;) {
      if (const auto* range = invalid.find(unit)) {
        unit = range->last + 1;
        in_gap = false;
        continue;
      }
      const Step step = step_at(unit, true);
      if (step.is_whole()) {
        findings_.count_row();
        fields_.check(place(unit), step.record->header.key, step.record->header.sequence(), BuildId());
        in_gap = false;
      } else {
        in_gap = report(step, watermark, in_gap);
      }
      unit += step.units;
    }
  }

  /// Reports the first unit of each gap, once more where the gap crosses into acknowledged units.
  bool report(const Step& step, std::uint32_t watermark, bool in_gap) {
    const bool is_active = segment_.entry.phase == SegmentPhase::kActive;
    if (is_active && step.unit >= watermark && !step.record && is_zero(step.unit))
      return false;  // Never written.
    if (in_gap && !step.record) return true;
    const bool is_damage = step.unit < watermark;
    if (!is_damage && segment_.context.online) return true;
    Place where = place(step.unit);
    if (step.record) where.offset += sizeof(format::RecordHeader);
    const auto severity = is_damage ? Finding::Severity::kDamage : Finding::Severity::kInfo;
    findings_.add(
        severity, SegmentUnderCheck::kind_of(severity), where,
        (is_damage ? "an acknowledged record is damaged: " : "a record is damaged or unfinished: ") +
            step.error->message(),
        step.error->expected().empty() ? "a record whose sums hold here" : step.error->expected(),
        step.error->found().empty() ? "zeros" : step.error->found());
    return true;
  }

  const SegmentUnderCheck& segment_;
  FsckFindings& findings_;
  const format::SegmentHeader& header_;
  RowFieldsCheck fields_;
  std::uint32_t units_ = 0;
  std::vector<std::byte>& data_;
  format::PayloadDecoder payloads_;
};

}  // namespace

void check_record_rows(const SegmentUnderCheck& segment) { RecordRowsCheck(segment).run(); }

}  // namespace vectolith::engine
