/// @file
/// A stable sort without std::stable_sort, which clang++ calls deprecated inside libstdc++ 12.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <numeric>
#include <utility>
#include <vector>

namespace vectolith::engine {

/// Sorts by `key(item)`; items of equal keys keep their order.
template <class Item, class Key>
void sort_stably(std::vector<Item>& items, const Key& key) {
  std::vector<std::size_t> order(items.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, [&](std::size_t a, std::size_t b) {
    const auto& left = std::invoke(key, items[a]);
    const auto& right = std::invoke(key, items[b]);
    return left < right || (!(right < left) && a < b);
  });
  std::vector<Item> sorted;
  sorted.reserve(items.size());
  for (const auto index : order) sorted.push_back(std::move(items[index]));
  items = std::move(sorted);
}

}  // namespace vectolith::engine
