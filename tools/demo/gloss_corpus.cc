/// @file
/// Parses wndb(5WN) data files and cuts text into words.
#include "demo/gloss_corpus.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <sstream>
#include <utility>

namespace vectolith::demo {
namespace {

// An average over all words says little when a third of them are "a", "the" and "of".
constexpr auto kCommonWords = std::to_array<std::string_view>(
    {"a",     "all",    "an",    "and",  "any",   "are",  "as",    "at",   "be",         "been",
     "but",   "by",     "can",   "did",  "do",    "does", "for",   "from", "had",        "has",
     "have",  "having", "he",    "her",  "his",   "i",    "if",    "in",   "into",       "is",
     "it",    "its",    "no",    "not",  "of",    "on",   "one",   "or",   "other",      "s",
     "she",   "so",     "some",  "such", "t",     "than", "that",  "the",  "their",      "them",
     "there", "these",  "they",  "this", "those", "to",   "used",  "was",  "we",         "were",
     "what",  "when",   "which", "who",  "will",  "with", "would", "you",  "especially", "usually"});

bool is_common(std::string_view word) { return std::ranges::find(kCommonWords, word) != kCommonWords.end(); }

/// The bytes above ASCII count as letters: none is lost, and no locale takes part.
bool is_word_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c & '\x80') != 0;
}

std::vector<std::string> split_words(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  for (const char c : text) {
    if (is_word_byte(c)) {
      word += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    } else if (!word.empty()) {
      words.push_back(std::exchange(word, {}));
    }
  }
  if (!word.empty()) words.push_back(std::move(word));
  return words;
}

/// "00001740 03 n 02 true_cat 0 cat 0 …": the count is hexadecimal, each word is followed by a number.
std::string words_of(std::string_view head) {
  std::istringstream fields{std::string(head)};
  std::string offset, file, kind, count_text;
  fields >> offset >> file >> kind >> count_text;
  unsigned count = 0;
  std::from_chars(count_text.data(), count_text.data() + count_text.size(), count, 16);
  std::string words;
  std::string word, sense;
  for (unsigned i = 0; i < count && fields >> word >> sense; ++i) {
    std::ranges::replace(word, '_', ' ');
    words += (words.empty() ? "" : ", ") + word.substr(0, word.find('('));
  }
  return words;
}

Result<Gloss> parse_line(std::string_view line) {
  const auto bar = line.find(" | ");
  if (bar == std::string_view::npos) return fail(ErrorCode::kCorruption, "a line of WordNet has no gloss");
  auto text = line.substr(bar + 3);
  const auto last = text.find_last_not_of(" \r");
  if (last == std::string_view::npos) return fail(ErrorCode::kCorruption, "a gloss of WordNet is empty");
  return Gloss{.words = words_of(line.substr(0, bar)), .text = std::string(text.substr(0, last + 1))};
}

}  // namespace

Result<std::vector<Gloss>> read_glosses(const std::filesystem::path& directory) {
  std::vector<Gloss> glosses;
  for (const char* name : {"data.noun", "data.verb", "data.adj", "data.adv"}) {
    const auto path = directory / name;
    std::ifstream file(path);
    if (!file) {
      return std::unexpected(
          Error(ErrorCode::kNotFound, "WordNet is missing: install the Debian package wordnet-base")
              .with_file(path.string()));
    }
    for (std::string line; std::getline(file, line);) {
      if (line.starts_with("  ")) continue;  // The licence.
      auto gloss = parse_line(line);
      if (!gloss.has_value())
        return std::unexpected(std::move(gloss).error().with_file(path.string()).with_found(line));
      glosses.push_back(*std::move(gloss));
    }
  }
  return glosses;
}

std::string model_words(std::string_view text) {
  auto words = split_words(text);
  if (!std::ranges::all_of(words, is_common)) std::erase_if(words, is_common);
  std::string joined;
  for (const auto& word : words) joined += (joined.empty() ? "" : " ") + word;
  return joined;
}

}  // namespace vectolith::demo
