/// @file
/// Sparse bytes in pages that copies share.
#include "support/sim/sim_bytes.h"

#include <algorithm>
#include <cstring>

namespace vectolith::testing::sim {
namespace {

constexpr std::array<std::byte, SparseBytes::kPageBytes> kZeros{};

/// Calls `visit(page, offset in page, offset in range, length)` for each page of a range.
template <class Visit>
void for_each_part(std::uint64_t offset, std::uint64_t length, const Visit& visit) {
  for (std::uint64_t done = 0; done < length;) {
    const std::uint64_t at = offset + done;
    const std::uint64_t within = at % SparseBytes::kPageBytes;
    const std::uint64_t part = std::min(length - done, SparseBytes::kPageBytes - within);
    visit(at / SparseBytes::kPageBytes, within, done, part);
    done += part;
  }
}

}  // namespace

void SparseBytes::read(std::uint64_t offset, std::span<std::byte> out) const {
  for_each_part(offset, out.size(), [&](std::uint64_t page, auto within, auto done, auto part) {
    const auto found = pages_.find(page);
    if (found == pages_.end()) {
      std::memset(out.data() + done, 0, part);
    } else {
      std::memcpy(out.data() + done, found->second->data() + within, part);
    }
  });
}

void SparseBytes::write(std::uint64_t offset, std::span<const std::byte> bytes) {
  for_each_part(offset, bytes.size(), [&](std::uint64_t page, auto within, auto done, auto part) {
    auto& slot = pages_[page];
    if (slot == nullptr) {
      slot = std::make_shared<Page>();
    } else if (slot.use_count() > 1) {
      slot = std::make_shared<Page>(*slot);
    }
    std::memcpy(slot->data() + within, bytes.data() + done, part);
  });
}

void SparseBytes::zero(std::uint64_t offset, std::uint64_t length) {
  for_each_part(offset, length, [&](std::uint64_t page, auto within, auto, auto part) {
    if (part == kPageBytes) {
      pages_.erase(page);
    } else if (pages_.contains(page)) {
      write(page * kPageBytes + within, std::span(kZeros).first(part));
    }
  });
}

}  // namespace vectolith::testing::sim
