/// @file
/// The state that a repair starts from: the trusted manifest's, or one put together from headers, footers
/// and the remains of the manifests.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "verify/repair_draft.h"

namespace vectolith::engine {
namespace {

constexpr std::uint64_t kSegmentBytesTarget = std::uint64_t{64} << 20;
constexpr std::uint64_t kSegmentBytesTargetMax = std::uint64_t{256} << 20;

/// Puts a state together where no manifest counts.
class StateRebuild {
 public:
  explicit StateRebuild(RepairDraft& draft)
      : draft_(draft), survey_(draft.survey), state_(draft.context.state.emplace()) {}

  Result<void> run() {
    // Until the rows were read nobody knows which sequences were handed out.
    VECTOLITH_TRY(state_.apply(format::ReserveSequences{Sequence(kSequenceMax + 1)}));
    for (const auto& entry : survey_.state.interned()) (void)state_.apply(format::DefineInterned{entry});
    for (const auto& [id, family] : survey_.state.families()) {
      if (!survey_.harvest.dropped.contains(id)) VECTOLITH_TRY(state_.apply(edit_of(family)));
    }
    for (auto& [id, segment] : survey_.segments) VECTOLITH_TRY(add_segment(id, segment));
    for (const auto& [id, journal] : survey_.journals) add_journal(id, journal);
    return {};
  }

 private:
  Result<void> add_segment(SegmentId id, SurveyedSegment& segment) {
    if (survey_.harvest.removed.contains(id)) return {};  // An orphan: the next open removes it.
    const auto known = survey_.state.segments().find(id);
    if (!segment.header && known != survey_.state.segments().end()) {
      if (adopt_rebuilt_header(draft_, known->second, segment)) return add_entry(known->second);
    }
    if (!segment.header) {
      draft_.set_aside(segment.name, segment.why_unusable);
      return {};
    }
    const format::SegmentHeader& header = *segment.header;
    if (survey_.harvest.dropped.contains(header.family_id)) return {};
    if (!state_.families().contains(header.family_id)) VECTOLITH_TRY(found_family(header));
    const auto& family = state_.families().at(header.family_id);
    if (!is_of_family(header, family)) {
      draft_.set_aside(segment.name, "its model spec is not that of family '" + family.name + "'");
      return {};
    }
    const bool is_known =
        known != survey_.state.segments().end() && known->second.uuid == header.segment_uuid;
    return add_entry(entry_of(header, is_known ? &known->second : nullptr));
  }

  /// The family of a segment that no manifest names: its spec stands in the header, its name is lost.
  Result<void> found_family(const format::SegmentHeader& header) {
    FamilyEntry family{
        .id = header.family_id,
        .kind = header.kind,
        .name = "recovered-" + std::to_string(header.family_id.value),
        .spec = std::nullopt,
        .segment_bytes_target = std::clamp(header.file_bytes, kSegmentBytesTarget, kSegmentBytesTargetMax)};
    if (header.kind == format::SegmentKind::kVector) {
      VECTOLITH_TRY_ASSIGN(family.spec, format::segment_spec(header));
    }
    const auto given = draft_.options.family_names.find(header.family_id);
    const bool is_given = given != draft_.options.family_names.end();
    if (is_given) family.name = given->second;
    while (!is_given && state_.find_family(family.name) != nullptr) family.name += "-again";
    if (auto added = state_.apply(edit_of(family)); !added) {
      if (!is_given) return added;
      return std::unexpected(Error(ErrorCode::kInvalidArgument, "this name cannot be given to a family")
                                 .with_found(family.name + ": " + added.error().message()));
    }
    draft_.act(RepairAction::Kind::kName, "",
               "family " + std::to_string(family.id.value) + " (" +
                   (family.spec ? std::to_string(family.spec->dim) + " x " +
                                      std::string(to_string(family.spec->dtype)) +
                                      (family.spec->model.empty() ? "" : ", model " + family.spec->model)
                                : "records") +
                   ") gets the name '" + family.name + "'" + (is_given ? "" : ": its own is lost"));
    return {};
  }

  /// What the segment's own footer says counts; else what the remains of the manifest say.
  SegmentEntry entry_of(const format::SegmentHeader& header, const SegmentEntry* known) {
    SegmentEntry entry;
    entry.id = header.segment_id;
    entry.family = header.family_id;
    entry.uuid = header.segment_uuid;
    entry.file_bytes = header.file_bytes;
    if (const auto footer = read_footer(draft_.directory, header)) {
      entry.phase = SegmentPhase::kSealed;
      entry.row_count = footer->row_count;
      entry.first_sequence = footer->first_sequence;
      entry.last_sequence = footer->last_sequence;
      entry.invalid = footer->invalid;
      for (const auto& interned : footer->interned) (void)state_.apply(format::DefineInterned{interned});
    } else if (known != nullptr && known->phase != SegmentPhase::kSuspended) {
      entry = *known;
    }
    return entry;
  }

  Result<void> add_entry(SegmentEntry entry) {
    // Only a clean close may leave a segment to be resumed, and nobody knows what came after it.
    if (entry.phase == SegmentPhase::kSuspended) entry.phase = SegmentPhase::kActive;
    for (const format::Edit& edit : edits_of(entry)) VECTOLITH_TRY(state_.apply(edit));
    return {};
  }

  void add_journal(JournalId id, const SurveyedJournal& journal) {
    if (journal.is_usable) {
      (void)state_.apply(format::AddJournal{id, journal.uuid, journal.size});
    } else if (journal.erases.empty()) {
      draft_.set_aside(journal.name,
                       "its header is damaged, or of another store; what it erased may be there again");
    } else {
      draft_.drop_journal(journal.name, "its header is damaged");
    }
  }

  RepairDraft& draft_;
  StoreSurvey& survey_;
  ManifestState& state_;
};

}  // namespace

Result<void> establish_state(RepairDraft& draft) {
  draft.context.version = ManifestVersion(draft.survey.newest.value + 1);
  if (draft.is_trusted()) {
    draft.context.state = draft.survey.state;
    return {};
  }
  draft.is_changed = true;
  return StateRebuild(draft).run();
}

}  // namespace vectolith::engine
