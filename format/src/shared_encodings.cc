/// @file
/// Encodings that footers and manifest edits share: invalid row ranges and interned entries.
#include "shared_encodings.h"

#include <limits>
#include <string>
#include <utility>

#include "decode_checks.h"

namespace vectolith::format {

void write_range(Writer& writer, const RowRange& range) {
  writer.write(range.first);
  writer.write(range.last);
}

Result<std::vector<RowRange>> read_ranges(Reader& reader, std::uint32_t count, std::uint32_t row_count) {
  // Before the allocation: the count comes from the file.
  if (count > reader.remaining() / sizeof(RowRange)) {
    return corrupt("more invalid ranges than bytes", reader.offset(), reader.remaining() / sizeof(RowRange),
                   count);
  }
  std::vector<RowRange> ranges;
  ranges.reserve(count);
  std::uint64_t next_first_min = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    RowRange range;
    VECTOLITH_TRY_ASSIGN(range.first, reader.read<std::uint32_t>());
    VECTOLITH_TRY_ASSIGN(range.last, reader.read<std::uint32_t>());
    if (range.first < next_first_min || range.last < range.first || range.last >= row_count) {
      return corrupt("invalid ranges are not ascending, disjoint and below the row count",
                     reader.offset() - sizeof(RowRange),
                     "within [" + std::to_string(next_first_min) + ", " + std::to_string(row_count) + ")",
                     "[" + std::to_string(range.first) + ", " + std::to_string(range.last) + "]");
    }
    next_first_min = std::uint64_t{range.last} + 1;
    ranges.push_back(range);
  }
  return ranges;
}

void write_interned(Writer& writer, const InternedEntry& entry) {
  writer.write(std::to_underlying(entry.table));
  writer.write(entry.id);
  writer.write(entry.version);
  writer.write_string(entry.name);
}

std::size_t interned_bytes(const InternedEntry& entry) noexcept {
  return kInternedBytesMin + entry.name.size();
}

Result<InternedEntry> read_interned(Reader& reader) {
  using Table = InternedEntry::Table;
  const std::size_t start = reader.offset();
  InternedEntry entry;
  VECTOLITH_TRY_ASSIGN(const auto table, reader.read<std::uint16_t>());
  VECTOLITH_TRY_ASSIGN(entry.id, reader.read<std::uint32_t>());
  VECTOLITH_TRY_ASSIGN(entry.version, reader.read<std::uint32_t>());
  VECTOLITH_TRY_ASSIGN(entry.name, reader.read_string());
  entry.table = static_cast<Table>(table);
  if (entry.table != Table::kScope && entry.table != Table::kChunker && entry.table != Table::kBuild) {
    return corrupt("unknown interned table", start, "1 to 3", std::to_string(table));
  }
  if (entry.table == Table::kBuild && entry.id > std::numeric_limits<BuildId::rep>::max()) {
    return corrupt("a build id has 16 bits", start, "at most 65535", std::to_string(entry.id));
  }
  if (entry.table != Table::kChunker && entry.version != 0) {
    return corrupt("only a chunker has a version", start, 0, entry.version);
  }
  return entry;
}

}  // namespace vectolith::format
