/// @file
/// A repair plan while it is made: what its parts share, and the parts.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <vectolith/format/journal.h>
#include <vectolith/format/result.h>
#include <vectolith/format/segment.h>
#include <vectolith/verify.h>

#include "io/environment.h"
#include "manifest/manifest_state.h"
#include "verify/fsck_context.h"
#include "verify/fsck_findings.h"
#include "verify/repair_plan.h"
#include "verify/store_survey.h"

namespace vectolith::engine {

/// Grows from what the survey tells; each part below decides one kind of thing.
struct RepairDraft {
  RepairDraft(Environment& environment, Directory& directory, const RepairOptions& options,
              StoreSurvey survey);
  RepairDraft(const RepairDraft&) = delete;
  RepairDraft& operator=(const RepairDraft&) = delete;

  /// Whether a manifest counts. Else the state is put together from what the files tell.
  [[nodiscard]] bool is_trusted() const noexcept { return survey.trusted.has_value(); }
  /// Adds what is to be told; an empty `file` is the store as a whole.
  void act(RepairAction::Kind kind, std::string file, std::string what);
  void set_aside(const std::string& name, const std::string& why);
  /// Sets a journal aside whose readable erases go into the new one.
  void drop_journal(const std::string& name, const std::string& why);
  [[nodiscard]] Uuid random_uuid() const;

  Environment& environment;
  Directory& directory;
  const RepairOptions& options;
  StoreSurvey survey;
  const FsckOptions fsck_options;
  FsckFindings findings;
  FsckContext context;  ///< Its state is the one that the repair starts from, less what is forgotten.
  RepairPlan plan;
  bool is_changed = false;  ///< The manifest has to be written.
  bool drops_journals = false;
  std::map<SegmentId, SegmentEntry> entries;  ///< Of the repaired store.
  std::set<SegmentId> headers_rebuilt;
  std::vector<format::JournalRow> deaths;  ///< Erases of the versions that are quarantined.
  Sequence newest;                         ///< That any row was seen with.
};

// The parts, in the order they run. What they change of the store stands in `draft.plan` afterwards.

/// Sets the state to start from: the trusted manifest's, or one put together from the remains.
/// Errors: kInvalidArgument for a name that cannot be given; kLimit.
Result<void> establish_state(RepairDraft& draft);
/// Lets fsck look at each journal, and drops those that are damaged.
void examine_journals(RepairDraft& draft);
/// Lets fsck look at each segment: rows that are lost are quarantined, files that are worthless set aside.
void examine_segments(RepairDraft& draft);
/// One new journal takes over what journals that go can still tell, and what was quarantined.
void plan_journal(RepairDraft& draft);
/// The manifest of the repaired store. Errors: kCorruption if its state cannot be.
Result<void> plan_manifest(RepairDraft& draft);

/// Takes the header that `entry` implies if the rows' sums, or the footer, prove it.
bool adopt_rebuilt_header(RepairDraft& draft, const SegmentEntry& entry, SurveyedSegment& segment);
/// Whether a segment with this header holds what the family holds.
bool is_of_family(const format::SegmentHeader& header, const FamilyEntry& family);
/// The footer of a segment, if it is whole.
std::optional<format::SegmentFooter> read_footer(Directory& directory, const format::SegmentHeader& header);
/// "1 row", "2 rows".
std::string count_text(std::uint64_t number, std::string_view what);

}  // namespace vectolith::engine
