/// @file
/// Packing, unpacking and repairing the files of a store.
#include "store_pack.h"

#include <algorithm>
#include <array>
#include <optional>

#include <vectolith/format/file_name.h>

#include "sum_repair.h"

namespace vectolith::fuzz {
namespace {

/// Zeros up to this length are cheaper than another extent.
constexpr std::size_t kGapBytes = 16;
constexpr std::size_t kExtentBytesMax = 65'535;
/// Most of a file is zeros: they are skipped in blocks.
constexpr std::array<std::byte, 256> kZeros{};

/// Takes values from the front of an input until it is used up; then all are zero.
class Taker {
 public:
  explicit Taker(std::span<const std::byte> input) : left_(input) {}
  [[nodiscard]] bool empty() const { return left_.empty(); }
  std::span<const std::byte> bytes(std::size_t wanted) {
    const auto taken = left_.first(std::min(wanted, left_.size()));
    left_ = left_.subspan(taken.size());
    return taken;
  }
  template <class T>
  T number() {
    T value{};
    const auto taken = bytes(sizeof(value));
    std::memcpy(&value, taken.data(), taken.size());
    return value;
  }

 private:
  std::span<const std::byte> left_;
};

template <class T>
void append(Bytes& out, T value) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  out.insert(out.end(), bytes.begin(), bytes.end());
}

bool is_plain(const std::string& name) {
  return !name.empty() && name.size() <= kPackNameBytesMax && name != "." && name != ".." &&
         name.find('/') == std::string::npos && name.find('\0') == std::string::npos;
}

PackedEntry take_entry(Taker& taker) {
  PackedEntry entry;
  const auto name = taker.bytes(taker.number<std::uint8_t>());
  entry.name.assign(reinterpret_cast<const char*>(name.data()), name.size());
  entry.kind = static_cast<EntryKind>(taker.number<std::uint8_t>() % kEntryKinds);
  entry.bytes.resize(std::min<std::size_t>(taker.number<std::uint32_t>(), kPackFileBytesMax));
  for (auto extents = taker.number<std::uint16_t>(); extents > 0 && !taker.empty(); --extents) {
    const std::size_t offset = taker.number<std::uint32_t>();
    const auto bytes = taker.bytes(taker.number<std::uint16_t>());
    if (offset > entry.bytes.size() || bytes.size() > entry.bytes.size() - offset) continue;
    std::ranges::copy(bytes, entry.bytes.begin() + static_cast<std::ptrdiff_t>(offset));
  }
  return entry;
}

struct Extent {
  std::size_t offset = 0;
  std::size_t bytes = 0;
};

std::vector<Extent> extents_of(std::span<const std::byte> bytes) {
  std::vector<Extent> extents;
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    if (bytes.size() - at >= kZeros.size() && std::memcmp(&bytes[at], kZeros.data(), kZeros.size()) == 0) {
      at += kZeros.size() - 1;
      continue;
    }
    if (bytes[at] == std::byte{0}) continue;
    const bool joins = !extents.empty() && at - (extents.back().offset + extents.back().bytes) < kGapBytes &&
                       at - extents.back().offset < kExtentBytesMax;
    if (!joins) extents.push_back({at, 0});
    extents.back().bytes = at + 1 - extents.back().offset;
  }
  return extents;
}

/// Tells which bytes of `now` are other than in `before`.
Wanted changes_since(const Bytes& before, const Bytes& now) {
  return [&before, &now](std::size_t offset, std::size_t bytes) {
    const auto current = std::span(now).subspan(offset, bytes);
    return offset + bytes > before.size() ||
           !std::ranges::equal(current, std::span(before).subspan(offset, bytes));
  };
}

void repair_entry(PackedEntry& entry, const Wanted& wanted) {
  const auto name = format::parse_name(entry.name);
  if (!name.has_value() || entry.kind != EntryKind::kFile) return;
  using Kind = format::ParsedName::Kind;
  switch (name->kind) {
    case Kind::kSuperblock:
    case Kind::kSuperblockTemporary: return repair_superblock(entry.bytes);
    case Kind::kManifest: return repair_manifest(entry.bytes, wanted);
    case Kind::kSegment: return repair_segment(entry.bytes, wanted);
    case Kind::kJournal: return repair_journal(entry.bytes, wanted);
    case Kind::kLock:
    case Kind::kPool:
    case Kind::kControlSocket: return;
  }
}

}  // namespace

std::vector<PackedEntry> unpack(std::span<const std::byte> input) {
  std::vector<PackedEntry> entries;
  for (Taker taker(input); !taker.empty() && entries.size() < kPackEntriesMax;) {
    auto entry = take_entry(taker);
    if (!is_plain(entry.name)) continue;
    std::erase_if(entries, [&](const PackedEntry& older) { return older.name == entry.name; });
    entries.push_back(std::move(entry));
  }
  return entries;
}

Bytes pack(std::span<const PackedEntry> entries) {
  Bytes out;
  for (const auto& entry : entries) {
    append(out, static_cast<std::uint8_t>(entry.name.size()));
    const auto name = std::as_bytes(std::span(entry.name));
    out.insert(out.end(), name.begin(), name.end());
    append(out, entry.kind);
    append(out, static_cast<std::uint32_t>(entry.bytes.size()));
    const auto extents = extents_of(entry.bytes);
    append(out, static_cast<std::uint16_t>(extents.size()));
    for (const auto& extent : extents) {
      append(out, static_cast<std::uint32_t>(extent.offset));
      append(out, static_cast<std::uint16_t>(extent.bytes));
      const auto bytes = std::span(entry.bytes).subspan(extent.offset, extent.bytes);
      out.insert(out.end(), bytes.begin(), bytes.end());
    }
  }
  return out;
}

void repair_entries(std::span<PackedEntry> entries, std::span<const PackedEntry> before) {
  for (auto& entry : entries) {
    const auto older =
        std::ranges::find_if(before, [&](const PackedEntry& other) { return other.name == entry.name; });
    if (older == before.end()) {
      repair_entry(entry, {});
    } else if (older->bytes != entry.bytes) {
      const Bytes now = entry.bytes;
      repair_entry(entry, changes_since(older->bytes, now));
    }
  }
}

}  // namespace vectolith::fuzz
