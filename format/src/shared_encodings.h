/// @file
/// Encodings that footers and manifest edits share: invalid row ranges and interned entries.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <vectolith/format/bytes.h>
#include <vectolith/format/result.h>
#include <vectolith/format/segment.h>

namespace vectolith::format {

void write_range(Writer& writer, const RowRange& range);
/// Errors: kCorruption unless `count` ranges are there, ascending, disjoint and below `row_count`.
Result<std::vector<RowRange>> read_ranges(Reader& reader, std::uint32_t count, std::uint32_t row_count);

/// u16 table, u32 id, u32 version, u16 length, name.
void write_interned(Writer& writer, const InternedEntry& entry);
/// Bytes of the entry's encoding.
std::size_t interned_bytes(const InternedEntry& entry) noexcept;
/// Errors: kCorruption for an unknown table, an id its column can't hold, a version where none belongs.
Result<InternedEntry> read_interned(Reader& reader);
/// Bytes of an entry with an empty name: bounds how many entries a region can hold.
inline constexpr std::size_t kInternedBytesMin = 12;

}  // namespace vectolith::format
