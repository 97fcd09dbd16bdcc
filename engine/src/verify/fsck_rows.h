/// @file
/// What vector and record segments have in common when their rows are checked.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <utility>

#include <vectolith/format/key.h>
#include <vectolith/format/segment.h>

#include "verify/fsck_context.h"

namespace vectolith::engine {

/// One segment under check: its file, what its header and footer say, and the manifest's entry.
struct SegmentUnderCheck {
  FsckContext& context;
  const File& file;
  const SegmentEntry& entry;
  const format::SegmentHeader& header;
  const std::optional<format::SegmentFooter>& footer;  ///< Only of a sealed segment.

  [[nodiscard]] Place at(std::uint64_t offset) const { return {file.path(), offset}; }
  /// Rows below this were acknowledged durable, as far as manifest and journal tell.
  [[nodiscard]] std::uint32_t rows_acknowledged() const;
  /// Damage for a row below the durable watermark, information above: nobody was promised that one.
  [[nodiscard]] Finding::Severity severity_of(std::uint32_t row, std::uint32_t watermark) const {
    return row < watermark ? Finding::Severity::kDamage : Finding::Severity::kInfo;
  }
  /// The kind of a finding whose severity came from a watermark.
  static constexpr Finding::Kind kind_of(Finding::Severity severity) noexcept {
    return severity == Finding::Severity::kDamage ? Finding::Kind::kAcknowledgedDamage
                                                  : Finding::Kind::kUnacknowledgedTail;
  }
};

/// Steps through ascending, disjoint ranges beside a loop over ascending rows.
class RangeCursor {
 public:
  explicit RangeCursor(const std::vector<format::RowRange>& ranges)
      : next_(ranges.begin()), end_(ranges.end()) {}
  /// The range that holds `row`, or null. Rows must not descend from call to call.
  const format::RowRange* find(std::uint32_t row) {
    while (next_ != end_ && next_->last < row) ++next_;
    return next_ != end_ && next_->first <= row ? &*next_ : nullptr;
  }

 private:
  std::vector<format::RowRange>::const_iterator next_, end_;
};

/// Checks what a valid row says: its sequence and the interned ids it uses.
class RowFieldsCheck {
 public:
  explicit RowFieldsCheck(const SegmentUnderCheck& segment) : segment_(segment) {}
  void check(Place place, const Key& key, Sequence sequence, BuildId build);
  /// After the last row: the footer must name every id that rows use, if it says that it does.
  void finish();

 private:
  using Interned = std::pair<format::InternedEntry::Table, std::uint32_t>;
  void use(Place place, Interned id);

  const SegmentUnderCheck& segment_;
  std::set<Interned> used_;
  bool sequence_reported_ = false;
};

void check_vector_rows(const SegmentUnderCheck& segment);
void check_record_rows(const SegmentUnderCheck& segment);

}  // namespace vectolith::engine
