/// @file
/// Reads the store back: by random key, as one matrix, and by meaning.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "demo/gloss_importer.h"

namespace vectolith::demo {

/// Glosses compared with what the model says now.
struct Comparison {
  std::uint64_t compared = 0;
  std::uint64_t missing = 0;    ///< Vector or text not in the store.
  std::uint64_t different = 0;  ///< Any byte of vector or text.
  [[nodiscard]] bool clean() const noexcept { return missing == 0 && different == 0; }
};

/// Looks up each gloss of `numbers`, zero-copy, embeds its text again and compares all bytes.
Result<Comparison> compare_glosses(const GlossStore& store, GlossEmbedder& embedder,
                                   std::span<const Gloss> glosses, std::span<const std::uint32_t> numbers,
                                   const std::function<void(std::uint64_t)>& on_progress = {});

/// A series of gets.
struct ReadTiming {
  double ns_per_get = 0;
  std::uint64_t hits = 0;
  std::uint64_t words_sum = 0;  ///< Of all 8-byte words of all vectors read.
};
/// Gets each key once, in this order, and reads the whole vector where it lies.
Result<ReadTiming> read_by_key(const GlossStore& store, std::span<const Key> keys);

/// The whole family through its contiguous matrices.
struct MatrixSummary {
  std::uint64_t segments = 0;
  std::uint64_t rows = 0;
  std::uint64_t words_sum = 0;
};
Result<MatrixSummary> summarise_matrix(const GlossStore& store);

struct Neighbour {
  float score = 0;
  std::string text;
};
struct Neighbours {
  std::vector<Neighbour> nearest;  ///< Best first.
  double scan_ms = 0;              ///< Of the matrices alone.
};
/// Scans all rows for the `count` texts nearest to `query`. Errors: of embedder and store; kCorruption
/// if a row has no text.
Result<Neighbours> find_nearest(const GlossStore& store, GlossEmbedder& embedder, std::string_view query,
                                std::size_t count);

}  // namespace vectolith::demo
