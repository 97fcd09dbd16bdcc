/// @file
/// What of a mapping lies in memory.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

namespace vectolith::testing {

/// Pages of `mapped` that are in the page cache, whoever brought them there.
inline std::size_t resident_pages(std::span<const std::byte> mapped) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t before = reinterpret_cast<std::uintptr_t>(mapped.data()) % page;
  std::vector<unsigned char> pages((before + mapped.size() + page - 1) / page);
  EXPECT_EQ(::mincore(const_cast<std::byte*>(mapped.data() - before), before + mapped.size(), pages.data()),
            0);
  return static_cast<std::size_t>(std::ranges::count_if(pages, [](auto state) { return (state & 1) != 0; }));
}

}  // namespace vectolith::testing
