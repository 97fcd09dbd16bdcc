/// @file
/// Cache, barriers and crashes of the simulated disk.
#include "support/sim/sim_disk.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>
#include <utility>

namespace vectolith::testing::sim {
namespace {

/// Calls `visit(offset, length)` for the parts of a range in units of `unit` bytes.
template <class Visit>
void for_each_unit(std::uint64_t offset, std::uint64_t length, std::uint64_t unit, const Visit& visit) {
  for (std::uint64_t at = offset; at < offset + length;) {
    const std::uint64_t end = std::min(offset + length, (at / unit + 1) * unit);
    visit(at, end - at);
    at = end;
  }
}

/// Writes `length` bytes at `offset`, a part of the change, to the medium.
void persist(Inode& inode, const Change& change, std::uint64_t offset, std::uint64_t length) {
  if (change.bytes.empty()) {
    inode.durable.zero(offset, length);
  } else {
    inode.durable.write(offset, std::span(change.bytes).subspan(offset - change.offset, length));
  }
}

}  // namespace

SimDisk SimDisk::clone_durable() const {
  SimDisk copy(tear_bytes_, capacity_bytes_);
  copy.next_change_ = next_change_;
  for (const auto& [path, directory] : directories_) {
    auto& made = copy.directories_[path];
    for (const auto& [name, inode] : directory.durable) {
      auto fresh = std::make_shared<Inode>();
      fresh->durable = inode->durable;
      fresh->durable_size = fresh->size = inode->durable_size;
      fresh->blocks = inode->blocks;
      made.names[name] = made.durable[name] = fresh;
    }
  }
  return copy;
}

SimDirectoryState* SimDisk::find_directory(const std::string& path) {
  const auto found = directories_.find(path);
  return found == directories_.end() ? nullptr : &found->second;
}

std::shared_ptr<HeapBytes> SimDisk::cache_of(Inode& inode) {
  if (inode.cache == nullptr) {
    inode.cache = std::make_shared<HeapBytes>(inode.size);
    const auto bytes = inode.cache->bytes();
    inode.durable.for_each_page([&](std::uint64_t offset, std::span<const std::byte> page) {
      if (offset >= bytes.size()) return;
      std::memcpy(bytes.data() + offset, page.data(),
                  std::min<std::size_t>(page.size(), bytes.size() - offset));
    });
    for (const auto& change : inode.lost) apply(inode, change);
    for (const auto& change : inode.unsynced) apply(inode, change);
  }
  return inode.cache;
}

std::span<std::byte> SimDisk::cached(Inode& inode) { return cache_of(inode)->bytes(); }

void SimDisk::apply(Inode& inode, const Change& change) {
  const auto bytes = inode.cache->bytes();
  if (change.offset >= bytes.size()) return;
  const auto length = std::min<std::size_t>(change.length, bytes.size() - change.offset);
  if (change.bytes.empty()) {
    std::memset(bytes.data() + change.offset, 0, length);
  } else {
    std::memcpy(bytes.data() + change.offset, change.bytes.data(), length);
  }
}

void SimDisk::resize(Inode& inode, std::uint64_t size) {
  if (size <= inode.size) return;
  if (inode.cache != nullptr) {
    auto larger = std::make_shared<HeapBytes>(size);
    std::ranges::copy(inode.cache->bytes(), larger->bytes().begin());
    inode.cache = std::move(larger);
  }
  inode.size = size;
  inode.unsynced_sizes.push_back(size);
}

bool SimDisk::allocate(Inode& inode, std::uint64_t offset, std::uint64_t length) {
  if (length == 0) return true;
  std::vector<std::uint64_t> fresh;
  for (std::uint64_t block = offset / kBlockBytes; block <= (offset + length - 1) / kBlockBytes; ++block) {
    if (!inode.blocks.contains(block)) fresh.push_back(block);
  }
  if (fresh.empty()) return true;
  if (fresh.size() * kBlockBytes > free_bytes()) return false;
  inode.blocks.insert(fresh.begin(), fresh.end());
  return true;
}

bool SimDisk::write(Inode& inode, std::uint64_t offset, std::span<const std::byte> bytes) {
  if (bytes.empty()) return true;
  if (!allocate(inode, offset, bytes.size())) return false;
  resize(inode, offset + bytes.size());
  Change change{.number = next_change_++, .offset = offset, .length = bytes.size(), .bytes = {}};
  change.bytes.assign(bytes.begin(), bytes.end());
  if (inode.cache != nullptr) apply(inode, change);
  inode.unsynced.push_back(std::move(change));
  return true;
}

bool SimDisk::preallocate(Inode& inode, std::uint64_t offset, std::uint64_t length) {
  if (!allocate(inode, offset, length)) return false;
  resize(inode, offset + length);
  return true;
}

void SimDisk::punch(Inode& inode, std::uint64_t offset, std::uint64_t length) {
  const std::uint64_t end = std::min(offset + length, inode.size);
  if (offset >= end) return;
  Change change{.number = next_change_++, .offset = offset, .length = end - offset, .bytes = {}};
  if (inode.cache != nullptr) apply(inode, change);
  inode.unsynced.push_back(std::move(change));
  const std::uint64_t first = (offset + kBlockBytes - 1) / kBlockBytes;
  inode.blocks.erase(inode.blocks.lower_bound(first), inode.blocks.lower_bound(end / kBlockBytes));
}

void SimDisk::sync(Inode& inode, std::uint64_t before) {
  for (const auto& change : inode.unsynced) {
    if (change.number < before) persist(inode, change, change.offset, change.length);
  }
  std::erase_if(inode.unsynced, [&](const Change& change) { return change.number < before; });
  inode.durable_size = inode.size;
  inode.unsynced_sizes.clear();
}

void SimDisk::fail_sync(Inode& inode, std::uint64_t before, Random& random) {
  std::vector<Change> kept;
  for (auto& change : inode.unsynced) {
    if (change.number >= before) {
      kept.push_back(std::move(change));
      continue;
    }
    for_each_unit(change.offset, change.length, tear_bytes_, [&](std::uint64_t at, std::uint64_t length) {
      if (one_in(random, 2)) persist(inode, change, at, length);
    });
    inode.lost.push_back(std::move(change));
  }
  inode.unsynced = std::move(kept);
}

bool SimDisk::evict_lost(Inode& inode) {
  if (inode.lost.empty()) return false;
  const auto lost = std::exchange(inode.lost, {});
  if (inode.cache == nullptr) return true;
  const auto bytes = inode.cache->bytes();
  for (const auto& change : lost) {
    const auto end = std::min<std::uint64_t>(change.offset + change.length, bytes.size());
    if (change.offset < end)
      inode.durable.read(change.offset, bytes.subspan(change.offset, end - change.offset));
  }
  for (const auto& change : inode.unsynced) apply(inode, change);
  return true;
}

void SimDisk::leave_in_flight(InodePtr inode, std::uint64_t offset, std::vector<std::byte> bytes,
                              std::uint64_t lands_at_ns) {
  ++inode->writes_in_flight;
  in_flight_.push_back({std::move(inode), offset, std::move(bytes), lands_at_ns});
}

std::optional<std::uint64_t> SimDisk::land_due(std::uint64_t now_ns) {
  std::optional<std::uint64_t> next;
  std::erase_if(in_flight_, [&](const InFlight& write) {
    if (write.lands_at_ns > now_ns) {
      next = std::min(next.value_or(write.lands_at_ns), write.lands_at_ns);
      return false;
    }
    this->write(*write.inode, write.offset, write.bytes);
    --write.inode->writes_in_flight;
    return true;
  });
  return next;
}

void SimDisk::settle(Inode& inode, Random& random) {
  // Each unit went to the medium at some moment: it holds the first k of the changes that touch it, and
  // perhaps a part of the next one.
  std::map<std::uint64_t, std::vector<const Change*>> touching;
  for (const auto& change : inode.unsynced) {
    for_each_unit(change.offset, change.length, tear_bytes_,
                  [&](std::uint64_t at, std::uint64_t) { touching[at / tear_bytes_].push_back(&change); });
  }
  for (const auto& [unit, changes] : touching) {
    const auto part = [&](const Change& change) {
      const std::uint64_t first = std::max(change.offset, unit * tear_bytes_);
      const std::uint64_t end = std::min(change.offset + change.length, (unit + 1) * tear_bytes_);
      return std::pair(first, end - first);
    };
    const std::uint64_t whole = below(random, changes.size() + 1);
    for (std::uint64_t i = 0; i < whole; ++i) {
      const auto [first, length] = part(*changes[i]);
      persist(inode, *changes[i], first, length);
    }
    if (whole < changes.size() && one_in(random, 8)) {
      const auto [first, length] = part(*changes[whole]);
      persist(inode, *changes[whole], first, below(random, length));
    }
  }
  const std::uint64_t kept_sizes = below(random, inode.unsynced_sizes.size() + 1);
  if (kept_sizes > 0) inode.durable_size = inode.unsynced_sizes[kept_sizes - 1];
  inode.size = inode.durable_size;
  inode.unsynced.clear();
  inode.lost.clear();
  inode.unsynced_sizes.clear();
  inode.cache = nullptr;
  inode.locks.clear();
  inode.writes_in_flight = 0;
  inode.blocks.erase(inode.blocks.lower_bound((inode.size + kBlockBytes - 1) / kBlockBytes),
                     inode.blocks.end());
}

void SimDisk::power_cut(Random& random) {
  for (const auto& late : std::exchange(in_flight_, {})) {
    if (one_in(random, 2)) write(*late.inode, late.offset, late.bytes);
  }
  for (auto& [path, directory] : directories_) {
    for (const auto& edit : directory.unsynced) {
      if (one_in(random, 2)) continue;
      if (!edit.from.empty()) directory.durable.erase(edit.from);
      if (!edit.to.empty()) directory.durable[edit.to] = edit.inode;
    }
    directory.unsynced.clear();
    directory.names = directory.durable;
    for (const auto& [name, inode] : directory.names) settle(*inode, random);
  }
}

void SimDisk::sync_everything() {
  for (auto& [path, directory] : directories_) {
    directory.durable = directory.names;
    directory.unsynced.clear();
    for (const auto& [name, inode] : directory.names) sync(*inode, next_change_);
  }
}

std::uint64_t SimDisk::used_bytes() const {
  std::set<const Inode*> kept;
  for (const auto& [inode, count] : opens_) kept.insert(inode.get());
  for (const auto& [path, directory] : directories_) {
    for (const auto& [name, inode] : directory.names) kept.insert(inode.get());
  }
  std::uint64_t blocks = 0;
  for (const Inode* inode : kept) blocks += inode->blocks.size();
  return blocks * kBlockBytes;
}

void SimDisk::note_close(const InodePtr& inode) {
  const auto found = opens_.find(inode);
  if (found != opens_.end() && --found->second == 0) opens_.erase(found);
}

std::uint64_t SimDisk::free_bytes() const {
  const std::uint64_t used = used_bytes();
  return used >= capacity_bytes_ ? 0 : capacity_bytes_ - used;
}

std::map<std::string, InodePtr> SimDisk::files(const std::string& directory) const {
  const auto found = directories_.find(directory);
  return found == directories_.end() ? std::map<std::string, InodePtr>{} : found->second.names;
}

void SimDisk::damage(Inode& inode, std::uint64_t offset, std::span<const std::byte> bytes) {
  inode.durable.write(offset, bytes);
  if (inode.cache != nullptr)
    std::ranges::copy(bytes, inode.cache->bytes().begin() + static_cast<std::ptrdiff_t>(offset));
}

}  // namespace vectolith::testing::sim
