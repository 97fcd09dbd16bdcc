/// @file
/// Decides a repair: from what the files tell to a state of the manifest that fsck finds clean.
#include "verify/repair_plan.h"

#include <limits>
#include <string>
#include <utility>

#include <vectolith/format/file_name.h>

#include "verify/repair_draft.h"
#include "verify/sort_stably.h"
#include "verify/store_survey.h"

namespace vectolith::engine {

Result<RepairPlan> plan_repair(Environment& environment, Directory& directory, const RepairOptions& options) {
  VECTOLITH_TRY_ASSIGN(auto survey, survey_store(directory));
  if (survey.newest.value >= std::numeric_limits<std::uint64_t>::max() / 2)
    return fail(ErrorCode::kLimit, "a file names a manifest frame beyond any that could have been written");
  RepairDraft draft(environment, directory, options, std::move(survey));
  RepairPlan& plan = draft.plan;
  plan.store_uuid = draft.survey.store_uuid;
  plan.created_at_s = draft.survey.created_at_s;
  if (!draft.survey.is_superblock_whole) {
    plan.rewrites_superblock = true;
    draft.act(RepairAction::Kind::kRewriteSuperblock, std::string(format::kSuperblockName),
              "write both copies anew");
  }
  VECTOLITH_TRY(establish_state(draft));
  examine_journals(draft);
  examine_segments(draft);
  plan_journal(draft);
  VECTOLITH_TRY(plan_manifest(draft));
  plan.state = *std::move(draft.context.state);
  plan.watermarks = std::move(draft.context.watermarks);
  sort_stably(plan.report.actions, &RepairAction::kind);
  return std::move(plan);
}

}  // namespace vectolith::engine
