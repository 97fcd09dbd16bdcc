/// @file
/// Gets, matrix scans and comparisons against the model.
#include "demo/gloss_reader.h"

#include <algorithm>
#include <chrono>
#include <cstring>

namespace vectolith::demo {
namespace {

/// Scopes should be short; this many gets take some ten microseconds.
constexpr std::size_t kScopeGets = 64;
using Clock = std::chrono::steady_clock;

std::uint64_t sum_words(std::span<const std::byte> vector) noexcept {
  std::uint64_t sum = 0;
  for (std::size_t at = 0; at < vector.size(); at += sizeof sum) {
    std::uint64_t word;
    std::memcpy(&word, vector.data() + at, sizeof word);
    sum += word;
  }
  return sum;
}

/// Eight sums side by side, which the compiler turns into vector instructions.
float dot(const float* a, const float* b) noexcept {
  using Lanes = float __attribute__((vector_size(32)));
  Lanes sum{};
  for (std::size_t at = 0; at < kDim; at += 8) {
    Lanes left;
    Lanes right;
    std::memcpy(&left, a + at, sizeof left);
    std::memcpy(&right, b + at, sizeof right);
    sum += left * right;
  }
  return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

struct Candidate {
  float score;
  const format::MetaRow* meta;
  friend bool operator>(const Candidate& a, const Candidate& b) noexcept { return a.score > b.score; }
};

/// Keeps the best `count` in a heap whose first is the worst of them.
void offer(std::vector<Candidate>& best, std::size_t count, Candidate candidate) {
  if (best.size() == count && candidate.score <= best.front().score) return;
  if (best.size() == count) {
    std::ranges::pop_heap(best, std::greater{});
    best.pop_back();
  }
  best.push_back(candidate);
  std::ranges::push_heap(best, std::greater{});
}

}  // namespace

Result<Comparison> compare_glosses(const GlossStore& store, GlossEmbedder& embedder,
                                   std::span<const Gloss> glosses, std::span<const std::uint32_t> numbers,
                                   const std::function<void(std::uint64_t)>& on_progress) {
  Comparison comparison;
  for (const auto number : numbers) {
    const auto& text = glosses[number].text;
    const auto key = key_of(text);
    VECTOLITH_TRY_ASSIGN(const auto expected, embedder.embed(text));
    VECTOLITH_TRY_ASSIGN(const auto record, store.texts.get(key));
    const auto scope = store.store->read_scope();
    VECTOLITH_TRY_ASSIGN(const auto view, store.glosses.get(scope, key));
    if (!view.has_value() || !record.has_value()) {
      ++comparison.missing;
    } else if (!std::ranges::equal(view->bytes(), std::as_bytes(std::span(expected))) ||
               !std::ranges::equal(record->payload, std::as_bytes(std::span(text)))) {
      ++comparison.different;
    }
    ++comparison.compared;
    if (on_progress && comparison.compared % 1024 == 0) on_progress(comparison.compared);
  }
  return comparison;
}

Result<ReadTiming> read_by_key(const GlossStore& store, std::span<const Key> keys) {
  ReadTiming timing;
  const auto start = Clock::now();
  for (std::size_t first = 0; first < keys.size(); first += kScopeGets) {
    const auto scope = store.store->read_scope();
    for (const auto& key : keys.subspan(first, std::min(kScopeGets, keys.size() - first))) {
      VECTOLITH_TRY_ASSIGN(const auto view, store.glosses.get(scope, key));
      if (!view.has_value()) continue;
      timing.words_sum += sum_words(view->bytes());
      ++timing.hits;
    }
  }
  timing.ns_per_get = std::chrono::duration<double, std::nano>(Clock::now() - start).count() /
                      static_cast<double>(std::max<std::size_t>(keys.size(), 1));
  return timing;
}

Result<MatrixSummary> summarise_matrix(const GlossStore& store) {
  MatrixSummary summary;
  VECTOLITH_TRY_ASSIGN(const auto segments, store.glosses.segments());
  for (const auto& segment : segments) {
    ++summary.segments;
    for (std::uint32_t row = 0; row < segment.rows; ++row) {
      if (!segment.is_live(row)) continue;
      summary.words_sum += sum_words(segment.vector(row));
      ++summary.rows;
    }
  }
  return summary;
}

Result<Neighbours> find_nearest(const GlossStore& store, GlossEmbedder& embedder, std::string_view query,
                                std::size_t count) {
  VECTOLITH_TRY_ASSIGN(const auto wanted, embedder.embed(query));
  Neighbours neighbours;
  std::vector<Candidate> best;
  const auto start = Clock::now();
  // The segments hold the rows in memory until the texts are read.
  VECTOLITH_TRY_ASSIGN(const auto segments, store.glosses.segments());
  for (const auto& segment : segments) {
    const auto* matrix = reinterpret_cast<const float*>(segment.base);
    for (std::uint32_t row = 0; row < segment.rows; ++row) {
      const float score = dot(wanted.data(), matrix + std::size_t{row} * kDim);
      if (segment.is_live(row)) offer(best, count, {score, &segment.meta[row]});
    }
  }
  neighbours.scan_ms = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
  std::ranges::sort(best, std::greater{});
  for (const auto& candidate : best) {
    VECTOLITH_TRY_ASSIGN(const auto record, store.texts.get(candidate.meta->key));
    if (!record.has_value()) return fail(ErrorCode::kCorruption, "a vector has no text");
    const auto* text = reinterpret_cast<const char*>(record->payload.data());
    neighbours.nearest.push_back({candidate.score, std::string(text, record->payload.size())});
  }
  return neighbours;
}

}  // namespace vectolith::demo
