/// @file
/// Mutations of a store's directory: bytes of a file, whole files, edits of a manifest; then sums that hold.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include <vectolith/format/file_name.h>
#include <vectolith/format/manifest.h>

#include "fuzz_support.h"
#include "store_pack.h"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t size_max);

namespace vectolith::fuzz {
namespace {

using Random = std::minstd_rand;
using Entries = std::vector<PackedEntry>;

std::size_t below(Random& random, std::size_t end) { return end == 0 ? 0 : random() % end; }

/// A place in the file that was written: most of a store's files are zeros.
std::size_t written_place(const Bytes& bytes, Random& random) {
  const std::size_t start = below(random, bytes.size());
  for (std::size_t step = 0; step < bytes.size(); step += 8) {
    const std::size_t at = (start + step) % bytes.size();
    if (bytes[at] != std::byte{0}) return at;
  }
  return start;
}

/// A file whose bytes say something; null if there is none.
PackedEntry* some_file(Entries& entries, Random& random) {
  for (unsigned attempt = 0; attempt < 8 && !entries.empty(); ++attempt) {
    auto& entry = entries[below(random, entries.size())];
    if (entry.kind == EntryKind::kFile && !entry.bytes.empty()) return &entry;
  }
  return nullptr;
}

void change_bytes(Entries& entries, Random& random) {
  PackedEntry* entry = some_file(entries, random);
  if (entry == nullptr) return;
  static constexpr std::array<std::size_t, 6> kWindows = {1, 2, 4, 8, 16, 64};
  const std::size_t window = kWindows[below(random, kWindows.size())];
  const std::size_t at = written_place(entry->bytes, random) / window * window;
  const std::size_t bytes = std::min(window, entry->bytes.size() - at);
  auto* data = reinterpret_cast<std::uint8_t*>(entry->bytes.data()) + at;
  const std::size_t left = LLVMFuzzerMutate(data, bytes, bytes);  // It may also make them fewer.
  std::fill(data + left, data + bytes, std::uint8_t{0});
}

void change_size(Entries& entries, Random& random) {
  PackedEntry* entry = some_file(entries, random);
  if (entry == nullptr) return;
  const std::size_t size = entry->bytes.size();
  const std::array<std::size_t, 5> sizes = {0, size / 2, size + 4'096, below(random, size + 1),
                                            below(random, kPackFileBytesMax)};
  entry->bytes.resize(std::min(sizes[below(random, sizes.size())], kPackFileBytesMax));
}

/// Copies or clears aligned units: a row in the wrong slot, a sector that was never written.
void move_units(Entries& entries, Random& random) {
  const PackedEntry* source = some_file(entries, random);
  PackedEntry* target = some_file(entries, random);
  if (source == nullptr || target == nullptr) return;
  const std::size_t unit = random() % 2 == 0 ? 64 : 512;
  const std::size_t from = written_place(source->bytes, random) / unit * unit;
  const std::size_t to = written_place(target->bytes, random) / unit * unit + (random() % 3) * unit;
  if (to >= target->bytes.size()) return;
  const std::size_t bytes = std::min({unit, source->bytes.size() - from, target->bytes.size() - to});
  const Bytes copy(source->bytes.begin() + static_cast<std::ptrdiff_t>(from),
                   source->bytes.begin() + static_cast<std::ptrdiff_t>(from + bytes));
  const bool clear = random() % 3 == 0;
  for (std::size_t i = 0; i < bytes; ++i) target->bytes[to + i] = clear ? std::byte{0} : copy[i];
}

std::string some_name(Random& random) {
  switch (random() % 8) {
    case 0: return std::string(format::kSuperblockName);
    case 1: return std::string(format::kSuperblockTemporaryName);
    case 2: return std::string(format::kLockName);
    case 3: return std::string(format::kControlSocketName);
    case 4: return format::manifest_name(static_cast<int>(random() % 2));
    case 5: return format::segment_name(SegmentId(random() % 5));
    case 6: return format::journal_name(JournalId(random() % 3));
    default: return format::pool_name(random() % 3);
  }
}

/// Removes, renames or doubles an entry, or makes it something else than a file.
void change_entries(Entries& entries, Random& random) {
  if (entries.empty()) return;
  const std::size_t at = below(random, entries.size());
  switch (random() % 4) {
    case 0: entries.erase(entries.begin() + static_cast<std::ptrdiff_t>(at)); break;
    case 1: entries[at].name = some_name(random); break;
    case 2: entries[at].kind = static_cast<EntryKind>(random() % kEntryKinds); break;
    default: {
      auto copy = entries[at];
      copy.name = some_name(random);
      entries.push_back(std::move(copy));
    }
  }
}

/// Every frame of a manifest after its snapshot, decoded.
std::vector<std::vector<format::Edit>> frames_of(const Bytes& file, const format::ManifestHeader& header,
                                                 std::uint64_t begin) {
  std::vector<std::vector<format::Edit>> frames;
  for (std::uint64_t offset = begin; offset < file.size();) {
    const auto frame = format::decode_frame(std::span(file).subspan(offset), header.life, offset);
    if (!frame.has_value()) break;
    frames.push_back(frame->edits);
    offset += frame->frame_bytes;
  }
  return frames;
}

/// Leaves out, doubles, exchanges or joins frames, and numbers them anew.
void change_edits(Entries& entries, Random& random) {
  PackedEntry* entry = some_file(entries, random);
  if (entry == nullptr) return;
  const auto header = format::decode_manifest_header(entry->bytes);
  if (!header.has_value()) return;
  const std::uint64_t begin = format::kManifestHeaderBytes + header->snapshot_bytes;
  if (begin > entry->bytes.size()) return;
  auto frames = frames_of(entry->bytes, *header, begin);
  if (frames.empty()) return;
  const auto at = frames.begin() + static_cast<std::ptrdiff_t>(below(random, frames.size()));
  const auto other = frames.begin() + static_cast<std::ptrdiff_t>(below(random, frames.size()));
  switch (random() % 4) {
    case 0: frames.erase(at); break;
    case 1: std::swap(*at, *other); break;
    case 2: frames.insert(other, *at); break;
    default:
      if (at != other) at->insert(at->end(), other->begin(), other->end());
  }
  std::fill(entry->bytes.begin() + static_cast<std::ptrdiff_t>(begin), entry->bytes.end(), std::byte{0});
  std::uint64_t offset = begin;
  ManifestVersion version = header->snapshot_version;
  for (const auto& frame : frames) {
    ++version.value;
    const auto encoded = format::encode_frame(frame, version, header->life, offset);
    if (encoded.size() > entry->bytes.size() - offset) return;
    std::ranges::copy(encoded, entry->bytes.begin() + static_cast<std::ptrdiff_t>(offset));
    offset += encoded.size();
  }
}

void mutate_once(Entries& entries, Random& random) {
  switch (random() % 16) {
    case 0: return change_size(entries, random);
    case 1: return change_entries(entries, random);
    case 2:
    case 3: return move_units(entries, random);
    case 4:
    case 5:
    case 6: return change_edits(entries, random);
    default: return change_bytes(entries, random);
  }
}

/// The packed entries into `data` if there is room; `size` otherwise.
std::size_t put(const Entries& entries, std::uint8_t* data, std::size_t size, std::size_t size_max) {
  const auto packed = pack(entries);
  if (packed.size() > size_max) return size;
  std::ranges::copy(packed, reinterpret_cast<std::byte*>(data));
  return packed.size();
}

}  // namespace
}  // namespace vectolith::fuzz

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t size_max,
                                               unsigned int seed) {
  using namespace vectolith::fuzz;
  Random random(seed);
  const auto before = unpack(std::as_bytes(std::span(data, size)));
  if (before.empty() || random() % 64 == 0) return LLVMFuzzerMutate(data, size, size_max);
  auto entries = before;
  for (auto times = 1 + random() % 3; times > 0; --times) mutate_once(entries, random);
  if (random() % 8 != 0) repair_entries(entries, before);
  return put(entries, data, size, size_max);
}

/// Takes some files of each store.
extern "C" std::size_t LLVMFuzzerCustomCrossOver(const std::uint8_t* first, std::size_t first_size,
                                                 const std::uint8_t* second, std::size_t second_size,
                                                 std::uint8_t* out, std::size_t out_max, unsigned int seed) {
  using namespace vectolith::fuzz;
  Random random(seed);
  auto entries = unpack(std::as_bytes(std::span(first, first_size)));
  for (auto& entry : unpack(std::as_bytes(std::span(second, second_size)))) {
    if (random() % 3 != 0) continue;
    std::erase_if(entries, [&](const PackedEntry& older) { return older.name == entry.name; });
    if (entries.size() < kPackEntriesMax) entries.push_back(std::move(entry));
  }
  return put(entries, out, 0, out_max);
}
