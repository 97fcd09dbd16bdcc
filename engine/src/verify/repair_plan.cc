/// @file
/// Decides a repair: from what the files tell to a state of the manifest that fsck finds clean.
#include "verify/repair_plan.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <set>

#include <vectolith/format/file_name.h>

#include "verify/fsck_context.h"
#include "verify/fsck_journal.h"
#include "verify/fsck_segment.h"
#include "verify/segment_judge.h"
#include "verify/sort_stably.h"
#include "verify/store_survey.h"

namespace vectolith::engine {
namespace {

using Kind = RepairAction::Kind;
using Table = format::InternedEntry::Table;

/// Sequences of torn rows must not come back: as many as the engine reserves at a time are left out.
constexpr std::uint64_t kSequencesSkipped = std::uint64_t{1} << 25;
constexpr std::uint64_t kSegmentBytesTarget = std::uint64_t{64} << 20;
constexpr std::uint64_t kSegmentBytesTargetMax = std::uint64_t{256} << 20;

std::string_view table_name(Table table) noexcept {
  switch (table) {
    case Table::kScope: return "scope";
    case Table::kChunker: return "chunker";
    case Table::kBuild: return "build";
  }
  return "id";
}

std::string count_text(std::uint64_t number, std::string_view what) {
  return std::to_string(number) + " " + std::string(what) + (number == 1 ? "" : "s");
}

class RepairPlanner {
 public:
  RepairPlanner(Environment& environment, Directory& directory, const RepairOptions& options,
                StoreSurvey survey)
      : environment_(environment),
        directory_(directory),
        options_(options),
        survey_(std::move(survey)),
        findings_(fsck_options_),
        context_{.directory = directory,
                 .findings = findings_,
                 .online = false,
                 .store_uuid = survey_.store_uuid,
                 .state = std::nullopt,
                 .version = {},
                 .watermarks = survey_.watermarks,
                 .undefined_interned = {}} {}

  Result<RepairPlan> run() {
    plan_.store_uuid = survey_.store_uuid;
    plan_.created_at_s = survey_.created_at_s;
    if (!survey_.is_superblock_whole) {
      plan_.rewrites_superblock = true;
      act(Kind::kRewriteSuperblock, std::string(format::kSuperblockName), "write both copies anew");
    }
    if (survey_.newest.value >= std::numeric_limits<std::uint64_t>::max() / 2)
      return fail(ErrorCode::kLimit, "a file names a manifest frame beyond any that could have been written");
    VECTOLITH_TRY(establish_state());
    const std::map<JournalId, JournalEntry> journals = context_.state->journals();
    for (const auto& [id, entry] : journals) examine_journal(entry, id == journals.rbegin()->first);
    for (const auto& [id, entry] : std::map(context_.state->segments())) examine_segment(entry);
    plan_.erases = deaths_;
    for (const auto& [id, journal] : survey_.journals)
      plan_.erases.insert(plan_.erases.end(), journal.erases.begin(), journal.erases.end());
    plan_journal();
    VECTOLITH_TRY(plan_manifest());
    plan_.state = *std::move(context_.state);
    plan_.watermarks = std::move(context_.watermarks);
    sort_stably(plan_.report.actions, &RepairAction::kind);
    return std::move(plan_);
  }

 private:
  enum class Condition : std::uint8_t {
    kWhole,   ///< fsck finds nothing in it.
    kMended,  ///< Its header or its file's size was wrong, and will be right.
    kDamaged,
  };

  void act(Kind kind, std::string file, std::string what) {
    if (!file.empty()) file = directory_.path() + "/" + file;
    plan_.report.actions.push_back({kind, std::move(file), std::move(what)});
  }
  [[nodiscard]] bool is_trusted() const noexcept { return survey_.trusted.has_value(); }

  void set_aside(const std::string& name, const std::string& why) {
    plan_.set_aside.push_back(name);
    ++plan_.report.files_lost;
    act(Kind::kSetAside, name, "set it aside: " + why);
  }

  // The state to start from.

  Result<void> establish_state() {
    context_.version = ManifestVersion(survey_.newest.value + 1);
    if (is_trusted()) {
      context_.state = survey_.state;
      return {};
    }
    changed_ = true;
    context_.state.emplace();
    // Until the rows were read nobody knows which sequences were handed out.
    VECTOLITH_TRY(context_.state->apply(format::ReserveSequences{Sequence(kSequenceMax + 1)}));
    for (const auto& entry : survey_.state.interned())
      (void)context_.state->apply(format::DefineInterned{entry});
    for (const auto& [id, family] : survey_.state.families()) {
      if (!survey_.harvest.dropped.contains(id)) VECTOLITH_TRY(add_family(family));
    }
    for (auto& [id, segment] : survey_.segments) VECTOLITH_TRY(add_segment(id, segment));
    for (const auto& [id, journal] : survey_.journals) add_journal(id, journal);
    return {};
  }

  Result<void> add_family(const FamilyEntry& family) {
    return context_.state->apply(
        format::CreateFamily{family.id, family.kind, family.name,
                             family.spec ? format::encode_model_spec(*family.spec) : std::vector<std::byte>{},
                             family.segment_bytes_target});
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
    const auto given = options_.family_names.find(header.family_id);
    const bool is_given = given != options_.family_names.end();
    if (is_given) family.name = given->second;
    while (!is_given && context_.state->find_family(family.name) != nullptr) family.name += "-again";
    if (auto added = add_family(family); !added) {
      if (!is_given) return added;
      return std::unexpected(Error(ErrorCode::kInvalidArgument, "this name cannot be given to a family")
                                 .with_found(family.name + ": " + added.error().message()));
    }
    act(Kind::kName, "",
        "family " + std::to_string(family.id.value) + " (" +
            (family.spec
                 ? std::to_string(family.spec->dim) + " x " + std::string(to_string(family.spec->dtype)) +
                       (family.spec->model.empty() ? "" : ", model " + family.spec->model)
                 : "records") +
            ") gets the name '" + family.name + "'" + (is_given ? "" : ": its own is lost"));
    return {};
  }

  Result<void> add_segment(SegmentId id, SurveyedSegment& segment) {
    if (survey_.harvest.removed.contains(id)) return {};  // An orphan: the next open removes it.
    const auto known = survey_.state.segments().find(id);
    if (!segment.header && known != survey_.state.segments().end()) {
      if (adopt_rebuilt_header(known->second, segment)) return add_entry(known->second);
    }
    if (!segment.header) {
      set_aside(segment.name, segment.why_unusable);
      return {};
    }
    const format::SegmentHeader& header = *segment.header;
    if (survey_.harvest.dropped.contains(header.family_id)) return {};
    if (!context_.state->families().contains(header.family_id)) VECTOLITH_TRY(found_family(header));
    const auto& family = context_.state->families().at(header.family_id);
    const auto spec = header.kind == format::SegmentKind::kVector
                          ? std::optional(*format::segment_spec(header))
                          : std::nullopt;
    if (family.kind != header.kind || family.spec != spec) {
      set_aside(segment.name, "its model spec is not that of family '" + family.name + "'");
      return {};
    }
    const bool is_known =
        known != survey_.state.segments().end() && known->second.uuid == header.segment_uuid;
    return add_entry(entry_of(header, is_known ? &known->second : nullptr));
  }

  /// What the segment's own footer says counts; else what the remains of the manifest say.
  SegmentEntry entry_of(const format::SegmentHeader& header, const SegmentEntry* known) {
    SegmentEntry entry;
    entry.id = header.segment_id;
    entry.family = header.family_id;
    entry.uuid = header.segment_uuid;
    entry.file_bytes = header.file_bytes;
    if (const auto footer = read_footer(header)) {
      entry.phase = SegmentPhase::kSealed;
      entry.row_count = footer->row_count;
      entry.first_sequence = footer->first_sequence;
      entry.last_sequence = footer->last_sequence;
      entry.invalid = footer->invalid;
      for (const auto& interned : footer->interned)
        (void)context_.state->apply(format::DefineInterned{interned});
    } else if (known != nullptr && known->phase != SegmentPhase::kSuspended) {
      entry = *known;
    }
    return entry;
  }

  std::optional<format::SegmentFooter> read_footer(const format::SegmentHeader& header) {
    const auto file = directory_.open(format::segment_name(header.segment_id), OpenMode::kReadOnly);
    if (!file) return std::nullopt;
    std::vector<std::byte> region(header.footer_bytes);
    if (!(*file)->read_exact(header.footer_offset, region)) return std::nullopt;
    auto footer = format::decode_segment_footer(region, header);
    if (!footer) return std::nullopt;
    return *std::move(footer);
  }

  Result<void> add_entry(const SegmentEntry& entry) {
    VECTOLITH_TRY(
        context_.state->apply(format::AddSegment{entry.id, entry.family, entry.uuid, entry.file_bytes}));
    switch (entry.phase) {
      case SegmentPhase::kActive:
      case SegmentPhase::kSuspended: return {};
      case SegmentPhase::kFrozen:
        return context_.state->apply(
            format::FreezeSegment{entry.id, entry.row_count, entry.rows_durable, entry.invalid});
      case SegmentPhase::kSealed:
        return context_.state->apply(format::SealSegment{entry.id, entry.row_count, entry.first_sequence,
                                                         entry.last_sequence, entry.invalid});
    }
    return {};
  }

  void add_journal(JournalId id, const SurveyedJournal& journal) {
    if (!journal.is_usable) {
      if (journal.erases.empty()) {
        set_aside(journal.name,
                  "its header is damaged, or of another store; what it erased may be there again");
      } else {
        drop_journal(id, journal.name, "its header is damaged");
      }
      return;
    }
    (void)context_.state->apply(format::AddJournal{id, journal.uuid, journal.size});
  }

  // Journals.

  void drop_journal(JournalId id, const std::string& name, const std::string& why) {
    journals_dropped_.insert(id);
    set_aside(name, why + "; the erases that can be read are kept");
  }

  void examine_journal(const JournalEntry& entry, bool is_newest) {
    const std::uint64_t before = findings_.damages();
    check_journal(context_, entry, is_newest);
    if (findings_.damages() == before) return;
    changed_ = true;
    const std::string name = format::journal_name(entry.id);
    if (survey_.journals.contains(entry.id)) {
      drop_journal(entry.id, name, "it is damaged, or ends in an unfinished row");
    } else {
      journals_dropped_.insert(entry.id);
      ++plan_.report.files_lost;
      act(Kind::kForgetFile, name, "it is missing; what only it erased may be there again");
    }
    (void)context_.state->apply(format::RemoveJournal{entry.id});
  }

  /// One new journal takes over what journals that go can still tell, and what was quarantined.
  void plan_journal() {
    // Journals that no manifest names have told another journal what they say, unless one is lost.
    if (journals_dropped_.empty() && deaths_.empty()) return;
    // The newest may have a torn tail; once another one follows it may not.
    for (const auto& [id, entry] : std::map(context_.state->journals())) examine_journal(entry, false);
    std::vector<format::JournalRow> rows = std::move(deaths_);
    JournalId highest = context_.state->next_ids().journal;
    for (const auto& [id, journal] : survey_.journals) {
      highest = std::max(highest, JournalId(id.value + 1));
      if (!context_.state->journals().contains(id))
        rows.insert(rows.end(), journal.erases.begin(), journal.erases.end());
    }
    if (rows.empty()) return;
    changed_ = true;
    RepairPlan::NewJournal journal{.id = highest, .uuid = random_uuid(), .rows = std::move(rows)};
    act(Kind::kWriteJournal, format::journal_name(journal.id),
        "write " + count_text(journal.rows.size(), "erase") + " into a new journal");
    plan_.journal = std::move(journal);
  }

  // Segments.

  /// Takes the header that the manifest implies if the rows' sums, or the footer, prove it.
  bool adopt_rebuilt_header(const SegmentEntry& entry, SurveyedSegment& segment) {
    const auto& families = survey_.state.families();
    const auto family = families.find(entry.family);
    if (family == families.end()) return false;
    const auto header = rebuild_header(entry, family->second, survey_.store_uuid);
    const auto file = directory_.open(segment.name, OpenMode::kReadOnly);
    if (!header || !file) return false;
    SegmentEntry all = entry;
    if (all.phase == SegmentPhase::kSuspended) all.phase = SegmentPhase::kActive;
    if (!read_footer(*header) && judge_segment(**file, *header, all, 0).kept.empty()) return false;
    segment.header = *header;
    headers_rebuilt_.insert(entry.id);
    plan_.headers.push_back(*header);
    act(Kind::kRewriteHeader, segment.name, "write its header anew (" + segment.why_unusable + ")");
    return true;
  }

  void forget(const SegmentEntry& entry) {
    changed_ = true;
    entries_.erase(entry.id);
    (void)context_.state->apply(format::RemoveSegment{entry.id});
  }

  void examine_segment(const SegmentEntry& entry) {
    entries_[entry.id] = entry;
    const std::string name = format::segment_name(entry.id);
    const auto found = survey_.segments.find(entry.id);
    if (found == survey_.segments.end()) {
      ++plan_.report.files_lost;
      act(Kind::kForgetFile, name, "it is missing; its rows are lost");
      return forget(entry);
    }
    SurveyedSegment& segment = found->second;
    if (!segment.header && !adopt_rebuilt_header(entry, segment)) {
      set_aside(name, segment.why_unusable);
      return forget(entry);
    }
    const format::SegmentHeader& header = *segment.header;
    if (const std::string why = contradiction(entry, header); !why.empty()) {
      set_aside(name, why);
      return forget(entry);
    }
    const bool has_size = segment.size == header.file_bytes;
    if (!has_size) {
      plan_.file_sizes.emplace_back(entry.id, header.file_bytes);
      act(Kind::kResizeFile, name,
          "from " + std::to_string(segment.size) + " to " + std::to_string(header.file_bytes) + " bytes");
    }
    // A segment without a footer is read to learn its sequences where no manifest tells them.
    const bool is_known = is_trusted() || entry.phase == SegmentPhase::kSealed;
    const bool is_mended = !has_size || headers_rebuilt_.contains(entry.id);
    const Condition condition = is_mended         ? Condition::kMended
                                : is_clean(entry) ? Condition::kWhole
                                                  : Condition::kDamaged;
    newest_ = std::max(newest_, entry.last_sequence);
    if (condition != Condition::kWhole || !is_known) judge(entry, header, name, condition);
  }

  std::string contradiction(const SegmentEntry& entry, const format::SegmentHeader& header) {
    if (header.segment_uuid != entry.uuid) return "it has another life than the manifest says";
    if (header.family_id != entry.family || header.file_bytes != entry.file_bytes)
      return "its header disagrees with the manifest";
    if (!lives_.insert(header.segment_uuid).second) return "another segment has the same life";
    const auto& family = context_.state->families().at(entry.family);
    const auto spec = header.kind == format::SegmentKind::kVector
                          ? std::optional(*format::segment_spec(header))
                          : std::nullopt;
    if (family.kind != header.kind || family.spec != spec) return "its model spec is not its family's";
    return {};
  }

  /// Whether fsck finds nothing in it, once the interned ids that its rows use are defined.
  bool is_clean(const SegmentEntry& entry) {
    for (int attempt = 0; attempt < 2; ++attempt) {
      const std::uint64_t before = findings_.damages();
      context_.undefined_interned.clear();
      check_segment(context_, entry);
      if (findings_.damages() == before) return true;
      if (context_.undefined_interned.empty()) return false;
      for (const InternedId& id : std::set(context_.undefined_interned)) define(id);
    }
    return false;
  }

  void define(const InternedId& id) {
    if (context_.state->is_interned(id.first, id.second)) return;
    format::InternedEntry entry{.table = id.first, .id = id.second, .version = 0, .name = {}};
    entry.name = "recovered-" + std::string(table_name(id.first)) + "-" + std::to_string(id.second);
    while (!context_.state->apply(format::DefineInterned{entry})) entry.name += "-again";
    changed_ = true;
    act(Kind::kName, "",
        std::string(table_name(id.first)) + " " + std::to_string(id.second) + " gets the name '" +
            entry.name + "': its own is lost");
  }

  void judge(const SegmentEntry& entry, const format::SegmentHeader& header, const std::string& name,
             Condition condition) {
    const auto file = directory_.open(name, OpenMode::kReadOnly);
    if (!file) {
      set_aside(name, file.error().to_string());
      return forget(entry);
    }
    const auto known = context_.watermarks.find(entry.id);
    SegmentJudgement judgement =
        judge_segment(**file, header, entry, known == context_.watermarks.end() ? 0 : known->second);
    newest_ = std::max(newest_, judgement.newest);
    for (const InternedId& id : judgement.interned) define(id);
    if (judgement.row_count == 0) {
      // Nothing that counts was written: the file becomes an orphan, as after a crash.
      if (!is_trusted()) forget(entry);
      return;
    }
    if (judgement.lost.empty() && may_stay(entry, header, condition)) return;
    SegmentEntry judged = entry;
    judged.phase = SegmentPhase::kFrozen;
    judged.row_count = judgement.row_count;
    judged.rows_durable = std::min(judgement.watermark, judgement.row_count);
    judged.invalid = std::move(judgement.invalid);
    judged.first_sequence = judged.last_sequence = Sequence();
    entries_[entry.id] = std::move(judged);
    changed_ = true;
    if (judgement.lost.empty() && condition != Condition::kWhole)
      act(Kind::kQuarantineRows, name, "all its rows hold; it is to be sealed again");
    quarantine(entry.family, judgement.lost, name);
  }

  /// Whether the manifest's entry may stay, now that every row it counts was found to hold.
  bool may_stay(const SegmentEntry& entry, const format::SegmentHeader& header, Condition condition) {
    if (condition == Condition::kDamaged) return false;
    if (entry.phase != SegmentPhase::kSealed) return is_trusted() || entry.phase == SegmentPhase::kFrozen;
    const auto footer = read_footer(header);
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
      deaths_.push_back(
          format::JournalRow::erase(key, family, Sequence(sequence.value - 1), ManifestVersion(0)));
    }
    plan_.report.rows_quarantined += lost.size();
    plan_.report.rows_of_unknown_key += unknown;
    act(Kind::kQuarantineRows, name,
        "quarantine " + count_text(lost.size(), "damaged row") + " from row " +
            std::to_string(lost.front().row) +
            (unknown == 0 ? "" : "; the keys of " + std::to_string(unknown) + " are unreadable"));
  }

  // The manifest.

  Result<void> plan_manifest() {
    if (changed_) {
      RepairPlan::NewManifest manifest;
      manifest.version = context_.version;
      manifest.life = random_uuid();
      VECTOLITH_TRY_ASSIGN(manifest.edits, final_edits());
      manifest.index = survey_.trusted ? 1 - *survey_.trusted : 0;
      act(Kind::kWriteManifest, format::manifest_name(manifest.index),
          is_trusted() ? "write the manifest anew, without what is lost"
                       : "rebuild the manifest from " + count_text(entries_.size(), "segment") +
                             " and what is left of the old one");
      plan_.manifest = std::move(manifest);
    }
    for (const int index : {0, 1}) {
      if (plan_.manifest && plan_.manifest->index == index) continue;
      if (!plan_.manifest && survey_.is_manifest_there[static_cast<std::size_t>(index)]) continue;
      const auto& file = survey_.manifests.files[static_cast<std::size_t>(index)];
      const bool may_stay = survey_.is_manifest_there[static_cast<std::size_t>(index)] &&
                            file.condition != ManifestFile::Condition::kInvalid;
      if (may_stay) continue;
      plan_.renewed_manifests.push_back(index);
      act(Kind::kRenewManifestFile, format::manifest_name(index), "make it anew, empty");
    }
    return {};
  }

  /// The whole state as edits; a state that cannot be is refused here, before anything is written.
  Result<std::vector<format::Edit>> final_edits() {
    const format::ReserveSequences reservation{final_sequences()};
    const ManifestState from = *std::move(context_.state);
    ManifestState& to = context_.state.emplace();
    VECTOLITH_TRY(to.apply(reservation));
    for (const auto& entry : from.interned()) VECTOLITH_TRY(to.apply(format::DefineInterned{entry}));
    for (const auto& [id, family] : from.families()) VECTOLITH_TRY(add_family(family));
    for (auto& [id, entry] : entries_) {
      if (entry.phase == SegmentPhase::kSuspended) {
        // Only a clean close may leave a segment to be resumed, and there was none since.
        entry.phase = SegmentPhase::kFrozen;
        entry.rows_durable = entry.row_count;
      }
      VECTOLITH_TRY(add_entry(entry));
    }
    for (const auto& [id, journal] : from.journals())
      VECTOLITH_TRY(to.apply(format::AddJournal{id, journal.uuid, journal.file_bytes}));
    if (plan_.journal)
      VECTOLITH_TRY(
          to.apply(format::AddJournal{plan_.journal->id, plan_.journal->uuid, plan_.journal->file_bytes()}));
    VECTOLITH_TRY(to.apply(next_ids(from.next_ids())));
    return to.snapshot();
  }

  /// Ids that any file was ever seen with are not handed out again.
  [[nodiscard]] format::NextIds next_ids(format::NextIds next) const {
    if (!survey_.segments.empty())
      next.segment = std::max(next.segment, SegmentId(survey_.segments.rbegin()->first.value + 1));
    if (!survey_.journals.empty())
      next.journal = std::max(next.journal, JournalId(survey_.journals.rbegin()->first.value + 1));
    next.family = std::max(next.family, FamilyId(survey_.highest_family.value + 1));
    const auto& known = survey_.state.next_ids();
    next.segment = std::max(next.segment, known.segment);
    next.journal = std::max(next.journal, known.journal);
    next.family = std::max(next.family, known.family);
    return next;
  }

  [[nodiscard]] Sequence final_sequences() const {
    const Sequence seen(std::max(newest_.value, survey_.newest_erase.value) + 1);
    if (is_trusted()) return std::max(seen, context_.state->sequences_until());
    const Sequence known = std::max(seen, survey_.state.sequences_until());
    return Sequence(std::min(known.value + kSequencesSkipped, kSequenceMax + 1));
  }

  [[nodiscard]] Uuid random_uuid() const {
    Uuid uuid;
    environment_.fill_random(std::span(uuid.bytes));
    return uuid;
  }

  Environment& environment_;
  Directory& directory_;
  const RepairOptions& options_;
  StoreSurvey survey_;
  FsckOptions fsck_options_;
  FsckFindings findings_;
  FsckContext context_;  ///< Its state is the one that the repair starts from, less what is forgotten.
  RepairPlan plan_;
  bool changed_ = false;                       ///< The manifest has to be written.
  std::map<SegmentId, SegmentEntry> entries_;  ///< Of the repaired store.
  std::set<SegmentId> headers_rebuilt_;
  std::set<Uuid> lives_;
  std::set<JournalId> journals_dropped_;
  std::vector<format::JournalRow> deaths_;
  Sequence newest_;
};

}  // namespace

Result<RepairPlan> plan_repair(Environment& environment, Directory& directory, const RepairOptions& options) {
  VECTOLITH_TRY_ASSIGN(auto survey, survey_store(directory));
  return RepairPlanner(environment, directory, options, std::move(survey)).run();
}

}  // namespace vectolith::engine
