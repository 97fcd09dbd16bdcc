/// @file
/// Chooses a sector, damages it, and finds out whose rows it holds.
#include "support/sim/sim_damage.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include <vectolith/format/file_name.h>
#include <vectolith/format/segment.h>

namespace vectolith::testing::sim {
namespace {

constexpr std::uint64_t kSectorBytes = 512;
using Sector = std::array<std::byte, kSectorBytes>;

std::uint64_t number_of(const Key& key) {
  std::uint64_t number = 0;
  std::memcpy(&number, key.digest.bytes.data(), sizeof number);
  return number;
}

/// Keys whose head or vector lies in the sector, and all members of their batches.
std::set<std::uint64_t> keys_in(std::span<const std::byte> file, const format::SegmentHeader& header,
                                std::uint64_t offset) {
  std::set<std::uint64_t> keys;
  const auto meta = [&](std::uint32_t row) {
    format::MetaRow value;
    std::memcpy(&value, file.data() + header.meta_offset + std::uint64_t{row} * 64, sizeof value);
    return value;
  };
  const auto overlaps = [&](std::uint64_t first, std::uint64_t length) {
    return first < offset + kSectorBytes && offset < first + length;
  };
  const auto is_member = [&](std::uint32_t row) {
    return row < header.row_capacity &&
           (meta(row).flags & (format::kRowBatchMember | format::kRowBatchBegin | format::kRowBatchEnd)) != 0;
  };
  for (std::uint32_t row = 0; row < header.row_capacity; ++row) {
    const bool hit = overlaps(header.meta_offset + std::uint64_t{row} * 64, 64) ||
                     overlaps(header.matrix_offset + std::uint64_t{row} * header.row_bytes, header.row_bytes);
    if (!hit) continue;
    keys.insert(number_of(meta(row).key));
    for (std::uint32_t mate = row; is_member(mate); ++mate) keys.insert(number_of(meta(mate).key));
    for (std::uint32_t mate = row; is_member(mate) && mate > 0; --mate)
      keys.insert(number_of(meta(mate - 1).key));
  }
  return keys;
}

/// One past the last row (or unit) that is not all zeros.
std::uint64_t used_rows(std::span<const std::byte> file, const format::SegmentHeader& header) {
  const std::uint64_t heads =
      header.kind == format::SegmentKind::kRecord ? header.matrix_offset : header.meta_offset;
  for (std::uint64_t row = header.row_capacity; row > 0; --row) {
    const auto head = file.subspan(heads + (row - 1) * 64, 64);
    if (std::ranges::any_of(head, [](std::byte b) { return b != std::byte{0}; })) return row;
  }
  return 0;
}

Sector damaged(SimDisk& disk, const std::map<std::string, InodePtr>& files, Inode& inode,
               std::uint64_t offset, Random& random, std::string& what) {
  const auto cached = disk.cached(inode);
  Sector sector;
  std::ranges::copy(cached.subspan(offset, kSectorBytes), sector.begin());
  switch (below(random, 4)) {
    case 0:
      what = "a flipped bit";
      sector[below(random, kSectorBytes)] ^= static_cast<std::byte>(1U << below(random, 8));
      break;
    case 1:
      what = "a zeroed sector";
      sector.fill(std::byte{0});
      break;
    case 2: {
      what = "a sector of another place of the file";
      const std::uint64_t from = below(random, cached.size() / kSectorBytes) * kSectorBytes;
      // Mostly near: there rows of other numbers stand.
      const std::uint64_t near = offset >= kSectorBytes && one_in(random, 2) ? offset - kSectorBytes : from;
      std::ranges::copy(cached.subspan(near, kSectorBytes), sector.begin());
      break;
    }
    default: {
      what = "a sector of another file";
      for (const auto& [name, other] : files) {
        if (other.get() == &inode || !name.ends_with(".vls") || other->size < offset + kSectorBytes) continue;
        std::ranges::copy(disk.cached(*other).subspan(offset, kSectorBytes), sector.begin());
        if (one_in(random, 2)) break;
      }
    }
  }
  return sector;
}

}  // namespace

Excuse damage_something(SimDisk& disk, const std::string& directory, Random& random, bool was_closed) {
  const auto files = disk.files(directory);
  std::vector<std::pair<std::string, InodePtr>> segments;
  for (const auto& entry : files) {
    const auto parsed = format::parse_name(entry.first);
    if (parsed && parsed->kind == format::ParsedName::Kind::kSegment) segments.push_back(entry);
  }
  Excuse excuse;
  if (segments.empty()) return excuse;
  const auto& [name, inode] = segments[below(random, segments.size())];
  const auto cached = disk.cached(*inode);
  const auto header = format::decode_segment_header(cached);
  if (!header) return excuse;
  std::uint64_t offset = below(random, cached.size() / kSectorBytes) * kSectorBytes;
  // Mostly where rows are; the rest of a segment is empty.
  if (!one_in(random, 4)) {
    const std::uint64_t used = used_rows(cached, *header);
    const bool in_matrix = header->kind == format::SegmentKind::kRecord || one_in(random, 4);
    const std::uint64_t used_bytes = used * (in_matrix ? header->row_bytes : 64U);
    offset = (in_matrix ? header->matrix_offset : header->meta_offset) +
             below(random, used_bytes / kSectorBytes + 1) * kSectorBytes;
  }
  if (offset + kSectorBytes > cached.size()) return excuse;
  const Sector before = [&] {
    Sector sector;
    std::ranges::copy(cached.subspan(offset, kSectorBytes), sector.begin());
    return sector;
  }();
  const auto after = damaged(disk, files, *inode, offset, random, excuse.what);
  if (after == before) {
    excuse.what.clear();
    return excuse;
  }
  excuse.what += " in " + name + " at " + std::to_string(offset);
  if (header->kind == format::SegmentKind::kRecord) {
    excuse.all = true;
  } else {
    excuse.keys = keys_in(cached, *header, offset);
  }
  excuse.refusal = offset < format::kSegmentHeaderBytes || offset >= header->footer_offset;
  // What a clean close settled is known to have been acknowledged. A vector is looked at when it is read.
  excuse.must_be_told = was_closed;
  disk.damage(*inode, offset, after);
  return excuse;
}

}  // namespace vectolith::testing::sim
