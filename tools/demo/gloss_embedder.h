/// @file
/// A small fastText model, trained on the spot: the same bytes on every run.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>

#include <vectolith/format/model_spec.h>
#include <vectolith/format/result.h>

#include "demo/gloss_corpus.h"

namespace fasttext {
class FastText;
}

namespace vectolith::demo {

inline constexpr std::uint32_t kDim = 64;
using Embedding = std::array<float, kDim>;

/// Turns texts into unit vectors. One thread.
class GlossEmbedder {
 public:
  /// Trains on the words and texts of `glosses`, one thread and a fixed seed.
  /// Errors: kIo when the training text cannot be written to `work_directory`, kInternal from fastText.
  static Result<GlossEmbedder> train(std::span<const Gloss> glosses,
                                     const std::filesystem::path& work_directory);
  ~GlossEmbedder();
  GlossEmbedder(GlossEmbedder&&) noexcept;
  GlossEmbedder& operator=(GlossEmbedder&&) noexcept;

  /// The sentence vector of `text` less the mean of all glosses, with norm 1.
  /// Errors: kInvalidArgument when the model knows no word of `text`.
  Result<Embedding> embed(std::string_view text);
  /// Texts embedded so far.
  [[nodiscard]] std::uint64_t embedded() const noexcept { return embedded_; }
  /// What makes these vectors comparable; names the training, which the bytes depend on.
  [[nodiscard]] static ModelSpec spec();

 private:
  explicit GlossEmbedder(std::unique_ptr<fasttext::FastText> model) noexcept;
  Result<Embedding> sentence_vector(std::string_view text);
  Result<void> find_mean(std::span<const Gloss> glosses);

  std::unique_ptr<fasttext::FastText> model_;
  Embedding mean_{};
  std::uint64_t embedded_ = 0;
};

}  // namespace vectolith::demo
