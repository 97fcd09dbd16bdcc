/// @file
/// The structure of a store as the manifest tells it: families, segments, journals, interned ids.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <vectolith/format/ids.h>
#include <vectolith/format/manifest.h>
#include <vectolith/format/model_spec.h>
#include <vectolith/format/result.h>

namespace vectolith::engine {

/// Where a segment is in its life.
///
/// AddSegment makes it active. Suspend: from active (again: from suspended). Freeze: from active or
/// suspended. Seal: from any but sealed; rows and invalid ranges of a frozen one stay. Suspended
/// segments turn active again with the next ReserveSequences, the first edit of the next writer.
enum class SegmentPhase : std::uint8_t {
  kActive,     ///< Rows may follow, or followed until an unclean end.
  kSuspended,  ///< A clean close left it resumable with `row_count` rows.
  kFrozen,     ///< Found unsealed after an unclean end: `row_count` less `invalid`, data not yet synced.
  kSealed,     ///< Its footer is durable.
};

struct SegmentEntry {
  SegmentId id;
  FamilyId family;
  Uuid uuid;
  std::uint64_t file_bytes = 0;
  SegmentPhase phase = SegmentPhase::kActive;
  std::uint32_t row_count = 0;     ///< Meaningful unless kActive.
  std::uint32_t rows_durable = 0;  ///< kFrozen: the watermark.
  Sequence first_sequence;         ///< kSealed.
  Sequence last_sequence;          ///< kSealed.
  std::vector<format::RowRange> invalid;
  friend bool operator==(const SegmentEntry&, const SegmentEntry&) = default;
};

struct FamilyEntry {
  FamilyId id;
  format::SegmentKind kind{};
  std::string name;
  std::optional<ModelSpec> spec;  ///< Absent for record families.
  std::uint64_t segment_bytes_target = 0;
  friend bool operator==(const FamilyEntry&, const FamilyEntry&) = default;
};

struct JournalEntry {
  JournalId id;
  Uuid uuid;
  std::uint64_t file_bytes = 0;
  friend bool operator==(const JournalEntry&, const JournalEntry&) = default;
};

/// "active", "suspended", "frozen" or "sealed".
std::string_view to_string(SegmentPhase phase) noexcept;

/// The edit that creates a family.
format::Edit edit_of(const FamilyEntry& family);
/// The edits that add a segment and take it to its phase.
std::vector<format::Edit> edits_of(const SegmentEntry& segment);

/// The value that the manifest's edits build. Pure: no I/O.
class ManifestState {
 public:
  /// Errors: kCorruption when the edit contradicts the state (unknown or repeated ids, a name taken
  /// twice, a phase that cannot follow, ranges out of order); the state is then unchanged.
  Result<void> apply(const format::Edit& edit);
  /// Edits that rebuild this state from an empty one, in an order `apply` accepts.
  [[nodiscard]] std::vector<format::Edit> snapshot() const;

  [[nodiscard]] const std::map<FamilyId, FamilyEntry>& families() const noexcept { return families_; }
  [[nodiscard]] const std::map<SegmentId, SegmentEntry>& segments() const noexcept { return segments_; }
  [[nodiscard]] const std::map<JournalId, JournalEntry>& journals() const noexcept { return journals_; }
  [[nodiscard]] const std::vector<format::InternedEntry>& interned() const noexcept { return interned_; }
  [[nodiscard]] const FamilyEntry* find_family(std::string_view name) const noexcept;
  /// Sequences below this may have been handed out.
  [[nodiscard]] Sequence sequences_until() const noexcept { return sequences_until_; }
  /// Set when the last edit applied was a clean close.
  [[nodiscard]] const std::optional<format::CleanClose>& clean_close() const noexcept { return clean_close_; }
  /// The next ids to hand out.
  [[nodiscard]] const format::NextIds& next_ids() const noexcept { return next_ids_; }
  /// What the id stands for, or null. Cost: O(log n).
  [[nodiscard]] const format::InternedEntry* find_interned(format::InternedEntry::Table table,
                                                           std::uint32_t id) const {
    const auto found = interned_places_.find({table, id});
    return found == interned_places_.end() ? nullptr : &interned_[found->second];
  }
  /// Whether rows may use this id: 0 always, another one once it was defined. Cost: O(log n).
  [[nodiscard]] bool is_interned(format::InternedEntry::Table table, std::uint32_t id) const {
    return id == 0 || interned_places_.contains({table, id});
  }

  /// Equal in everything that edits can tell.
  friend bool operator==(const ManifestState&, const ManifestState&) = default;

 private:
  using Table = format::InternedEntry::Table;

  Result<void> on(const format::ReserveSequences& edit);
  Result<void> on(const format::DefineInterned& edit);
  Result<void> on(const format::CreateFamily& edit);
  Result<void> on(const format::DropFamily& edit);
  Result<void> on(const format::AddSegment& edit);
  Result<void> on(const format::SuspendSegment& edit);
  Result<void> on(const format::FreezeSegment& edit);
  Result<void> on(const format::SealSegment& edit);
  Result<void> on(const format::RemoveSegment& edit);
  Result<void> on(const format::AddJournal& edit);
  Result<void> on(const format::RemoveJournal& edit);
  Result<void> on(const format::CleanClose& edit);
  Result<void> on(const format::NextIds& edit);
  Result<SegmentEntry*> find_segment(SegmentId id);

  std::map<FamilyId, FamilyEntry> families_;
  std::map<SegmentId, SegmentEntry> segments_;
  std::map<JournalId, JournalEntry> journals_;
  std::vector<format::InternedEntry> interned_;
  Sequence sequences_until_{1};
  std::optional<format::CleanClose> clean_close_;
  format::NextIds next_ids_{SegmentId(1), FamilyId(1), JournalId(1)};
  // What `interned_` holds, for lookups: an id and a name each stand for one thing.
  std::map<std::pair<Table, std::uint32_t>, std::size_t> interned_places_;
  std::set<std::tuple<Table, std::uint32_t, std::string>> interned_names_;
};

}  // namespace vectolith::engine
