/// @file
/// Draws manifest edits that fit a state.
#include "support/manifest_edits.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>

#include <vectolith/format/checksum.h>

namespace vectolith::testing {
namespace {

using engine::ManifestState;
using engine::SegmentEntry;
using engine::SegmentPhase;
using namespace format;
using Random = std::mt19937_64;

constexpr std::size_t kFamiliesMax = 6;
constexpr std::size_t kSegmentsMax = 60;
constexpr std::size_t kInternedMax = 300;

template <class Map>
const typename Map::mapped_type& pick(const Map& map, Random& random) {
  return std::next(map.begin(), static_cast<std::ptrdiff_t>(random() % map.size()))->second;
}

std::vector<RowRange> random_ranges(std::uint32_t rows, Random& random) {
  std::vector<RowRange> ranges;
  for (std::uint32_t row = 0; row < rows && ranges.size() < 4;) {
    const auto first = row + static_cast<std::uint32_t>(random() % 20);
    const auto last = first + static_cast<std::uint32_t>(random() % 5);
    if (last >= rows) break;
    ranges.push_back({first, last});
    row = last + 2;
  }
  return ranges;
}

Edit create_family(const ManifestState& state, Random& random) {
  const FamilyId id = state.next_ids().family;
  const std::string name = "family-" + std::to_string(id.value);
  if (random() % 3 == 0) return CreateFamily{id, SegmentKind::kRecord, name, {}, 65'536};
  ModelSpec spec;
  spec.model = name;
  spec.dim = 1 + static_cast<std::uint32_t>(random() % 64);
  return CreateFamily{id, SegmentKind::kVector, name, encode_model_spec(spec), 1'048'576};
}

Edit move_segment(const ManifestState& state, Random& random) {
  const SegmentEntry& segment = pick(state.segments(), random);
  const auto rows = static_cast<std::uint32_t>(random() % 1'000);
  const Sequence last(random() % state.sequences_until().value);
  const Sequence first(random() % (last.value + 1));
  const bool resumable = segment.phase == SegmentPhase::kActive || segment.phase == SegmentPhase::kSuspended;
  switch (random() % 4) {
    case 0:
      if (resumable) return SuspendSegment{segment.id, rows};
      break;
    case 1:
      if (resumable) return FreezeSegment{segment.id, rows, rows / 2, random_ranges(rows, random)};
      break;
    case 2:
      if (segment.phase == SegmentPhase::kFrozen) {
        return SealSegment{segment.id, segment.row_count, first, last, segment.invalid};
      }
      if (resumable) return SealSegment{segment.id, rows, first, last, random_ranges(rows, random)};
      break;
    default: break;
  }
  return RemoveSegment{segment.id};
}

std::optional<Edit> try_edit(const ManifestState& state, Random& random) {
  const NextIds& next = state.next_ids();
  const std::uint64_t number = random();
  switch (random() % 12) {
    case 0:
      return ReserveSequences{
          Sequence(std::min(state.sequences_until().value + number % 1'000, kSequenceMax))};
    case 1: {
      if (state.interned().size() >= kInternedMax) return std::nullopt;
      const auto id = static_cast<std::uint32_t>(state.interned().size() + 1);
      const auto table = static_cast<InternedEntry::Table>(1 + number % 3);
      return DefineInterned{
          {table, id, table == InternedEntry::Table::kChunker ? 7U : 0U, "name-" + std::to_string(id)}};
    }
    case 2:
      if (state.families().size() >= kFamiliesMax) return std::nullopt;
      return create_family(state, random);
    case 3: {
      if (state.families().empty()) return std::nullopt;
      const FamilyId id = pick(state.families(), random).id;
      const bool empty =
          std::ranges::none_of(state.segments(), [&](const auto& s) { return s.second.family == id; });
      return empty ? std::optional<Edit>(DropFamily{id}) : std::nullopt;
    }
    case 4: return AddJournal{next.journal, test_uuid(number), 65'536};
    case 5:
      if (state.journals().empty()) return std::nullopt;
      return RemoveJournal{pick(state.journals(), random).id};
    case 6:
      return CleanClose{Sequence(1 + number % state.sequences_until().value),
                        static_cast<std::uint32_t>(number % 100)};
    case 7: return NextIds{SegmentId(next.segment.value + number % 2), next.family, next.journal};
    case 8:
    case 9:
      if (state.families().empty() || state.segments().size() >= kSegmentsMax) return std::nullopt;
      return AddSegment{next.segment, pick(state.families(), random).id, test_uuid(number), 65'536};
    default:
      if (state.segments().empty()) return std::nullopt;
      return move_segment(state, random);
  }
}

}  // namespace

Uuid test_uuid(std::uint64_t number) {
  return checksum128(std::as_bytes(std::span<const std::uint64_t, 1>(&number, 1)));
}

Edit fat_edit(std::uint32_t number) {
  return DefineInterned{
      {InternedEntry::Table::kScope, number, 0, std::to_string(number) + std::string(4'000, 'x')}};
}

Edit random_edit(const ManifestState& state, Random& random) {
  for (;;) {
    if (auto edit = try_edit(state, random)) return *std::move(edit);
  }
}

}  // namespace vectolith::testing
