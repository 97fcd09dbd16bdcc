/// @file
/// What a repair decides of the segments and their rows: what stays, what is mended, quarantined, set aside.
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include <vectolith/format/file_name.h>

#include "verify/fsck_segment.h"
#include "verify/repair_draft.h"
#include "verify/segment_judge.h"

namespace vectolith::engine {
namespace {

using Kind = RepairAction::Kind;
using Table = format::InternedEntry::Table;

std::string_view table_name(Table table) noexcept {
  switch (table) {
    case Table::kScope: return "scope";
    case Table::kChunker: return "chunker";
    case Table::kBuild: return "build";
  }
  return "id";
}

class SegmentDecisions {
 public:
  explicit SegmentDecisions(RepairDraft& draft) : draft_(draft) {}

  void examine(const SegmentEntry& entry) {
    draft_.entries[entry.id] = entry;
    const std::string name = format::segment_name(entry.id);
    const auto found = draft_.survey.segments.find(entry.id);
    if (found == draft_.survey.segments.end()) {
      ++draft_.plan.report.files_lost;
      draft_.act(Kind::kForgetFile, name, "it is missing; its rows are lost");
      return forget(entry);
    }
    SurveyedSegment& segment = found->second;
    if (!segment.header && !adopt_rebuilt_header(draft_, entry, segment)) {
      draft_.set_aside(name, segment.why_unusable);
      return forget(entry);
    }
    const format::SegmentHeader& header = *segment.header;
    if (const std::string why = contradiction(entry, header); !why.empty()) {
      draft_.set_aside(name, why);
      return forget(entry);
    }
    const bool has_size = segment.size == header.file_bytes;
    if (!has_size) {
      draft_.plan.file_sizes.emplace_back(entry.id, header.file_bytes);
      draft_.act(
          Kind::kResizeFile, name,
          "from " + std::to_string(segment.size) + " to " + std::to_string(header.file_bytes) + " bytes");
    }
    // A segment without a footer is read to learn its sequences where no manifest tells them.
    const bool is_known = draft_.is_trusted() || entry.phase == SegmentPhase::kSealed;
    const bool is_mended = !has_size || draft_.headers_rebuilt.contains(entry.id);
    const Condition condition = is_mended         ? Condition::kMended
                                : is_clean(entry) ? Condition::kWhole
                                                  : Condition::kDamaged;
    draft_.newest = std::max(draft_.newest, entry.last_sequence);
    if (condition != Condition::kWhole || !is_known) judge(entry, header, name, condition);
  }

 private:
  enum class Condition : std::uint8_t {
    kWhole,   ///< fsck finds nothing in it.
    kMended,  ///< Its header or its file's size was wrong, and will be right.
    kDamaged,
  };

  void forget(const SegmentEntry& entry) {
    draft_.is_changed = true;
    draft_.entries.erase(entry.id);
    (void)draft_.context.state->apply(format::RemoveSegment{entry.id});
  }

  std::string contradiction(const SegmentEntry& entry, const format::SegmentHeader& header) {
    if (header.segment_uuid != entry.uuid) return "it has another life than the manifest says";
    if (header.family_id != entry.family || header.file_bytes != entry.file_bytes)
      return "its header disagrees with the manifest";
    if (!lives_.insert(header.segment_uuid).second) return "another segment has the same life";
    if (!is_of_family(header, draft_.context.state->families().at(entry.family)))
      return "its model spec is not its family's";
    return {};
  }

  /// Whether fsck finds nothing in it, once the interned ids that its rows use are defined.
  bool is_clean(const SegmentEntry& entry) {
    for (int attempt = 0; attempt < 2; ++attempt) {
      const std::uint64_t before = draft_.findings.damages();
      draft_.context.undefined_interned.clear();
      check_segment(draft_.context, entry);
      if (draft_.findings.damages() == before) return true;
      if (draft_.context.undefined_interned.empty()) return false;
      for (const InternedId& id : std::set(draft_.context.undefined_interned)) define(id);
    }
    return false;
  }

  void define(const InternedId& id) {
    ManifestState& state = *draft_.context.state;
    if (state.is_interned(id.first, id.second)) return;
    format::InternedEntry entry{.table = id.first, .id = id.second, .version = 0, .name = {}};
    entry.name = "recovered-" + std::string(table_name(id.first)) + "-" + std::to_string(id.second);
    while (!state.apply(format::DefineInterned{entry})) entry.name += "-again";
    draft_.is_changed = true;
    draft_.act(Kind::kName, "",
               std::string(table_name(id.first)) + " " + std::to_string(id.second) + " gets the name '" +
                   entry.name + "': its own is lost");
  }

  void judge(const SegmentEntry& entry, const format::SegmentHeader& header, const std::string& name,
             Condition condition) {
    const auto file = draft_.directory.open(name, OpenMode::kReadOnly);
    if (!file) {
      draft_.set_aside(name, file.error().to_string());
      return forget(entry);
    }
    const auto& watermarks = draft_.context.watermarks;
    const auto known = watermarks.find(entry.id);
    SegmentJudgement judgement =
        judge_segment(**file, header, entry, known == watermarks.end() ? 0 : known->second);
    draft_.newest = std::max(draft_.newest, judgement.newest);
    for (const InternedId& id : judgement.interned) define(id);
    if (judgement.row_count == 0) {
      // Nothing that counts was written: the file becomes an orphan, as after a crash.
      if (!draft_.is_trusted()) forget(entry);
      return;
    }
    if (judgement.lost.empty() && may_stay(entry, header, condition)) return;
    SegmentEntry judged = entry;
    judged.phase = SegmentPhase::kFrozen;
    judged.row_count = judgement.row_count;
    judged.rows_durable = std::min(judgement.watermark, judgement.row_count);
    judged.invalid = std::move(judgement.invalid);
    judged.first_sequence = judged.last_sequence = Sequence();
    draft_.entries[entry.id] = std::move(judged);
    draft_.is_changed = true;
    if (judgement.lost.empty() && condition != Condition::kWhole)
      draft_.act(Kind::kQuarantineRows, name, "all its rows hold; it is to be sealed again");
    quarantine(entry.family, judgement.lost, name);
  }

  /// Whether the manifest's entry may stay, now that every row it counts was found to hold.
  bool may_stay(const SegmentEntry& entry, const format::SegmentHeader& header, Condition condition) {
    if (condition == Condition::kDamaged) return false;
    if (entry.phase != SegmentPhase::kSealed)
      return draft_.is_trusted() || entry.phase == SegmentPhase::kFrozen;
    const auto footer = read_footer(draft_.directory, header);
    return footer && footer->row_count == entry.row_count && footer->first_sequence == entry.first_sequence &&
           footer->last_sequence == entry.last_sequence && footer->invalid == entry.invalid;
  }

  void quarantine(FamilyId family, const std::vector<LostRow>& lost, const std::string& name) {
    if (lost.empty()) return;
    std::uint64_t unknown = 0;
    for (const LostRow& row : lost) {
      if (!row.version) {
        ++unknown;
        continue;
      }
      // An older version must not answer in place of the one that is lost. A copy with the same sequence may.
      const auto& [key, sequence] = *row.version;
      if (sequence.value <= 1) continue;
      draft_.deaths.push_back(
          format::JournalRow::erase(key, family, Sequence(sequence.value - 1), ManifestVersion(0)));
    }
    draft_.plan.report.rows_quarantined += lost.size();
    draft_.plan.report.rows_of_unknown_key += unknown;
    draft_.act(Kind::kQuarantineRows, name,
               "quarantine " + count_text(lost.size(), "damaged row") + " from row " +
                   std::to_string(lost.front().row) +
                   (unknown == 0 ? "" : "; the keys of " + std::to_string(unknown) + " are unreadable"));
  }

  RepairDraft& draft_;
  std::set<Uuid> lives_;
};

}  // namespace

void examine_segments(RepairDraft& draft) {
  SegmentDecisions decisions(draft);
  for (const auto& [id, entry] : std::map(draft.context.state->segments())) decisions.examine(entry);
}

}  // namespace vectolith::engine
