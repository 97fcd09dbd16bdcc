/// @file
/// Searches every file of a store for the bytes of a key or vector, and says what stands there.
#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <vectolith/format/file_name.h>
#include <vectolith/format/record.h>
#include <vectolith/verify.h>

#include "no_memory.h"
#include "verify/fsck_directory.h"
#include "verify/loose_read.h"
#include "verify/readable_rows.h"
#include "verify/repair_plan.h"

namespace vectolith {
namespace engine {
namespace {

using NameKind = format::ParsedName::Kind;
using Place = Trace::Place;

constexpr std::size_t kChunkBytes = std::size_t{4} << 20;
constexpr std::size_t kTracesMax = 1'000;

/// What stands where in one segment: shape and the rows that answer a get.
struct SegmentMap {
  format::SegmentHeader header;
  std::uint32_t rows = 0;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> live;  ///< First row and count, ascending.
};

class TraceSearch {
 public:
  TraceSearch(const RepairPlan& plan, Directory& directory, const Digest& digest, const TraceOptions& options)
      : directory_(directory), digest_(digest), options_(options) {
    for (const auto& [id, family] : plan.state.families()) map_family(plan, id);
  }

  Result<TraceReport> run() {
    VECTOLITH_TRY_ASSIGN(auto names, directory_.list());
    std::ranges::sort(names);
    for (const std::string& name : names) {
      const auto parsed = format::parse_name(name);
      if (parsed && parsed->kind == NameKind::kControlSocket) continue;
      const auto file = directory_.open(name, OpenMode::kReadOnly);
      if (!file) continue;  // No regular file: it holds no bytes of ours.
      VECTOLITH_TRY_ASSIGN(const std::uint64_t size, (*file)->size());
      ++report_.files;
      search(**file, name, size);
    }
    return std::move(report_);
  }

 private:
  void map_family(const RepairPlan& plan, FamilyId id) {
    const ReadableFamily family = read_family(plan, directory_, id);
    std::vector<SegmentMap> maps;
    maps.reserve(family.segments.size());
    for (const ReadableSegment& segment : family.segments)
      maps.push_back({segment.header, segment.judgement.row_count, {}});
    for (const ReadableRow& found : family.newest) {
      SegmentMap& map = maps[found.segment];
      map.live.emplace_back(found.row.row, units_of(family.segments[found.segment], found.row.row));
    }
    for (SegmentMap& map : maps) {
      std::ranges::sort(map.live);
      segments_.emplace(format::segment_name(map.header.segment_id), std::move(map));
    }
  }

  static std::uint32_t units_of(const ReadableSegment& segment, std::uint32_t row) {
    if (segment.header.kind == format::SegmentKind::kVector) return 1;
    format::RecordHeader head;
    read_loosely(*segment.file, segment.header.matrix_offset + std::uint64_t{row} * 64,
                 std::as_writable_bytes(std::span(&head, 1)));
    return format::record_units(std::min(head.stored_bytes, format::kRecordPayloadBytesMax));
  }

  void search(const File& file, const std::string& name, std::uint64_t size) {
    const std::size_t overlap = std::max(digest_.bytes.size(), options_.vector.size()) - 1;
    std::vector<std::byte> chunk(std::min<std::uint64_t>(size, kChunkBytes + overlap));
    for (std::uint64_t at = 0; at < size; at += kChunkBytes) {
      const auto piece = std::span(chunk).first(std::min<std::uint64_t>(chunk.size(), size - at));
      report_.bytes_unread += read_loosely(file, at, piece);
      report_.bytes += std::min<std::uint64_t>(kChunkBytes, size - at);
      find(piece, digest_.bytes, name, at, false);
      if (!options_.vector.empty()) find(piece, options_.vector, name, at, true);
    }
  }

  void find(std::span<const std::byte> piece, std::span<const std::byte> wanted, const std::string& name,
            std::uint64_t base, bool is_vector) {
    const std::boyer_moore_horspool_searcher searcher(wanted.begin(), wanted.end());
    for (auto from = piece.begin();;) {
      const auto found = std::search(from, piece.end(), searcher);
      // What begins behind the chunk is found with the next one.
      if (found == piece.end() || static_cast<std::size_t>(found - piece.begin()) >= kChunkBytes) return;
      note(name, base + static_cast<std::uint64_t>(found - piece.begin()), is_vector);
      from = found + 1;
    }
  }

  void note(const std::string& name, std::uint64_t offset, bool is_vector) {
    ++report_.found;
    if (report_.traces.size() >= kTracesMax) return;
    report_.traces.push_back({place_of(name, offset), directory_.path() + "/" + name, offset, is_vector});
  }

  [[nodiscard]] Place place_of(const std::string& name, std::uint64_t offset) const {
    const auto parsed = format::parse_name(name);
    if (parsed && parsed->kind == NameKind::kJournal) return Place::kJournalRow;
    const auto found = segments_.find(name);
    if (found == segments_.end()) return Place::kSlack;
    const auto row = row_at(found->second.header, offset);
    if (!row || *row >= found->second.rows) return Place::kSlack;
    const auto& live = found->second.live;
    const auto after = std::ranges::upper_bound(live, *row, {}, [](const auto& rows) { return rows.first; });
    const bool is_live = after != live.begin() && *row < std::prev(after)->first + std::prev(after)->second;
    return is_live ? Place::kLiveRow : Place::kDeadRow;
  }

  static std::optional<std::uint32_t> row_at(const format::SegmentHeader& header, std::uint64_t offset) {
    const auto in = [offset](std::uint64_t first, std::uint64_t bytes) {
      return offset >= first && offset - first < bytes;
    };
    if (in(header.meta_offset, std::uint64_t{header.row_capacity} * 64) && header.meta_bytes != 0)
      return static_cast<std::uint32_t>((offset - header.meta_offset) / 64);
    if (in(header.matrix_offset, std::uint64_t{header.row_capacity} * header.row_bytes))
      return static_cast<std::uint32_t>((offset - header.matrix_offset) / header.row_bytes);
    return std::nullopt;
  }

  Directory& directory_;
  const Digest& digest_;
  const TraceOptions& options_;
  TraceReport report_;
  std::map<std::string, SegmentMap> segments_;
};

}  // namespace
}  // namespace engine

Result<TraceReport> find_traces(const std::string& path, const Digest& digest, const TraceOptions& options) {
  return catch_no_memory([&]() -> Result<TraceReport> {
    const auto is_zero = [](std::byte b) { return b == std::byte{0}; };
    if (std::ranges::all_of(digest.bytes, is_zero) ||
        (!options.vector.empty() && std::ranges::all_of(options.vector, is_zero)))
      return fail(ErrorCode::kInvalidArgument, "zeros stand everywhere: they are not looked for");
    VECTOLITH_TRY_ASSIGN(const auto environment, engine::environment_or_real(options.environment));
    VECTOLITH_TRY_ASSIGN(const auto directory, environment->open_directory(path, false));
    VECTOLITH_TRY_ASSIGN(const auto lock, engine::lock_shared(*directory));
    const RepairOptions repair_options{.apply = false, .family_names = {}, .environment = environment};
    VECTOLITH_TRY_ASSIGN(const auto plan, engine::plan_repair(*environment, *directory, repair_options));
    return engine::TraceSearch(plan, *directory, digest, options).run();
  });
}

}  // namespace vectolith
