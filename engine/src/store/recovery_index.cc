/// @file
/// Rebuilding the indexes from row heads, and applying the journal's deaths.
#include <algorithm>
#include <utility>

#include "no_memory.h"
#include "segment/sealing.h"
#include "store/recovery.h"

namespace vectolith::engine {
namespace {

constexpr std::size_t kGroup = 32;  // Rows whose buckets are fetched ahead.

}  // namespace

Result<void> Recovery::build_indexes() {
  for (auto& [id, family] : context_.families) VECTOLITH_TRY(build_index(*family));
  return {};
}

Result<void> Recovery::build_index(FamilyState& family) {
  // Hashing is parallel over segments, inserting over partitions of the hash: two threads never meet
  // the same key, so the newest of its rows is found without a lock across probe and insert.
  const auto& segments = family.by_ordinal;
  std::vector<std::vector<std::pair<std::uint64_t, Location>>> hashed(segments.size());
  std::vector<std::optional<Error>> errors(segments.size());
  context_.environment->run_parallel(segments.size(), [&](std::size_t i) {
    const MappedSegment& segment = *segments[i];
    auto walked = catch_no_memory([&] {
      hashed[i].reserve(segment.holds_records() ? 0 : segment.rows());
      return for_each_row(segment, segment.rows(), [&](std::uint32_t row) {
        hashed[i].emplace_back(context_.hasher(segment.key(row)), Location{segment.ordinal, row});
      });
    });
    if (!walked) errors[i] = std::move(walked).error();
  });
  std::uint64_t rows = 0;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    if (errors[i]) return std::unexpected(std::move(*errors[i]));
    rows += hashed[i].size();
  }
  VECTOLITH_TRY_ASSIGN(family.index, Index::create({.shards = context_.index_shards(), .expected_rows = rows},
                                                   context_.epochs, *context_.page_source));
  const std::size_t partitions =
      std::min<std::size_t>(std::max<std::uint32_t>(1, context_.environment->cores()), 16);
  std::vector<std::optional<Error>> insert_errors(partitions);
  context_.environment->run_parallel(partitions, [&](std::size_t partition) {
    auto inserted = catch_no_memory([&]() -> Result<void> {
      Index::Rebuild rebuild(*family.index, partition, partitions);
      for (const auto& rows_of_segment : hashed) VECTOLITH_TRY(insert_rows(family, rows_of_segment, rebuild));
      return {};
    });
    if (!inserted) insert_errors[partition] = std::move(inserted).error();
  });
  for (auto& error : insert_errors) {
    if (error) return std::unexpected(std::move(*error));
  }
  return {};
}

Result<void> Recovery::insert_rows(FamilyState& family,
                                   std::span<const std::pair<std::uint64_t, Location>> rows,
                                   Index::Rebuild& rebuild) {
  std::array<std::pair<std::uint64_t, Location>, kGroup> group;
  std::size_t used = 0;
  const auto flush = [&]() -> Result<void> {
    for (std::size_t i = 0; i < used; ++i)
      VECTOLITH_TRY(insert_newest(family, rebuild, group[i].first, group[i].second));
    used = 0;
    return {};
  };
  for (const auto& [hash, location] : rows) {
    if (!rebuild.owns(hash)) continue;
    family.index->prefetch(hash);
    group[used++] = {hash, location};
    if (used == kGroup) VECTOLITH_TRY(flush());
  }
  return flush();
}

Result<void> Recovery::insert_newest(FamilyState& family, Index::Rebuild& rebuild, std::uint64_t hash,
                                     Location location) {
  MappedSegment& segment = *family.by_ordinal[location.ordinal];
  const Key& key = segment.key(location.row);
  if (const auto old = family.find(hash, key)) {
    MappedSegment& other = *family.by_ordinal[old->ordinal];
    if (segment.sequence(location.row) <= other.sequence(old->row)) return {};
    rebuild.replace(hash, *old, location);
    other.clear_live(old->row);
  } else {
    VECTOLITH_TRY(rebuild.insert(hash, location));
  }
  segment.set_live(location.row);
  return {};
}

void Recovery::apply_deaths() {
  for (const auto& death : deaths_) {
    const auto found = context_.families.find(death.family);
    if (found == context_.families.end()) continue;
    auto& family = *found->second;
    const auto hash = context_.hasher(death.key);
    const auto at = family.find(hash, death.key);
    if (!at || family.by_ordinal[at->ordinal]->sequence(at->row) > death.sequence) continue;
    family.by_ordinal[at->ordinal]->clear_live(at->row);
    family.index->erase(hash, *at);
  }
}

}  // namespace vectolith::engine
