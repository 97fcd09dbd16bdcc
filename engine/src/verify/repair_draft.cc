/// @file
/// What the parts of a repair plan share.
#include "verify/repair_draft.h"

#include <span>
#include <utility>

#include <vectolith/format/file_name.h>

#include "verify/segment_judge.h"

namespace vectolith::engine {

RepairDraft::RepairDraft(Environment& environment_in, Directory& directory_in,
                         const RepairOptions& options_in, StoreSurvey survey_in)
    : environment(environment_in),
      directory(directory_in),
      options(options_in),
      survey(std::move(survey_in)),
      findings(fsck_options),
      context{.directory = directory,
              .findings = findings,
              .online = false,
              .store_uuid = survey.store_uuid,
              .state = std::nullopt,
              .version = {},
              .watermarks = survey.watermarks,
              .undefined_interned = {}} {}

void RepairDraft::act(RepairAction::Kind kind, std::string file, std::string what) {
  if (!file.empty()) file = directory.path() + "/" + file;
  plan.report.actions.push_back({kind, std::move(file), std::move(what)});
}

void RepairDraft::set_aside(const std::string& name, const std::string& why) {
  plan.set_aside.push_back(name);
  ++plan.report.files_lost;
  act(RepairAction::Kind::kSetAside, name, "set it aside: " + why);
}

void RepairDraft::drop_journal(const std::string& name, const std::string& why) {
  drops_journals = true;
  set_aside(name, why + "; the erases that can be read are kept");
}

Uuid RepairDraft::random_uuid() const {
  Uuid uuid;
  environment.fill_random(std::span(uuid.bytes));
  return uuid;
}

bool adopt_rebuilt_header(RepairDraft& draft, const SegmentEntry& entry, SurveyedSegment& segment) {
  const auto& families = draft.survey.state.families();
  const auto family = families.find(entry.family);
  if (family == families.end()) return false;
  const auto header = rebuild_header(entry, family->second, draft.survey.store_uuid);
  const auto file = draft.directory.open(segment.name, OpenMode::kReadOnly);
  if (!header || !file) return false;
  SegmentEntry all = entry;
  if (all.phase == SegmentPhase::kSuspended) all.phase = SegmentPhase::kActive;
  if (!read_footer(draft.directory, *header) && judge_segment(**file, *header, all, 0).kept.empty())
    return false;
  segment.header = *header;
  draft.headers_rebuilt.insert(entry.id);
  draft.plan.headers.push_back(*header);
  draft.act(RepairAction::Kind::kRewriteHeader, segment.name,
            "write its header anew (" + segment.why_unusable + ")");
  return true;
}

bool is_of_family(const format::SegmentHeader& header, const FamilyEntry& family) {
  const auto spec = header.kind == format::SegmentKind::kVector ? std::optional(*format::segment_spec(header))
                                                                : std::nullopt;
  return family.kind == header.kind && family.spec == spec;
}

std::optional<format::SegmentFooter> read_footer(Directory& directory, const format::SegmentHeader& header) {
  const auto file = directory.open(format::segment_name(header.segment_id), OpenMode::kReadOnly);
  if (!file) return std::nullopt;
  std::vector<std::byte> region(header.footer_bytes);
  if (!(*file)->read_exact(header.footer_offset, region)) return std::nullopt;
  auto footer = format::decode_segment_footer(region, header);
  if (!footer) return std::nullopt;
  return *std::move(footer);
}

std::string count_text(std::uint64_t number, std::string_view what) {
  return std::to_string(number) + " " + std::string(what) + (number == 1 ? "" : "s");
}

}  // namespace vectolith::engine
