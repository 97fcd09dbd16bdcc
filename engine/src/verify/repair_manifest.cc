/// @file
/// What a repair decides of the manifest: the state of the repaired store, and the files that hold it.
#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include <vectolith/format/file_name.h>

#include "verify/repair_draft.h"

namespace vectolith::engine {
namespace {

/// Sequences of torn rows must not come back: as many as the engine reserves at a time are left out.
constexpr std::uint64_t kSequencesSkipped = std::uint64_t{1} << 25;

Sequence final_sequences(const RepairDraft& draft) {
  const Sequence seen(std::max(draft.newest.value, draft.survey.newest_erase.value) + 1);
  if (draft.is_trusted()) return std::max(seen, draft.context.state->sequences_until());
  const Sequence known = std::max(seen, draft.survey.state.sequences_until());
  return Sequence(std::min(known.value + kSequencesSkipped, kSequenceMax + 1));
}

/// Ids that any file was ever seen with are not handed out again.
format::NextIds final_ids(const StoreSurvey& survey, format::NextIds next) {
  if (!survey.segments.empty())
    next.segment = std::max(next.segment, SegmentId(survey.segments.rbegin()->first.value + 1));
  if (!survey.journals.empty())
    next.journal = std::max(next.journal, JournalId(survey.journals.rbegin()->first.value + 1));
  next.family = std::max(next.family, FamilyId(survey.highest_family.value + 1));
  const auto& known = survey.state.next_ids();
  next.segment = std::max(next.segment, known.segment);
  next.journal = std::max(next.journal, known.journal);
  next.family = std::max(next.family, known.family);
  return next;
}

/// The whole state as edits; a state that cannot be is refused here, before anything is written.
Result<std::vector<format::Edit>> final_edits(RepairDraft& draft) {
  const format::ReserveSequences reservation{final_sequences(draft)};
  const ManifestState from = *std::move(draft.context.state);
  ManifestState& to = draft.context.state.emplace();
  VECTOLITH_TRY(to.apply(reservation));
  for (const auto& entry : from.interned()) VECTOLITH_TRY(to.apply(format::DefineInterned{entry}));
  for (const auto& [id, family] : from.families()) VECTOLITH_TRY(to.apply(edit_of(family)));
  for (auto& [id, entry] : draft.entries) {
    if (entry.phase == SegmentPhase::kSuspended) {
      // Only a clean close may leave a segment to be resumed, and there was none since.
      entry.phase = SegmentPhase::kFrozen;
      entry.rows_durable = entry.row_count;
    }
    for (const format::Edit& edit : edits_of(entry)) VECTOLITH_TRY(to.apply(edit));
  }
  for (const auto& [id, journal] : from.journals())
    VECTOLITH_TRY(to.apply(format::AddJournal{id, journal.uuid, journal.file_bytes}));
  if (const auto& journal = draft.plan.journal)
    VECTOLITH_TRY(to.apply(format::AddJournal{journal->id, journal->uuid, journal->file_bytes()}));
  VECTOLITH_TRY(to.apply(final_ids(draft.survey, from.next_ids())));
  return to.snapshot();
}

Result<void> plan_new_manifest(RepairDraft& draft) {
  RepairPlan::NewManifest manifest;
  manifest.version = draft.context.version;
  manifest.life = draft.random_uuid();
  VECTOLITH_TRY_ASSIGN(manifest.edits, final_edits(draft));
  manifest.index = draft.survey.trusted ? 1 - *draft.survey.trusted : 0;
  draft.act(RepairAction::Kind::kWriteManifest, format::manifest_name(manifest.index),
            draft.is_trusted() ? "write the manifest anew, without what is lost"
                               : "rebuild the manifest from " + count_text(draft.entries.size(), "segment") +
                                     " and what is left of the old one");
  draft.plan.manifest = std::move(manifest);
  return {};
}

/// A file that is not what a manifest file may be, and is not written anyway, is made anew.
void renew_manifest_file(RepairDraft& draft, int index) {
  const auto& manifest = draft.plan.manifest;
  const auto place = static_cast<std::size_t>(index);
  const bool is_there = draft.survey.is_manifest_there[place];
  if (manifest ? manifest->index == index : is_there) return;
  if (is_there && draft.survey.manifests.files[place].condition != ManifestFile::Condition::kInvalid) return;
  draft.plan.renewed_manifests.push_back(index);
  draft.act(RepairAction::Kind::kRenewManifestFile, format::manifest_name(index), "make it anew, empty");
}

}  // namespace

Result<void> plan_manifest(RepairDraft& draft) {
  if (draft.is_changed) VECTOLITH_TRY(plan_new_manifest(draft));
  for (const int index : {0, 1}) renew_manifest_file(draft, index);
  return {};
}

}  // namespace vectolith::engine
