/// @file
/// The import loop: contains, embed, put.
#include "demo/gloss_importer.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

namespace vectolith::demo {
namespace {

constexpr std::size_t kBatchRows = 256;
using Clock = std::chrono::steady_clock;

/// Rows that are embedded and not stored yet.
struct Batch {
  std::vector<std::uint32_t> numbers;
  std::vector<Key> keys;
  std::vector<Embedding> vectors;
  std::set<Key> known;

  void clear() {
    numbers.clear();
    keys.clear();
    vectors.clear();
    known.clear();
  }
};

/// The text is there before anybody can find the vector.
Result<void> store_batch(GlossStore& store, std::span<const Gloss> glosses, const Batch& batch,
                         ImportReport& report) {
  std::vector<BatchRow> rows;
  rows.reserve(batch.keys.size());
  for (std::size_t i = 0; i < batch.keys.size(); ++i) {
    VECTOLITH_TRY(store.texts.put(batch.keys[i], glosses[batch.numbers[i]].text));
    rows.push_back({batch.keys[i], std::as_bytes(std::span(batch.vectors[i]))});
  }
  VECTOLITH_TRY_ASSIGN(const auto results, store.glosses.put_batch(rows));
  report.stored += static_cast<std::uint64_t>(std::ranges::count_if(results, &PutResult::stored));
  return {};
}

/// Adds the next glosses that the store does not hold, until the batch is full. Returns where it stopped.
Result<std::size_t> fill_batch(const GlossStore& store, GlossEmbedder& embedder,
                               std::span<const Gloss> glosses, std::size_t first, Batch& batch,
                               ImportReport& report) {
  std::size_t at = first;
  for (; at < glosses.size() && batch.keys.size() < kBatchRows; ++at) {
    const auto key = key_of(glosses[at].text);
    VECTOLITH_TRY_ASSIGN(const bool stored, store.glosses.contains(key));
    if (stored || !batch.known.insert(key).second) {
      ++report.present;
      continue;
    }
    VECTOLITH_TRY_ASSIGN(const auto vector, embedder.embed(glosses[at].text));
    batch.numbers.push_back(static_cast<std::uint32_t>(at));
    batch.keys.push_back(key);
    batch.vectors.push_back(vector);
  }
  return at;
}

}  // namespace

Result<GlossStore> GlossStore::open(const std::string& path) {
  Options options;
  options.create_if_missing = true;
  options.durability = Durability::kBuffered;
  VECTOLITH_TRY_ASSIGN(auto store, Store::open(path, options));
  VECTOLITH_TRY_ASSIGN(auto glosses, store->family("glosses", GlossEmbedder::spec()));
  VECTOLITH_TRY_ASSIGN(auto texts, store->record_family("texts"));
  return GlossStore{.store = std::move(store), .glosses = std::move(glosses), .texts = std::move(texts)};
}

Key key_of(std::string_view text) noexcept {
  Key key;
  key.digest = Digest::xxh3(text);
  return key;
}

Result<ImportReport> import_glosses(GlossStore& store, GlossEmbedder& embedder,
                                    std::span<const Gloss> glosses, const ImportHooks& hooks) {
  ImportReport report;
  Batch batch;
  const auto embedded_before = embedder.embedded();
  for (std::size_t at = 0; at < glosses.size();) {
    const auto start = Clock::now();
    batch.clear();
    VECTOLITH_TRY_ASSIGN(at, fill_batch(store, embedder, glosses, at, batch, report));
    const auto embedded = Clock::now();
    if (!batch.keys.empty()) VECTOLITH_TRY(store_batch(store, glosses, batch, report));
    report.embedding += embedded - start;
    report.storing += Clock::now() - embedded;
    report.seen = at;
    if (hooks.on_acknowledged && !batch.keys.empty()) hooks.on_acknowledged(batch.numbers);
    if (hooks.on_progress) hooks.on_progress(at);
  }
  const auto start = Clock::now();
  VECTOLITH_TRY(store.store->sync());
  report.storing += Clock::now() - start;
  report.embedded = embedder.embedded() - embedded_before;
  return report;
}

}  // namespace vectolith::demo
