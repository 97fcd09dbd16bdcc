/// @file
/// Grouped probes and the slow sides of reading.
#include "store/read_path.h"

#include <algorithm>
#include <array>

namespace vectolith::engine {
namespace {

constexpr std::size_t kGroup = 16;
constexpr std::uint32_t kLinesAhead = 8;  // Of each vector; the hardware prefetcher follows on.

}  // namespace

Result<void> ReadPath::check() const {
  if (context_.is_unusable()) [[unlikely]]
    return context_.check_open();
  if (family_.dropped.load(std::memory_order_acquire)) [[unlikely]] {
    return fail(ErrorCode::kWrongFamily, "family '" + family_.name + "' was dropped");
  }
  return {};
}

Result<void> ReadPath::verify_slow(const MappedSegment& segment, std::uint32_t row) const {
  if (context_.options.verify == VerifyMode::kOff) return {};
  auto verified = segment.verify_row(row);
  if (!verified) note_corruption(verified.error());
  return verified;
}

void ReadPath::note_corruption(const Error& error) const {
  add(context_.counters.corruptions);
  context_.report(Event::Kind::kCorruption, "a row read is damaged", error);
}

void ReadPath::prefetch_candidate(std::uint64_t hash) const {
  // The first candidate by tag is the row itself but for one in some ten thousand: its head and its
  // vector are fetched before the key is compared.
  const auto candidate = family_.index->find(hash, [](Location) { return true; });
  if (!candidate) return;
  const MappedSegment* segment = family_.segments.get(candidate->ordinal);
  if (segment == nullptr) return;
  __builtin_prefetch(segment->head(candidate->row));
  const std::byte* vector = segment->vector(candidate->row);
  const std::size_t lines = std::min(kLinesAhead, (family_.row_bytes + 63) / 64);
  for (std::size_t line = 0; line < lines; ++line) __builtin_prefetch(vector + line * 64);
}

void ReadPath::multi_get_group(std::span<const Key> keys, std::span<Lookup> answers) const {
  std::array<std::uint64_t, kGroup> hashes;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    hashes[i] = context_.hasher(keys[i]);
    family_.index->prefetch(hashes[i]);
  }
  for (std::size_t i = 0; i < keys.size(); ++i) prefetch_candidate(hashes[i]);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    answers[i] = {};
    const auto at = family_.find(hashes[i], keys[i]);
    if (!at) continue;
    MappedSegment* segment = family_.segments.get(at->ordinal);
    const bool holds = verify(*segment, at->row).has_value();
    answers[i].status = holds ? Lookup::Status::kHit : Lookup::Status::kCorrupt;
    if (holds) answers[i].view = view({segment, at->row});
  }
}

Result<void> ReadPath::multi_get(std::span<const Key> keys, std::span<Lookup> answers) const {
  if (keys.size() != answers.size())
    return fail(ErrorCode::kInvalidArgument, "multi_get needs one answer per key");
  VECTOLITH_TRY(check());
  for (std::size_t first = 0; first < keys.size(); first += kGroup) {
    const std::size_t count = std::min(kGroup, keys.size() - first);
    multi_get_group(keys.subspan(first, count), answers.subspan(first, count));
  }
  return {};
}

}  // namespace vectolith::engine
