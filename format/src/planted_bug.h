/// @file
/// Bugs that a test build can switch on, one at a time, to show that the crash campaign catches them.
#pragma once

#include <atomic>
#include <cstdint>

namespace vectolith {

/// Each names the mistake that the code makes where `is_planted` asks for it.
enum class PlantedBug : std::uint8_t {
  kNone,
  kAcknowledgeWithoutSync,       ///< kDurable is acknowledged without a barrier.
  kAcknowledgeBeforeCompletion,  ///< A put is acknowledged when it is submitted.
  kRetryFailedSync,              ///< A failed barrier is tried again, and the second answer believed.
  kUnlinkedSync,                 ///< The barrier does not wait for the write before it.
  kHardLinkInsteadOfLink,        ///< The barrier runs although the write before it failed.
  kShortWriteTakenAsWhole,       ///< A write that moved fewer bytes counts as done.
  kSumWithoutLife,               ///< Sums do not depend on the file's UUID.
  kSumWithoutPosition,           ///< Sums do not depend on the row number.
  kStopAtFirstBadRow,            ///< Recovery ends at the first row that does not hold.
  kNoDirectorySync,              ///< New names are not made durable.
  kAppendToInheritedSegment,     ///< A segment found unsealed is resumed, and its lock not asked for.
  kPublishBeforeCompletion,      ///< Rows are visible while their writes are under way.
  kForgetDeaths,                 ///< Death records of an unclean end are not carried over.
  kAcceptPartOfBatch,            ///< Members of a torn batch count alone.
  kCompareHashOnly,              ///< A hit is not checked against the stored key.
  kCounterStored,                ///< A frequency is stored, and may undo a move of the entry.
  kManifestValidBeforeSync,      ///< The header that names a snapshot does not wait for it.
  kEraseWithoutSync,             ///< A durable erase does not wait for the journal's barrier.
  kSequencesNotReserved,         ///< Numbers are used again after a crash.
  kRemoveFilesFirst,             ///< A dropped family's files go before the manifest says so.
  kCloseWithoutSync,             ///< A clean close says so before its rows are on the medium.
  kExistingRowNotSynced,         ///< A durable put of a key that exists does not wait for the old row.
  kCount
};

#ifdef VECTOLITH_PLANTED_BUGS
/// The bug of this process; kNone unless a test sets it.
inline std::atomic<PlantedBug> planted_bug{PlantedBug::kNone};
[[nodiscard]] inline bool is_planted(PlantedBug bug) noexcept {
  return planted_bug.load(std::memory_order_relaxed) == bug;
}
#else
[[nodiscard]] constexpr bool is_planted(PlantedBug /*bug*/) noexcept { return false; }
#endif

}  // namespace vectolith
