/// @file
/// The glosses of WordNet, as Debian's wordnet-base installs them.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <vectolith/format/result.h>

namespace vectolith::demo {

/// One synonym set: the words that share a meaning, and the sentence that explains it.
struct Gloss {
  std::string words;  ///< "true cat, cat", only used to train the model.
  std::string text;   ///< What is embedded and stored.
};

/// Reads data.noun, data.verb, data.adj and data.adv in `directory`.
/// Errors: kNotFound if a file is missing (says which package has it), kCorruption for a line without a
/// gloss.
Result<std::vector<Gloss>> read_glosses(const std::filesystem::path& directory);

/// Lower-case words of `text` without punctuation and without the commonest English words (all words
/// if only such are there), separated by spaces: what the model sees.
std::string model_words(std::string_view text);

}  // namespace vectolith::demo
