/// @file
/// Sizing, creating and sealing segments.
#include "store/segment_factory.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>
#include <vector>

#include <vectolith/format/bytes.h>
#include <vectolith/format/file_name.h>

#include "no_memory.h"
#include "segment/sealing.h"

namespace vectolith::engine {
namespace {

constexpr std::uint64_t kUsefulRowsMin = 16;
constexpr std::uint64_t kOverheadBytes =
    48ULL * 1'024;  // Header, meta, alignment and footer of a small file.

}  // namespace

Result<format::SegmentGeometry> SegmentFactory::geometry(const FamilyState& family,
                                                         std::uint64_t file_bytes) const {
  const std::uint64_t useful =
      format::align_up(kOverheadBytes + kUsefulRowsMin * (family.row_bytes + 64ULL), 65'536);
  const std::uint64_t bytes =
      std::max(file_bytes, family.holds_records() ? format::kMatrixAlignedFileBytesMin : useful);
  return family.holds_records() ? format::record_geometry(bytes)
                                : format::vector_geometry(bytes, family.row_bytes);
}

format::SegmentHeader SegmentFactory::header(const FamilyState& family,
                                             const format::SegmentGeometry& geometry) {
  format::SegmentHeader header;
  header.kind = family.kind;
  header.store_uuid = context_.store_uuid;
  header.segment_uuid = context_.random_uuid();
  header.segment_id = SegmentId(next_segment_.fetch_add(1));
  header.family_id = family.id;
  header.created_at_s = context_.environment->wall_clock_ms() / 1'000;
  header.manifest_version = context_.manifest.version();
  if (!family.holds_records()) header.set_spec(family.spec);
  header.set_geometry(geometry);
  return header;
}

Result<std::uint32_t> SegmentFactory::capacity(const FamilyState& family, std::uint64_t file_bytes) const {
  VECTOLITH_TRY_ASSIGN(const auto shape, geometry(family, file_bytes));
  return shape.row_capacity;
}

Result<std::shared_ptr<MappedSegment>> SegmentFactory::create(const FamilyState& family,
                                                              std::uint64_t file_bytes) {
  for (bool has_collected = false;;) {
    VECTOLITH_TRY_ASSIGN(const auto shape, geometry(family, file_bytes));
    auto segment = MappedSegment::create(*context_.directory, header(family, shape), context_.heap);
    if (segment || segment.error().code() != ErrorCode::kNoSpace) return segment;
    // A dropped file keeps its blocks until it is unmapped: those that nobody can be reading any more are
    // unmapped now.
    if (!std::exchange(has_collected, true)) {
      context_.epochs.collect_all();
      continue;
    }
    if (shape.file_bytes <= (2ULL << 20)) return segment;
    file_bytes = shape.file_bytes / 2;
  }
}

Result<std::shared_ptr<MappedSegment>> SegmentFactory::create_active(const FamilyState& family,
                                                                     std::uint64_t file_bytes) {
  VECTOLITH_TRY_ASSIGN(auto segment, create(family, file_bytes));
  const std::array<format::Edit, 1> edits = {add_edit(*segment)};
  if (auto added = context_.manifest.commit(edits); !added) {
    // After an I/O error the edit may be on the medium all the same: then the file stays, as an orphan.
    if (left_unchanged(added.error())) remove_file(*segment);
    return std::unexpected(std::move(added).error());
  }
  return segment;
}

format::AddSegment SegmentFactory::add_edit(const MappedSegment& segment) {
  const auto& header = segment.header();
  return {.segment = header.segment_id,
          .family = header.family_id,
          .uuid = header.segment_uuid,
          .file_bytes = header.file_bytes};
}

Result<format::SegmentFooter> SegmentFactory::footer_of(const MappedSegment& segment) const {
  std::set<std::pair<std::uint16_t, std::uint32_t>> used;
  const auto use = [&](format::InternedEntry::Table table, std::uint32_t id) {
    if (id != 0) used.emplace(static_cast<std::uint16_t>(table), id);
  };
  VECTOLITH_TRY(for_each_row(segment, segment.rows(), [&](std::uint32_t row) {
    use(format::InternedEntry::Table::kScope, segment.key(row).scope.value);
    use(format::InternedEntry::Table::kChunker, segment.key(row).chunker.value);
    if (!segment.holds_records()) use(format::InternedEntry::Table::kBuild, segment.meta(row).build().value);
  }));
  std::vector<format::InternedEntry> interned;
  context_.manifest.read([&](const ManifestState& state) {
    for (const auto& entry : state.interned()) {
      if (used.contains({static_cast<std::uint16_t>(entry.table), entry.id})) interned.push_back(entry);
    }
    return 0;
  });
  return build_footer(segment, std::move(interned));
}

format::SealSegment SegmentFactory::seal_edit(const MappedSegment& segment,
                                              const format::SegmentFooter& footer) {
  return {.segment = segment.id(),
          .row_count = footer.row_count,
          .first_sequence = footer.first_sequence,
          .last_sequence = footer.last_sequence,
          .invalid = segment.invalid};
}

Result<void> SegmentFactory::seal(MappedSegment& segment, bool& sync_failed) {
  sync_failed = false;
  const std::uint32_t rows = segment.rows();
  if (segment.rows_durable() < rows) {
    if (segment.is_inherited) VECTOLITH_TRY(rewrite_unsynced_rows(segment));
    if (auto synced = segment.file().data_sync(); !synced) {
      sync_failed = true;
      return synced;
    }
    segment.set_rows_durable(rows);
  }
  VECTOLITH_TRY_ASSIGN(const auto footer, footer_of(segment));
  VECTOLITH_TRY(write_footer(segment, footer));
  VECTOLITH_TRY(context_.manifest.commit_with(
      [&](const ManifestState& state) {
        std::vector<format::Edit> edits;
        // The family may have been dropped, and the segment with it, while its footer was written.
        if (state.segments().contains(segment.id())) edits.emplace_back(seal_edit(segment, footer));
        return edits;
      },
      true));
  // Rows that a batch did not fit into stay unused for ever; what this fails to give back, the next open
  // does.
  (void)release_unused_tail(segment, rows);
  return {};
}

void SegmentFactory::remove_file(const MappedSegment& segment) noexcept { remove_file(segment.id()); }

void SegmentFactory::remove_file(SegmentId id) noexcept {
  (void)catch_no_memory([&] { return context_.directory->unlink(format::segment_name(id)); });
}

}  // namespace vectolith::engine
