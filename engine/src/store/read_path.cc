/// @file
/// Grouped probes and the slow sides of reading.
#include "store/read_path.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

namespace vectolith::engine {
namespace {

constexpr std::size_t kProbes = 256;      // Keys whose index entries are looked up side by side.
constexpr std::size_t kRowsAhead = 16;    // Keys whose rows are fetched before their turn.
constexpr std::uint32_t kLinesAhead = 2;  // Of each vector; the hardware prefetcher follows on.

/// A key whose row is read, if it is the row.
struct ColdAnswer {
  std::size_t key;
  FoundRow row;
  std::size_t read;
};

}  // namespace

Result<void> ReadPath::check() const {
  if (context_.is_unusable()) [[unlikely]]
    return context_.check_open();
  if (family_.dropped.load(std::memory_order_acquire)) [[unlikely]] {
    return fail(ErrorCode::kWrongFamily, "family '" + family_.name + "' was dropped");
  }
  return {};
}

Result<void> ReadPath::error_of(const Key& key) const {
  std::vector<std::byte> unused(family_.row_bytes);
  VECTOLITH_TRY(get_cold(key, {}, [&] { return unused.data(); }));
  return {};
}

Result<void> ReadPath::verify_slow(const MappedSegment& segment, std::uint32_t row) const {
  if (context_.options.verify == VerifyMode::kOff) return {};
  auto verified = segment.verify_row(row);
  if (!verified) note_corruption(verified.error());
  return verified;
}

void ReadPath::note_corruption(const Error& error) const {
  if (error.code() == ErrorCode::kNoMemory) return;
  add(context_.counters.corruptions);
  context_.report(Event::Kind::kCorruption, "a row read is damaged", error);
}

bool ReadPath::prefetch_row(const std::optional<Location>& candidate) const {
  // The candidate by tag is the row itself but for one in some ten thousand: its head and its vector are
  // fetched before the key is compared.
  const FoundRow row = candidate ? row_at(*candidate) : FoundRow{};
  if (row.segment == nullptr) return true;
  __builtin_prefetch(row.segment->head(row.row));
  const std::byte* vector = row.segment->vector(row.row);
  const std::size_t lines = std::min(kLinesAhead, (family_.row_bytes + 63) / 64);
  for (std::size_t line = 0; line < lines; ++line) __builtin_prefetch(vector + line * 64);
  return row.segment->was_verified(row.row);
}

void ReadPath::bring_in(std::span<const std::optional<Location>> candidates) const {
  std::array<std::span<const std::byte>, 2 * kProbes> ranges;
  std::size_t count = 0;
  for (const auto& candidate : candidates) {
    const FoundRow row = candidate ? row_at(*candidate) : FoundRow{};
    if (row.segment == nullptr) continue;
    ranges[count++] = {row.segment->head(row.row), sizeof(format::MetaRow)};
    ranges[count++] = {row.segment->vector(row.row), family_.row_bytes};
  }
  context_.environment->will_need({ranges.data(), count});
}

FoundRow ReadPath::row_of(const std::optional<Location>& candidate, std::uint64_t hash,
                          const Key& key) const {
  if (!candidate) return {};
  if (const FoundRow row = row_at(*candidate);
      row.segment != nullptr && FamilyState::holds_key(*row.segment, row.row, key)) [[likely]]
    return row;
  const auto at = family_.find(hash, key);
  return at ? row_at(*at) : FoundRow{};
}

template <class Visit>
Result<void> ReadPath::find_grouped(std::span<const Key> keys, const Visit& visit) const {
  VECTOLITH_TRY(check());
  std::array<std::uint64_t, kProbes> hashes;
  std::array<std::optional<Location>, kProbes> places;
  const bool memory_is_short = context_.memory_is_short.load(std::memory_order_relaxed);
  for (std::size_t first = 0; first < keys.size(); first += kProbes) {
    const auto part = keys.subspan(first, std::min(kProbes, keys.size() - first));
    const auto candidates = std::span(places).first(part.size());
    for (std::size_t i = 0; i < part.size(); ++i) hashes[i] = context_.hasher(part[i]);
    family_.index->find_candidates({hashes.data(), part.size()}, candidates);
    bool were_asked = memory_is_short;
    if (were_asked) bring_in(candidates);
    std::size_t ahead = 0;
    for (std::size_t i = 0; i < part.size(); ++i) {
      for (; ahead < std::min(part.size(), i + kRowsAhead); ++ahead) {
        if (prefetch_row(candidates[ahead]) || were_asked) continue;
        were_asked = true;
        bring_in(candidates.subspan(ahead));
      }
      VECTOLITH_TRY(visit(first + i, row_of(candidates[i], hashes[i], part[i])));
    }
  }
  return {};
}

Lookup ReadPath::look(const FoundRow& found) const {
  if (!verify(*found.segment, found.row)) return {.status = Lookup::Status::kCorrupt, .view = {}};
  return {.status = Lookup::Status::kHit, .view = view(found)};
}

Result<void> ReadPath::multi_get(std::span<const Key> keys, std::span<Lookup> answers) const {
  if (keys.size() != answers.size())
    return fail(ErrorCode::kInvalidArgument, "multi_get needs one answer per key");
  return find_grouped(keys, [&](std::size_t i, const FoundRow& found) -> Result<void> {
    answers[i] = found.segment == nullptr ? Lookup{} : look(found);
    return {};
  });
}

Result<std::size_t> ReadPath::multi_get_copy(std::span<const Key> keys, std::span<std::byte> matrix,
                                             std::span<bool> found) const {
  std::size_t hits = 0;
  const auto copy = [&](std::size_t i, const FoundRow& row) -> Result<void> {
    found[i] = row.segment != nullptr;
    if (!found[i]) return {};
    VECTOLITH_TRY(verify(*row.segment, row.row));
    std::memcpy(matrix.data() + i * family_.row_bytes, row.segment->vector(row.row), family_.row_bytes);
    ++hits;
    return {};
  };
  VECTOLITH_TRY(find_grouped(keys, copy));
  return hits;
}

Result<void> ReadPath::read_cold(const FoundRow& found, std::byte* into) const {
  VECTOLITH_TRY_ASSIGN(auto batch, context_.cold_reads.begin(family_.row_bytes, context_.options.verify));
  const std::size_t read = batch.add(*found.segment, found.row, into);
  batch.finish();
  if (const auto& error = batch.error(read)) {
    note_corruption(*error);
    return std::unexpected(*error);
  }
  return {};
}

Result<void> ReadPath::multi_get_cold(std::span<const Key> keys, std::span<Lookup> answers,
                                      std::span<std::byte> matrix) const {
  if (keys.size() != answers.size())
    return fail(ErrorCode::kInvalidArgument, "multi_get needs one answer per key");
  VECTOLITH_TRY(check());
  VECTOLITH_TRY_ASSIGN(auto batch, context_.cold_reads.begin(family_.row_bytes, context_.options.verify));
  const auto start_read = [&](const FoundRow& found, std::size_t i) {
    return batch.add(*found.segment, found.row, matrix.data() + i * family_.row_bytes);
  };
  const bool metas_may_be_out = context_.memory_is_short.load(std::memory_order_relaxed);
  batch.resize_probes(keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) batch.hashes()[i] = context_.hasher(keys[i]);
  family_.index->find_candidates(batch.hashes(), batch.candidates());

  // A candidate by its tag is the row itself but for one in thousands: it is read while its key is compared.
  std::vector<ColdAnswer> pending;
  std::vector<std::span<const std::byte>> heads;
  pending.reserve(keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto candidate = batch.candidates()[i];
    const FoundRow found = candidate ? row_at(*candidate) : FoundRow{};
    if (found.segment == nullptr || !is_in_file_only(*found.segment)) continue;
    pending.push_back({i, found, start_read(found, i)});
    if (metas_may_be_out) heads.emplace_back(found.segment->head(found.row), sizeof(format::MetaRow));
  }
  if (!heads.empty()) context_.environment->will_need(heads);
  batch.start();

  std::vector<ColdAnswer> late;
  std::size_t next = 0;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    answers[i] = {};
    ColdAnswer* const guess = next < pending.size() && pending[next].key == i ? &pending[next++] : nullptr;
    const auto at = family_.find(batch.hashes()[i], keys[i]);
    const FoundRow found = at ? row_at(*at) : FoundRow{};
    if (guess != nullptr && guess->row == found) continue;
    if (guess != nullptr) guess->row = {};  // Another key's row.
    if (found.segment == nullptr) continue;
    if (is_in_file_only(*found.segment)) {
      late.push_back({i, found, 0});
    } else {
      answers[i] = look(found);
    }
  }
  batch.finish();
  for (auto& answer : late) {
    answer.read = start_read(answer.row, answer.key);
    pending.push_back(answer);
  }
  batch.start();
  batch.finish();
  for (const auto& answer : pending) {
    if (answer.row.segment == nullptr) continue;
    const auto& error = batch.error(answer.read);
    if (error && error->code() == ErrorCode::kNoMemory) return std::unexpected(*error);
    if (error) note_corruption(*error);
    answers[answer.key].status = error ? Lookup::Status::kCorrupt : Lookup::Status::kHit;
    if (!error) answers[answer.key].view = view({answer.row, matrix.data() + answer.key * family_.row_bytes});
  }
  return {};
}

Result<std::size_t> ReadPath::multi_get_copy_cold(std::span<const Key> keys, std::span<std::byte> matrix,
                                                  std::span<bool> found) const {
  std::vector<Lookup> answers(keys.size());
  VECTOLITH_TRY(multi_get_cold(keys, answers, matrix));
  std::size_t hits = 0;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (answers[i].status == Lookup::Status::kCorrupt) VECTOLITH_TRY(error_of(keys[i]));
    found[i] = answers[i].status == Lookup::Status::kHit;
    if (!found[i]) continue;
    std::byte* const into = matrix.data() + i * family_.row_bytes;
    if (answers[i].view.bytes().data() != into)
      std::memcpy(into, answers[i].view.bytes().data(), family_.row_bytes);
    ++hits;
  }
  return hits;
}

}  // namespace vectolith::engine
