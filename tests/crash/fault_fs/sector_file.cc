/// @file
/// Pages, versions of sectors, and the loss of power of one file.
#include "fault_fs/sector_file.h"

#include <algorithm>
#include <cstring>

namespace vectolith::crash {

std::size_t SectorFile::read(std::uint64_t offset, std::span<std::byte> out) const {
  if (offset >= size_) return 0;
  const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), size_ - offset));
  for (std::size_t done = 0; done < length;) {
    const std::uint64_t at = offset + done;
    const std::size_t within = at % kPageBytes;
    const std::size_t part = std::min(length - done, kPageBytes - within);
    const auto page = pages_.find(at / kPageBytes);
    if (page == pages_.end()) {
      std::memset(out.data() + done, 0, part);
    } else {
      std::memcpy(out.data() + done, page->second->data() + within, part);
    }
    done += part;
  }
  return length;
}

void SectorFile::write(std::uint64_t offset, std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  remember(offset / kSectorBytes, (offset + bytes.size() + kSectorBytes - 1) / kSectorBytes);
  fill(offset, bytes.size(), bytes.data());
  if (offset + bytes.size() > size_) {
    if (history_) older_sizes_.push_back(size_);
    size_ = offset + bytes.size();
  }
}

void SectorFile::zero(std::uint64_t offset, std::uint64_t length) {
  if (length == 0) return;
  remember(offset / kSectorBytes, (offset + length + kSectorBytes - 1) / kSectorBytes);
  fill(offset, length, nullptr);
}

void SectorFile::resize(std::uint64_t size) {
  if (size == size_) return;
  if (size < size_) zero(size, size_ - size);
  if (history_) older_sizes_.push_back(size_);
  size_ = size;
}

void SectorFile::sync() {
  unsynced_.clear();
  older_sizes_.clear();
}

void SectorFile::fail_sync() {
  for (const auto& [number, versions] : unsynced_) doomed_.try_emplace(number, versions.front());
  unsynced_.clear();
}

void SectorFile::cut_power(std::mt19937_64& random, const CutShape& shape) {
  std::bernoulli_distribution keep(shape.keep);
  for (const auto& [number, bytes] : doomed_) set_sector(number, bytes);
  doomed_.clear();
  const std::uint64_t sectors_a_unit = shape.unit / kSectorBytes;
  std::uint64_t unit = UINT64_MAX;
  bool kept = false;
  for (const auto& [number, versions] : unsynced_) {
    if (number / sectors_a_unit != unit) {
      unit = number / sectors_a_unit;
      kept = keep(random);
    }
    if (kept) continue;
    // Mostly what was synced last; of several unsynced writes now and then one in the middle.
    const bool middle = versions.size() > 1 && sectors_a_unit == 1 && random() % 4 == 0;
    set_sector(number, middle ? versions[1 + random() % (versions.size() - 1)] : versions.front());
  }
  if (!older_sizes_.empty() && !keep(random)) {
    const std::uint64_t size = older_sizes_[random() % older_sizes_.size()];
    if (size < size_) fill(size, size_ - size, nullptr);
    size_ = size;
  }
  sync();
}

void SectorFile::remember(std::uint64_t first_sector, std::uint64_t sectors_end) {
  if (!history_) return;
  for (std::uint64_t number = first_sector; number < sectors_end; ++number) {
    auto& versions = unsynced_[number];
    const auto doomed = doomed_.extract(number);
    if (!doomed.empty()) {
      versions.push_back(doomed.mapped());
    } else if (versions.size() < kVersionsMax) {
      versions.push_back(sector(number));
    }
  }
}

SectorFile::Sector SectorFile::sector(std::uint64_t number) const {
  Sector bytes{};
  const std::uint64_t offset = number * kSectorBytes;
  const auto page = pages_.find(offset / kPageBytes);
  if (page != pages_.end())
    std::memcpy(bytes.data(), page->second->data() + offset % kPageBytes, kSectorBytes);
  return bytes;
}

void SectorFile::set_sector(std::uint64_t number, const Sector& bytes) {
  const bool zeros = std::ranges::all_of(bytes, [](std::byte byte) { return byte == std::byte{0}; });
  fill(number * kSectorBytes, kSectorBytes, zeros ? nullptr : bytes.data());
}

/// Null `bytes` are zeros, which need no page of their own.
void SectorFile::fill(std::uint64_t offset, std::uint64_t length, const std::byte* bytes) {
  for (std::uint64_t done = 0; done < length;) {
    const std::uint64_t at = offset + done;
    const std::size_t within = at % kPageBytes;
    const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(length - done, kPageBytes - within));
    const auto found = pages_.find(at / kPageBytes);
    if (bytes == nullptr) {
      if (found != pages_.end() && part == kPageBytes) {
        pages_.erase(found);
      } else if (found != pages_.end()) {
        std::memset(found->second->data() + within, 0, part);
      }
    } else {
      auto& page = found != pages_.end() ? found->second : pages_[at / kPageBytes];
      if (page == nullptr) page = std::make_unique<Page>();
      std::memcpy(page->data() + within, bytes + done, part);
    }
    done += part;
  }
}

}  // namespace vectolith::crash
