/// @file
/// The recovery decision for one row, as a table: the same in code, docs/durability.md and its test.
#pragma once

#include <cstdint>

#include <vectolith/format/segment.h>

namespace vectolith::engine {

/// What is known of a row's vector (or payload) when the decision is made.
enum class PayloadState : std::uint8_t {
  kUnread,  ///< Not looked at: below the watermark it is checked on first touch instead.
  kHolds,
  kFails,
};

/// What is known of the row's batch.
enum class BatchState : std::uint8_t {
  kNone,    ///< No member of a batch.
  kWhole,   ///< Every member is valid.
  kBroken,  ///< A member is missing.
};

/// What recovery does with a row.
enum class RowVerdict : std::uint8_t {
  kKeep,
  kNeverWritten,  ///< No trace of an acknowledged row: ignored.
  kUnfinished,    ///< Written in part, acknowledgement unknown: dropped, reported as information.
  kDamaged,       ///< Acknowledged durable and not readable: quarantined, reported as corruption.
};

/// Rules R1 to R4 of docs/durability.md.
///
/// | row     | below watermark | payload | batch  | verdict       |
/// |---------|-----------------|---------|--------|---------------|
/// | valid   | yes             | any     | any    | keep          |
/// | other   | yes             | -       | -      | damaged       |
/// | zero    | no              | -       | -      | never written |
/// | stale   | no              | -       | -      | never written |
/// | invalid | no              | -       | -      | unfinished    |
/// | valid   | no              | fails   | any    | unfinished    |
/// | valid   | no              | unread  | any    | unfinished    |
/// | valid   | no              | holds   | broken | unfinished    |
/// | valid   | no              | holds   | other  | keep          |
constexpr RowVerdict decide(format::RowState row, bool below_watermark, PayloadState payload,
                            BatchState batch) noexcept {
  if (below_watermark) return row == format::RowState::kValid ? RowVerdict::kKeep : RowVerdict::kDamaged;
  switch (row) {
    case format::RowState::kZero:
    case format::RowState::kStale: return RowVerdict::kNeverWritten;
    case format::RowState::kInvalid: return RowVerdict::kUnfinished;
    case format::RowState::kValid: break;
  }
  if (payload != PayloadState::kHolds || batch == BatchState::kBroken) return RowVerdict::kUnfinished;
  return RowVerdict::kKeep;
}

}  // namespace vectolith::engine
