/// @file
/// The fields of valid rows against manifest and footer.
#include "verify/fsck_rows.h"

#include <algorithm>
#include <string>

namespace vectolith::engine {
namespace {

std::string to_text(format::InternedEntry::Table table, std::uint32_t id) {
  using enum format::InternedEntry::Table;
  const char* name = table == kScope ? "scope " : table == kChunker ? "chunker " : "build ";
  return name + std::to_string(id);
}

}  // namespace

std::uint32_t SegmentUnderCheck::rows_acknowledged() const {
  switch (entry.phase) {
    case SegmentPhase::kSealed:
    case SegmentPhase::kSuspended: return entry.row_count;
    case SegmentPhase::kFrozen: return entry.rows_durable;
    case SegmentPhase::kActive: break;
  }
  const auto known = context.watermarks.find(entry.id);
  return known == context.watermarks.end() ? 0 : known->second;
}

void RowFieldsCheck::check(Place place, const Key& key, Sequence sequence, BuildId build) {
  using Table = format::InternedEntry::Table;
  use(place, {Table::kScope, key.scope.value});
  use(place, {Table::kChunker, key.chunker.value});
  use(place, {Table::kBuild, build.value});
  FsckContext& context = segment_.context;
  if (!context.is_reserved(sequence)) {
    context.findings.damage(Finding::Kind::kContradiction, place, "a sequence that was never reserved",
                            "below " + std::to_string(context.state->sequences_until().value),
                            std::to_string(sequence.value));
  }
  const auto& footer = segment_.footer;
  if (!footer || sequence_reported_) return;
  if (sequence < footer->first_sequence || sequence > footer->last_sequence) {
    sequence_reported_ = true;
    context.findings.damage(
        Finding::Kind::kContradiction, place, "a sequence outside of what the footer says",
        std::to_string(footer->first_sequence.value) + ".." + std::to_string(footer->last_sequence.value),
        std::to_string(sequence.value));
  }
}

void RowFieldsCheck::use(Place place, Interned id) {
  if (id.second == 0 || !used_.insert(id).second) return;
  FsckContext& context = segment_.context;
  if (context.online || !context.state || context.state->is_interned(id.first, id.second)) return;
  if (!context.undefined_interned.insert(id).second) return;
  context.findings.damage(Finding::Kind::kContradiction, place,
                          "a row uses an interned id that is not defined",
                          to_text(id.first, id.second) + " in the manifest", "not defined");
}

void RowFieldsCheck::finish() {
  const auto& footer = segment_.footer;
  if (!footer || !footer->interned_complete) return;
  for (const auto& [table, id] : used_) {
    const bool listed = std::ranges::any_of(footer->interned, [&](const format::InternedEntry& entry) {
      return entry.table == table && entry.id == id;
    });
    if (listed) continue;
    segment_.context.findings.warning(
        Finding::Kind::kContradiction, segment_.at(segment_.header.footer_offset),
        "the footer does not name an interned id that rows use", to_text(table, id), "not named");
  }
}

}  // namespace vectolith::engine
