/// @file
/// The list of stores, and the plain way to copy for clients that have no better one.
#include "compare/compared_store.h"

#include <algorithm>
#include <cstring>

namespace vectolith::bench::compare {
namespace {

std::vector<StoreEntry>& entries() {
  static std::vector<StoreEntry> all;
  return all;
}

}  // namespace

bool Client::get_copy(const Key& key, std::span<std::byte> out) {
  const auto vector = get(key);
  if (vector.empty()) return false;
  must_be(vector.size() == out.size(), "the vector is as long as those that were put");
  std::memcpy(out.data(), vector.data(), vector.size());
  return true;
}

std::size_t Client::multi_get(std::span<const Key> keys, std::span<std::byte> matrix) {
  const std::size_t bytes = matrix.size() / keys.size();
  std::size_t hits = 0;
  for (std::size_t i = 0; i < keys.size(); ++i)
    hits += get_copy(keys[i], matrix.subspan(i * bytes, bytes)) ? 1U : 0U;
  return hits;
}

std::optional<std::string_view> StoreEntry::lack_of(Ability ability) const {
  if (ability == Ability::kMetasApart && !metas_apart) return "keeps no metas apart from the vectors";
  const auto found = std::ranges::find(lacks, ability, &Lack::ability);
  return found == lacks.end() ? std::nullopt : std::optional(found->reason);
}

std::span<const StoreEntry> store_entries() { return entries(); }

const StoreEntry* find_store(std::string_view name) {
  const auto found = std::ranges::find(entries(), name, &StoreEntry::name);
  return found == entries().end() ? nullptr : &*found;
}

Registration::Registration(StoreEntry entry) {
  const auto place = std::ranges::upper_bound(entries(), entry.rank, {}, &StoreEntry::rank);
  entries().insert(place, std::move(entry));
}

}  // namespace vectolith::bench::compare
