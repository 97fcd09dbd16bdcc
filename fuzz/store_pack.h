/// @file
/// A store's directory as one small input: names, sizes and the bytes that are not zero.
///
/// A pack is a sequence of entries: u8 name length, name, u8 kind, u32 file size, u16 extents; for each
/// extent u32 offset, u16 length, bytes. A reader takes what makes sense and stops where the input ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "fuzz_support.h"

namespace vectolith::fuzz {

enum class EntryKind : std::uint8_t { kFile = 0, kDirectory = 1, kFifo = 2, kSymlink = 3 };
inline constexpr unsigned kEntryKinds = 4;

struct PackedEntry {
  std::string name;  ///< One plain component.
  EntryKind kind = EntryKind::kFile;
  Bytes bytes;  ///< Of a kFile: all of them, zeros included.
};

inline constexpr std::size_t kPackEntriesMax = 16;
inline constexpr std::size_t kPackFileBytesMax = std::size_t{1} << 20;
inline constexpr std::size_t kPackNameBytesMax = 40;

/// Never fails: sizes are cut to the limits above, odd names are left out, later entries of a name win.
std::vector<PackedEntry> unpack(std::span<const std::byte> input);
Bytes pack(std::span<const PackedEntry> entries);

/// Makes the sums of every file hold that its name stands for. `before`, if given, is the state before a
/// mutation: only what changed since is repaired, so that rows that were meant to be damaged stay so.
void repair_entries(std::span<PackedEntry> entries, std::span<const PackedEntry> before = {});

}  // namespace vectolith::fuzz
