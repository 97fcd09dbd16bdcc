/// @file
/// What a repair decides of the journals: damaged ones go, and a new one takes over what they can tell.
#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <vectolith/format/file_name.h>

#include "verify/fsck_journal.h"
#include "verify/repair_draft.h"

namespace vectolith::engine {
namespace {

void examine_journal(RepairDraft& draft, const JournalEntry& entry, bool is_newest) {
  const std::uint64_t before = draft.findings.damages();
  check_journal(draft.context, entry, is_newest);
  if (draft.findings.damages() == before) return;
  draft.is_changed = true;
  const std::string name = format::journal_name(entry.id);
  if (draft.survey.journals.contains(entry.id)) {
    draft.drop_journal(name, "it is damaged, or ends in an unfinished row");
  } else {
    draft.drops_journals = true;
    ++draft.plan.report.files_lost;
    draft.act(RepairAction::Kind::kForgetFile, name, "it is missing; what only it erased may be there again");
  }
  (void)draft.context.state->apply(format::RemoveJournal{entry.id});
}

}  // namespace

void examine_journals(RepairDraft& draft) {
  const std::map<JournalId, JournalEntry> journals = draft.context.state->journals();
  for (const auto& [id, entry] : journals) examine_journal(draft, entry, id == journals.rbegin()->first);
}

void plan_journal(RepairDraft& draft) {
  auto& erases = draft.plan.erases;
  erases = draft.deaths;
  for (const auto& [id, journal] : draft.survey.journals)
    erases.insert(erases.end(), journal.erases.begin(), journal.erases.end());
  // Journals that no manifest names have told another journal what they say, unless one is lost.
  if (!draft.drops_journals && draft.deaths.empty()) return;
  // The newest may have a torn tail; once another one follows it may not.
  for (const auto& [id, entry] : std::map(draft.context.state->journals()))
    examine_journal(draft, entry, false);
  std::vector<format::JournalRow> rows = draft.deaths;
  JournalId highest = draft.context.state->next_ids().journal;
  for (const auto& [id, journal] : draft.survey.journals) {
    highest = std::max(highest, JournalId(id.value + 1));
    if (!draft.context.state->journals().contains(id))
      rows.insert(rows.end(), journal.erases.begin(), journal.erases.end());
  }
  if (rows.empty()) return;
  draft.is_changed = true;
  RepairPlan::NewJournal journal{.id = highest, .uuid = draft.random_uuid(), .rows = std::move(rows)};
  draft.act(RepairAction::Kind::kWriteJournal, format::journal_name(journal.id),
            "write " + count_text(journal.rows.size(), "erase") + " into a new journal");
  draft.plan.journal = std::move(journal);
}

}  // namespace vectolith::engine
