/// @file
/// Grouped probes and the slow sides of reading.
#include "store/read_path.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace vectolith::engine {
namespace {

constexpr std::size_t kGroup = 16;
constexpr std::size_t kAskedAtOnce = 1'024;   // Keys whose rows are loaded side by side.
constexpr std::size_t kKeysPerRequest = 128;  // Of those, how many the kernel is asked for in one call.
constexpr std::uint32_t kLinesAhead = 8;      // Of each vector; the hardware prefetcher follows on.

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
  if (!is_cold()) {
    VECTOLITH_TRY(find(key, {}));
    return {};
  }
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

bool ReadPath::prefetch_candidate(std::uint64_t hash) const {
  // The first candidate by tag is the row itself but for one in some ten thousand: its head and its
  // vector are fetched before the key is compared.
  const auto candidate = family_.index->find(hash, [](Location) { return true; });
  if (!candidate) return true;
  const MappedSegment* segment = family_.segments.get(candidate->ordinal);
  if (segment == nullptr) return true;
  __builtin_prefetch(segment->head(candidate->row));
  const std::byte* vector = segment->vector(candidate->row);
  const std::size_t lines = std::min(kLinesAhead, (family_.row_bytes + 63) / 64);
  for (std::size_t line = 0; line < lines; ++line) __builtin_prefetch(vector + line * 64);
  return segment->was_verified(candidate->row);
}

void ReadPath::bring_in(std::span<const Key> keys) const {
  std::array<std::span<const std::byte>, 2 * kKeysPerRequest> ranges;  // No allocation in a warm batch.
  std::size_t count = 0;
  for (const auto& key : keys) {
    const auto candidate = family_.index->find(context_.hasher(key), [](Location) { return true; });
    if (!candidate) continue;
    const MappedSegment* segment = family_.segments.get(candidate->ordinal);
    if (segment == nullptr) continue;
    ranges[count++] = {segment->head(candidate->row), sizeof(format::MetaRow)};
    ranges[count++] = {segment->vector(candidate->row), family_.row_bytes};
    if (count == ranges.size()) context_.environment->will_need({ranges.data(), std::exchange(count, 0)});
  }
  context_.environment->will_need({ranges.data(), count});
}

bool ReadPath::multi_get_group(std::span<const Key> keys, std::span<Lookup> answers,
                               std::span<const Key> coming) const {
  std::array<std::uint64_t, kGroup> hashes;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    hashes[i] = context_.hasher(keys[i]);
    family_.index->prefetch(hashes[i]);
  }
  bool were_read = true;
  for (std::size_t i = 0; i < keys.size(); ++i) were_read &= prefetch_candidate(hashes[i]);
  const bool must_ask = !were_read && !coming.empty();
  if (must_ask) bring_in(coming);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    answers[i] = {};
    const auto at = family_.find(hashes[i], keys[i]);
    if (!at) continue;
    answers[i] = look(row_at(*at));
  }
  return must_ask;
}

Lookup ReadPath::look(const FoundRow& found) const {
  if (!verify(*found.segment, found.row)) return {.status = Lookup::Status::kCorrupt, .view = {}};
  return {.status = Lookup::Status::kHit, .view = view(found)};
}

Result<void> ReadPath::multi_get(std::span<const Key> keys, std::span<Lookup> answers) const {
  if (keys.size() != answers.size())
    return fail(ErrorCode::kInvalidArgument, "multi_get needs one answer per key");
  VECTOLITH_TRY(check());
  std::size_t asked = 0;  // Keys whose rows were asked for already.
  for (std::size_t first = 0; first < keys.size(); first += kGroup) {
    const std::size_t count = std::min(kGroup, keys.size() - first);
    auto coming = keys.subspan(first, std::min(kAskedAtOnce, keys.size() - first));
    if (first < asked) coming = {};
    if (context_.memory_is_short.load(std::memory_order_relaxed) && !coming.empty()) {
      bring_in(coming);
      coming = {};
      asked = first + kAskedAtOnce;
    }
    if (multi_get_group(keys.subspan(first, count), answers.subspan(first, count), coming))
      asked = first + kAskedAtOnce;
  }
  return {};
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

}  // namespace vectolith::engine
