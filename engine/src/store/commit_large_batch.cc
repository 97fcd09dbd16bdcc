/// @file
/// Batches that no segment can hold: written as sealed segments, published by one manifest edit.
#include <algorithm>
#include <vector>

#include "no_memory.h"
#include "segment/sealing.h"
#include "store/committer.h"

namespace vectolith::engine {

Result<void> Committer::write_large_chunk(PendingWrite& write, std::span<const std::uint32_t> items,
                                          MappedSegment& segment) {
  std::vector<format::MetaRow> metas;
  metas.reserve(items.size());
  for (const std::uint32_t item : items) {
    const auto row = static_cast<std::uint32_t>(metas.size());
    const Sequence sequence(next_sequence_.fetch_add(1));
    auto meta = make_meta(write, item, segment, row, sequence, format::kLagUnknown);
    meta.row_sum = format::row_sum(segment.header().segment_uuid, RowIndex(row), meta);
    VECTOLITH_TRY(segment.file().write_at(segment.vector_offset(row), write.rows[item].vector));
    write.results[item] = {.stored = true, .sequence = sequence, .ticket = {}};
    metas.push_back(meta);
  }
  VECTOLITH_TRY(segment.file().write_at(segment.meta_offset(0), std::as_bytes(std::span(metas))));
  VECTOLITH_TRY(segment.file().data_sync());
  segment.set_rows(static_cast<std::uint32_t>(items.size()));
  segment.set_rows_durable(segment.rows());
  return {};
}

void Committer::publish_large_chunk(PendingWrite& write, std::span<const std::uint32_t> items,
                                    const std::shared_ptr<MappedSegment>& segment) noexcept {
  attach_segment(*write.family, segment);
  for (std::uint32_t row = 0; row < items.size(); ++row) {
    publish_put({.write = &write, .item = items[row], .row = row, .sequence = {}}, *segment);
  }
  segment->set_settled();
}

Result<void> Committer::commit_large_batch(PendingWrite& write, std::span<const std::uint32_t> items) {
  auto& family = *write.family;
  std::vector<std::shared_ptr<MappedSegment>> segments;
  std::vector<std::span<const std::uint32_t>> chunks;
  VECTOLITH_TRY(reserve_slots(write, items));
  const auto write_all = [&]() -> Result<void> {
    std::vector<format::Edit> edits;
    for (std::size_t first = 0; first < items.size(); first += chunks.back().size()) {
      reserve_more(segments, 1);
      reserve_more(chunks, 1);
      VECTOLITH_TRY_ASSIGN(auto segment, factory_.create(family, family.segment_bytes_target));
      segments.push_back(segment);
      chunks.push_back(
          items.subspan(first, std::min<std::size_t>(segment->capacity(), items.size() - first)));
      VECTOLITH_TRY(write_large_chunk(write, chunks.back(), *segment));
      VECTOLITH_TRY_ASSIGN(const auto footer, factory_.footer_of(*segment));
      VECTOLITH_TRY(write_footer(*segment, footer));
      edits.emplace_back(SegmentFactory::add_edit(*segment));
      edits.emplace_back(SegmentFactory::seal_edit(*segment, footer));
    }
    VECTOLITH_TRY(reserve_ordinals(family, segments.size()));
    return context_.manifest.commit(edits);
  };
  if (auto written = catch_no_memory(write_all); !written) {
    // After an I/O error the edit may be on the medium all the same: then the files stay, as orphans.
    if (left_unchanged(written.error())) {
      for (const auto& segment : segments) factory_.remove_file(*segment);
    }
    release_slots(write, items);
    return written;
  }
  for (std::size_t i = 0; i < segments.size(); ++i) publish_large_chunk(write, chunks[i], segments[i]);
  add(context_.counters.vector_bytes_written, std::uint64_t{items.size()} * family.row_bytes);
  return {};
}

}  // namespace vectolith::engine
