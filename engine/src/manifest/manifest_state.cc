/// @file
/// Applies manifest edits to the state one by one, and refuses those that contradict it.
#include "manifest/manifest_state.h"

#include <algorithm>
#include <limits>
#include <span>

namespace vectolith::engine {
namespace {

std::string text(SegmentId id) { return "segment " + std::to_string(id.value); }
std::string text(FamilyId id) { return "family " + std::to_string(id.value); }
std::string text(JournalId id) { return "journal " + std::to_string(id.value); }

/// The largest number is no id either: `next_ids` must stay above every id.
template <class Id>
bool is_new_id(Id id) {
  return id.value != 0 && id.value != std::numeric_limits<typename Id::rep>::max();
}

/// An edit that cannot follow what was there: the manifest contradicts itself.
std::unexpected<Error> contradiction(const std::string& what, std::string_view expected,
                                     std::string_view found) {
  return std::unexpected(
      Error(ErrorCode::kCorruption, "manifest edit: " + what).with_expected(expected).with_found(found));
}

Result<void> check_rows(SegmentId id, std::uint32_t row_count, std::span<const format::RowRange> invalid) {
  if (row_count > format::kSegmentRowsMax) {
    return contradiction(text(id) + " has too many rows",
                         "at most " + std::to_string(format::kSegmentRowsMax), std::to_string(row_count));
  }
  std::uint64_t first_free = 0;
  for (const format::RowRange& range : invalid) {
    if (range.first < first_free || range.last < range.first || range.last >= row_count) {
      return contradiction(text(id) + " has invalid ranges out of order or bounds",
                           "ascending, disjoint and below " + std::to_string(row_count),
                           std::to_string(range.first) + ".." + std::to_string(range.last));
    }
    first_free = std::uint64_t{range.last} + 1;
  }
  return {};
}

/// Whether `ranges` (ascending, disjoint) cover every row of `wanted`.
bool covers(std::span<const format::RowRange> ranges, const format::RowRange& wanted) {
  std::uint64_t row = wanted.first;
  for (const format::RowRange& range : ranges) {
    if (range.first <= row && row <= range.last) row = std::uint64_t{range.last} + 1;
  }
  return row > wanted.last;
}

bool is_family_name(std::string_view name) {
  return !name.empty() && name.size() <= format::kFamilyNameBytesMax &&
         std::ranges::none_of(name, [](char c) {
           const auto byte = static_cast<unsigned char>(c);
           return byte < 0x20 || byte == 0x7F || byte == '/';
         });
}

}  // namespace

std::string_view to_string(SegmentPhase phase) noexcept {
  switch (phase) {
    case SegmentPhase::kActive: return "active";
    case SegmentPhase::kSuspended: return "suspended";
    case SegmentPhase::kFrozen: return "frozen";
    case SegmentPhase::kSealed: return "sealed";
  }
  return "unknown";
}

format::Edit edit_of(const FamilyEntry& family) {
  return format::CreateFamily{
      family.id, family.kind, family.name,
      family.spec ? format::encode_model_spec(*family.spec) : std::vector<std::byte>{},
      family.segment_bytes_target};
}

std::vector<format::Edit> edits_of(const SegmentEntry& segment) {
  std::vector<format::Edit> edits{
      format::AddSegment{segment.id, segment.family, segment.uuid, segment.file_bytes}};
  switch (segment.phase) {
    case SegmentPhase::kActive: break;
    case SegmentPhase::kSuspended:
      edits.emplace_back(format::SuspendSegment{segment.id, segment.row_count});
      break;
    case SegmentPhase::kFrozen:
      edits.emplace_back(
          format::FreezeSegment{segment.id, segment.row_count, segment.rows_durable, segment.invalid});
      break;
    case SegmentPhase::kSealed:
      edits.emplace_back(format::SealSegment{segment.id, segment.row_count, segment.first_sequence,
                                             segment.last_sequence, segment.invalid});
      break;
  }
  return edits;
}

Result<void> ManifestState::apply(const format::Edit& edit) {
  VECTOLITH_TRY(std::visit([this](const auto& typed) { return on(typed); }, edit));
  if (!std::holds_alternative<format::CleanClose>(edit)) clean_close_.reset();
  return {};
}

std::vector<format::Edit> ManifestState::snapshot() const {
  std::vector<format::Edit> edits;
  edits.reserve(4 + interned_.size() + families_.size() + 2 * segments_.size() + journals_.size());
  // The reservation comes before any suspended segment, which it would turn active.
  edits.emplace_back(format::ReserveSequences{sequences_until_});
  for (const format::InternedEntry& entry : interned_) edits.emplace_back(format::DefineInterned{entry});
  for (const auto& [id, family] : families_) edits.push_back(edit_of(family));
  for (const auto& [id, segment] : segments_)
    for (format::Edit& edit : edits_of(segment)) edits.push_back(std::move(edit));
  for (const auto& [id, journal] : journals_) {
    edits.emplace_back(format::AddJournal{id, journal.uuid, journal.file_bytes});
  }
  edits.emplace_back(next_ids_);
  if (clean_close_) edits.emplace_back(*clean_close_);
  return edits;
}

const FamilyEntry* ManifestState::find_family(std::string_view name) const noexcept {
  const auto found = std::ranges::find(
      families_, name, [](const auto& entry) -> const std::string& { return entry.second.name; });
  return found == families_.end() ? nullptr : &found->second;
}

Result<SegmentEntry*> ManifestState::find_segment(SegmentId id) {
  const auto found = segments_.find(id);
  if (found == segments_.end()) return contradiction("unknown segment", "a segment added before", text(id));
  return &found->second;
}

Result<void> ManifestState::on(const format::ReserveSequences& edit) {
  if (edit.until < sequences_until_ || edit.until.value > kSequenceMax + 1) {
    return contradiction("a sequence reservation must not shrink or overflow",
                         std::to_string(sequences_until_.value) + ".." + std::to_string(kSequenceMax + 1),
                         std::to_string(edit.until.value));
  }
  sequences_until_ = edit.until;
  for (auto& [id, segment] : segments_) {
    if (segment.phase != SegmentPhase::kSuspended) continue;
    segment.phase = SegmentPhase::kActive;
    segment.row_count = 0;
  }
  return {};
}

Result<void> ManifestState::on(const format::DefineInterned& edit) {
  const format::InternedEntry& entry = edit.entry;
  const bool known_table =
      entry.table == Table::kScope || entry.table == Table::kChunker || entry.table == Table::kBuild;
  const std::string found = "table " + std::to_string(static_cast<unsigned>(entry.table)) + ", id " +
                            std::to_string(entry.id) + ", version " + std::to_string(entry.version);
  if (!known_table || entry.id == 0 || (entry.table == Table::kBuild && entry.id > 65'535) ||
      (entry.table != Table::kChunker && entry.version != 0)) {
    return contradiction("interned entry out of range", "table 1..3, id from 1, builds up to 65535", found);
  }
  if (interned_places_.contains({entry.table, entry.id}) ||
      interned_names_.contains({entry.table, entry.version, entry.name})) {
    return contradiction("interned id or name defined twice", "a new id and a new name",
                         found + ", '" + entry.name + "'");
  }
  interned_places_.emplace(std::pair(entry.table, entry.id), interned_.size());
  interned_names_.emplace(entry.table, entry.version, entry.name);
  interned_.push_back(entry);
  return {};
}

Result<void> ManifestState::on(const format::CreateFamily& edit) {
  if (!is_new_id(edit.family) || families_.contains(edit.family)) {
    return contradiction("family id is out of range or taken", "a new id", text(edit.family));
  }
  if (!is_family_name(edit.name)) {
    return contradiction(text(edit.family) + " has an illegal name",
                         "1 to 255 bytes, no '/' and no control characters",
                         std::to_string(edit.name.size()) + " bytes");
  }
  if (find_family(edit.name) != nullptr)
    return contradiction("family name taken twice", "a new name", edit.name);
  FamilyEntry family{.id = edit.family,
                     .kind = edit.kind,
                     .name = edit.name,
                     .spec = std::nullopt,
                     .segment_bytes_target = edit.segment_bytes_target};
  if (edit.kind == format::SegmentKind::kVector) {
    VECTOLITH_TRY_ASSIGN(family.spec, format::decode_model_spec(edit.spec));
  } else if (edit.kind != format::SegmentKind::kRecord || !edit.spec.empty()) {
    return contradiction(text(edit.family) + " has an unknown kind, or is of records and has a model spec",
                         "kind 1 with or kind 2 without a spec",
                         "kind " + std::to_string(static_cast<std::uint32_t>(edit.kind)) + ", " +
                             std::to_string(edit.spec.size()) + " spec bytes");
  }
  families_.emplace(edit.family, std::move(family));
  next_ids_.family = std::max(next_ids_.family, FamilyId(edit.family.value + 1));
  return {};
}

Result<void> ManifestState::on(const format::DropFamily& edit) {
  if (!families_.contains(edit.family))
    return contradiction("unknown family", "a family created before", text(edit.family));
  for (const auto& [id, segment] : segments_) {
    if (segment.family == edit.family) {
      return contradiction(text(edit.family) + " is dropped before its segments", "no segment", text(id));
    }
  }
  families_.erase(edit.family);
  return {};
}

Result<void> ManifestState::on(const format::AddSegment& edit) {
  if (!is_new_id(edit.segment) || segments_.contains(edit.segment)) {
    return contradiction("segment id is out of range or taken", "a new id", text(edit.segment));
  }
  if (!families_.contains(edit.family)) {
    return contradiction(text(edit.segment) + " belongs to no family", "a family created before",
                         text(edit.family));
  }
  if (edit.file_bytes < format::kSegmentFileBytesMin || edit.file_bytes > format::kSegmentFileBytesMax) {
    return contradiction(text(edit.segment) + " has an illegal file size", "64 KiB to 1 TiB",
                         std::to_string(edit.file_bytes));
  }
  SegmentEntry entry;
  entry.id = edit.segment;
  entry.family = edit.family;
  entry.uuid = edit.uuid;
  entry.file_bytes = edit.file_bytes;
  segments_.emplace(edit.segment, std::move(entry));
  next_ids_.segment = std::max(next_ids_.segment, SegmentId(edit.segment.value + 1));
  return {};
}

Result<void> ManifestState::on(const format::SuspendSegment& edit) {
  VECTOLITH_TRY_ASSIGN(SegmentEntry* const segment, find_segment(edit.segment));
  if (segment->phase != SegmentPhase::kActive && segment->phase != SegmentPhase::kSuspended) {
    return contradiction(text(edit.segment) + " cannot be suspended", "active or suspended",
                         std::string(to_string(segment->phase)));
  }
  VECTOLITH_TRY(check_rows(edit.segment, edit.row_count, {}));
  segment->phase = SegmentPhase::kSuspended;
  segment->row_count = edit.row_count;
  return {};
}

Result<void> ManifestState::on(const format::FreezeSegment& edit) {
  VECTOLITH_TRY_ASSIGN(SegmentEntry* const segment, find_segment(edit.segment));
  if (segment->phase == SegmentPhase::kSealed) {
    return contradiction(text(edit.segment) + " cannot be frozen", "active, suspended or frozen",
                         std::string(to_string(segment->phase)));
  }
  VECTOLITH_TRY(check_rows(edit.segment, edit.row_count, edit.invalid));
  if (segment->phase == SegmentPhase::kFrozen && edit.row_count > segment->row_count) {
    return contradiction(text(edit.segment) + " is frozen and cannot grow",
                         "at most " + std::to_string(segment->row_count) + " rows",
                         std::to_string(edit.row_count));
  }
  if (edit.rows_durable > edit.row_count) {
    return contradiction(text(edit.segment) + " has more durable rows than rows",
                         "at most " + std::to_string(edit.row_count), std::to_string(edit.rows_durable));
  }
  segment->phase = SegmentPhase::kFrozen;
  segment->row_count = edit.row_count;
  segment->rows_durable = edit.rows_durable;
  segment->invalid = edit.invalid;
  return {};
}

Result<void> ManifestState::on(const format::SealSegment& edit) {
  VECTOLITH_TRY_ASSIGN(SegmentEntry* const segment, find_segment(edit.segment));
  if (segment->phase == SegmentPhase::kSealed) {
    return contradiction(text(edit.segment) + " is sealed twice", "active, suspended or frozen", "sealed");
  }
  VECTOLITH_TRY(check_rows(edit.segment, edit.row_count, edit.invalid));
  if (edit.last_sequence < edit.first_sequence || edit.last_sequence >= sequences_until_) {
    return contradiction(
        text(edit.segment) + " has sequences out of order or never reserved",
        "ascending and below " + std::to_string(sequences_until_.value),
        std::to_string(edit.first_sequence.value) + ".." + std::to_string(edit.last_sequence.value));
  }
  if (segment->phase == SegmentPhase::kFrozen) {
    const bool kept = edit.row_count == segment->row_count &&
                      std::ranges::all_of(segment->invalid, [&](const format::RowRange& range) {
                        return covers(edit.invalid, range);
                      });
    // What recovery decided is for ever: a row it dropped may not come back when the segment is sealed.
    if (!kept) {
      return contradiction(text(edit.segment) + " is sealed with other rows than it was frozen with",
                           std::to_string(segment->row_count) + " rows, invalid ones included",
                           std::to_string(edit.row_count) + " rows");
    }
  }
  segment->phase = SegmentPhase::kSealed;
  segment->row_count = edit.row_count;
  segment->rows_durable = 0;
  segment->first_sequence = edit.first_sequence;
  segment->last_sequence = edit.last_sequence;
  segment->invalid = edit.invalid;
  return {};
}

Result<void> ManifestState::on(const format::RemoveSegment& edit) {
  VECTOLITH_TRY(find_segment(edit.segment));
  segments_.erase(edit.segment);
  return {};
}

Result<void> ManifestState::on(const format::AddJournal& edit) {
  if (!is_new_id(edit.journal) || journals_.contains(edit.journal)) {
    return contradiction("journal id is out of range or taken", "a new id", text(edit.journal));
  }
  journals_.emplace(edit.journal,
                    JournalEntry{.id = edit.journal, .uuid = edit.uuid, .file_bytes = edit.file_bytes});
  next_ids_.journal = std::max(next_ids_.journal, JournalId(edit.journal.value + 1));
  return {};
}

Result<void> ManifestState::on(const format::RemoveJournal& edit) {
  if (journals_.erase(edit.journal) == 0) {
    return contradiction("unknown journal", "a journal added before", text(edit.journal));
  }
  return {};
}

Result<void> ManifestState::on(const format::CleanClose& edit) {
  if (edit.next_sequence.value == 0 || edit.next_sequence > sequences_until_) {
    return contradiction("a clean close names a sequence never reserved",
                         "1.." + std::to_string(sequences_until_.value),
                         std::to_string(edit.next_sequence.value));
  }
  clean_close_ = edit;
  return {};
}

Result<void> ManifestState::on(const format::NextIds& edit) {
  next_ids_.segment = std::max(next_ids_.segment, edit.segment);
  next_ids_.family = std::max(next_ids_.family, edit.family);
  next_ids_.journal = std::max(next_ids_.journal, edit.journal);
  return {};
}

}  // namespace vectolith::engine
