/// @file
/// Embeds what the store does not hold yet, and stores it with its text.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include <vectolith/store.h>

#include "demo/gloss_corpus.h"
#include "demo/gloss_embedder.h"

namespace vectolith::demo {

/// The store of the demo with its two families.
struct GlossStore {
  std::unique_ptr<Store> store;
  Family glosses;      ///< Unit vectors under the digest of the text.
  RecordFamily texts;  ///< The texts under the same keys.

  /// Opens the store in `path`, and creates it and its families if they are not there.
  static Result<GlossStore> open(const std::string& path);
};

/// The key of a text.
Key key_of(std::string_view text) noexcept;

/// What an import did.
struct ImportReport {
  std::uint64_t seen = 0;
  std::uint64_t stored = 0;    ///< Rows the store took.
  std::uint64_t present = 0;   ///< Texts the store had already, from here or from an earlier run.
  std::uint64_t embedded = 0;  ///< Times the model was asked.
  std::chrono::duration<double> embedding{};
  std::chrono::duration<double> storing{};  ///< With the texts and the final sync.
};

struct ImportHooks {
  /// Called after each batch with the glosses seen so far. May be empty.
  std::function<void(std::uint64_t)> on_progress;
  /// Called with the gloss numbers of each batch that was acknowledged. May be empty.
  std::function<void(std::span<const std::uint32_t>)> on_acknowledged;
};

/// Imports all of `glosses`: asks the store first, embeds what is missing, text before vector, in
/// batches at kBuffered; syncs at the end. Errors: of the store and of the embedder.
Result<ImportReport> import_glosses(GlossStore& store, GlossEmbedder& embedder,
                                    std::span<const Gloss> glosses, const ImportHooks& hooks);

}  // namespace vectolith::demo
