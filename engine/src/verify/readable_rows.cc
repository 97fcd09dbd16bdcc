/// @file
/// Judges a family's segments, then lets the newest version of each key win.
#include "verify/readable_rows.h"

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

#include <vectolith/format/file_name.h>

#include "verify/loose_read.h"

namespace vectolith::engine {
namespace {

/// The header in the file, or the one that the plan would write.
std::optional<format::SegmentHeader> header_of(const RepairPlan& plan, const File& file, SegmentId id) {
  for (const auto& rebuilt : plan.headers)
    if (rebuilt.segment_id == id) return rebuilt;
  std::array<std::byte, format::kSegmentHeaderBytes> bytes{};
  read_loosely(file, 0, bytes);
  const auto header = format::decode_segment_header(bytes);
  return header ? std::optional(*header) : std::nullopt;
}

std::map<Key, Sequence> erases_of(const RepairPlan& plan, FamilyId family) {
  std::map<Key, Sequence> erased;
  for (const auto& row : plan.erases) {
    if (row.family != family) continue;
    auto& sequence = erased[row.key];
    sequence = std::max(sequence, row.sequence());
  }
  return erased;
}

}  // namespace

ReadableFamily read_family(const RepairPlan& plan, Directory& directory, FamilyId family) {
  ReadableFamily answer;
  std::vector<ReadableRow> rows;
  for (const auto& [id, entry] : plan.state.segments()) {
    if (entry.family != family) continue;
    auto file = directory.open(format::segment_name(id), OpenMode::kReadOnly);
    if (!file) continue;  // The plan tells of it.
    const auto header = header_of(plan, **file, id);
    if (!header) continue;
    const auto watermark = plan.watermarks.find(id);
    SegmentJudgement judgement =
        judge_segment(**file, *header, entry, watermark == plan.watermarks.end() ? 0 : watermark->second);
    for (const KeptRow& row : judgement.kept) rows.push_back({row, answer.segments.size()});
    answer.segments.push_back({*std::move(file), *header, std::move(judgement)});
  }
  std::ranges::sort(rows, [](const ReadableRow& a, const ReadableRow& b) {
    return std::tuple(a.row.key, b.row.sequence) < std::tuple(b.row.key, a.row.sequence);
  });
  const auto erased = erases_of(plan, family);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const KeptRow& row = rows[i].row;
    const auto death = erased.find(row.key);
    if (death != erased.end() && row.sequence <= death->second) {
      ++answer.erased;
    } else if (i > 0 && rows[i - 1].row.key == row.key) {
      ++answer.older;
    } else {
      answer.newest.push_back(rows[i]);
    }
  }
  std::ranges::sort(answer.newest, {}, [](const ReadableRow& row) { return row.row.sequence; });
  return answer;
}

}  // namespace vectolith::engine
