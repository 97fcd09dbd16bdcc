/// @file
/// Trains the model and averages its word vectors.
#include "demo/gloss_embedder.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#include <fasttext/fasttext.h>
#pragma GCC diagnostic pop

namespace vectolith::demo {
namespace {

constexpr int kEpochs = 1;
constexpr int kWindow = 4;
constexpr int kNegatives = 2;
constexpr int kSeed = 1;

fasttext::Args training_arguments(const std::filesystem::path& corpus) {
  fasttext::Args arguments;
  arguments.input = corpus.string();
  arguments.model = fasttext::model_name::sg;
  arguments.loss = fasttext::loss_name::ns;
  arguments.dim = static_cast<int>(kDim);
  arguments.epoch = kEpochs;
  arguments.ws = kWindow;
  arguments.neg = kNegatives;
  arguments.lr = 0.3;
  arguments.minCount = 1;  // Each word of each gloss is known to the model.
  arguments.minn = 0;
  arguments.maxn = 0;
  arguments.bucket = 1;  // No parts of words: a tenth of the memory, a third of the time.
  arguments.thread = 1;  // With more, the bytes depend on the scheduler.
  arguments.seed = kSeed;
  arguments.verbose = 0;
  return arguments;
}

/// Words and text in one line, so that each word has a neighbour to learn from.
Result<void> write_corpus(std::span<const Gloss> glosses, const std::filesystem::path& path) {
  std::ofstream file(path);
  for (const auto& gloss : glosses)
    file << model_words(gloss.words) << ' ' << model_words(gloss.text) << '\n';
  file.close();
  if (!file)
    return std::unexpected(
        Error(ErrorCode::kIo, "the training text cannot be written").with_file(path.string()));
  return {};
}

bool normalise(Embedding& vector) {
  double squares = 0;
  for (const float element : vector) squares += double{element} * double{element};
  if (!(squares > 0)) return false;
  const double scale = 1 / std::sqrt(squares);
  for (float& element : vector) element = static_cast<float>(double{element} * scale);
  return true;
}

}  // namespace

GlossEmbedder::GlossEmbedder(std::unique_ptr<fasttext::FastText> model) noexcept : model_(std::move(model)) {}
GlossEmbedder::~GlossEmbedder() = default;
GlossEmbedder::GlossEmbedder(GlossEmbedder&&) noexcept = default;
GlossEmbedder& GlossEmbedder::operator=(GlossEmbedder&&) noexcept = default;

Result<GlossEmbedder> GlossEmbedder::train(std::span<const Gloss> glosses,
                                           const std::filesystem::path& work_directory) {
  const auto corpus = work_directory / "training.txt";
  VECTOLITH_TRY(write_corpus(glosses, corpus));
  auto model = std::make_unique<fasttext::FastText>();
  try {
    model->train(training_arguments(corpus));
  } catch (const std::exception& failure) {
    return fail(ErrorCode::kInternal, std::string("fastText: ") + failure.what());
  }
  std::error_code ignored;
  std::filesystem::remove(corpus, ignored);
  GlossEmbedder embedder(std::move(model));
  VECTOLITH_TRY(embedder.find_mean(glosses));
  return embedder;
}

/// All sentence vectors share a large part that says nothing: without it, unlike texts score near 0
/// instead of near 0.9.
Result<void> GlossEmbedder::find_mean(std::span<const Gloss> glosses) {
  std::array<double, kDim> sum{};
  for (const auto& gloss : glosses) {
    VECTOLITH_TRY_ASSIGN(const auto vector, sentence_vector(gloss.text));
    for (std::size_t i = 0; i < kDim; ++i) sum[i] += double{vector[i]};
  }
  for (std::size_t i = 0; i < kDim; ++i)
    mean_[i] = static_cast<float>(sum[i] / static_cast<double>(glosses.size()));
  return {};
}

Result<Embedding> GlossEmbedder::sentence_vector(std::string_view text) {
  fasttext::Vector sentence(kDim);
  std::istringstream words(model_words(text) + '\n');
  model_->getSentenceVector(words, sentence);
  Embedding vector;
  std::copy_n(sentence.data(), kDim, vector.begin());
  if (!normalise(vector))
    return fail(ErrorCode::kInvalidArgument, "the model knows no word of: " + std::string(text));
  return vector;
}

Result<Embedding> GlossEmbedder::embed(std::string_view text) {
  VECTOLITH_TRY_ASSIGN(auto vector, sentence_vector(text));
  for (std::size_t i = 0; i < kDim; ++i) vector[i] -= mean_[i];
  if (!normalise(vector))
    return fail(ErrorCode::kInvalidArgument, "an average text has no direction: " + std::string(text));
  ++embedded_;
  return vector;
}

ModelSpec GlossEmbedder::spec() {
  ModelSpec spec;
  spec.model = "fasttext-skipgram-wordnet";
  spec.revision = "epochs=1,window=4,negatives=2,rate=0.3,seed=1";
  spec.parameters = "words without the commonest, mean of all glosses subtracted";
  spec.dim = kDim;
  spec.metric = Metric::kCosine;
  spec.unit_norm = true;
  return spec;
}

}  // namespace vectolith::demo
