/// @file
/// A tiny store with every kind of file and phase, and helpers to look for findings in it.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include <vectolith/verify.h>

#include "support/store_builder.h"

namespace vectolith::testing {

inline constexpr std::uint32_t kVectorRows = 40;
inline constexpr format::RowRange kInvalidRows{5, 6};

/// A vector segment with rows [0, kVectorRows) from sequence `from` that use scope 1, chunker 1, build 1.
inline SegmentImage vectors(StoreBuilder& builder, FamilyId family, std::uint64_t from,
                            std::uint32_t rows = kVectorRows) {
  SegmentImage segment = builder.make_segment(family);
  for (std::uint32_t row = 0; row < rows; ++row) {
    segment.put_row(row, {.sequence = Sequence(from + row),
                          .scope = ScopeId(1),
                          .chunker = ChunkerId(1),
                          .build = BuildId(1)});
  }
  return segment;
}

/// A record segment with five records, one of them compressed. `units` receives their end.
inline SegmentImage records(StoreBuilder& builder, FamilyId family, std::uint64_t from,
                            std::uint32_t& units) {
  SegmentImage segment = builder.make_segment(family);
  units = 0;
  for (const std::string& payload : {std::string("one"), std::string(100, 'b') + "mixed 0123456789",
                                     std::string(5'000, 'z'), std::string(), std::string(48, 'x')}) {
    units = segment.put_record(units, payload, {.sequence = Sequence(from++), .scope = ScopeId(1)});
  }
  return segment;
}

/// The families, interned ids and reservation that all tiny stores share.
struct Basics {
  FamilyId vectors, records;
};
inline Basics add_basics(StoreBuilder& builder) {
  using Table = format::InternedEntry::Table;
  builder.edit(format::ReserveSequences{Sequence(10'000)});
  builder.edit(format::DefineInterned{{Table::kScope, 1, 0, "tenant"}});
  builder.edit(format::DefineInterned{{Table::kChunker, 1, 3, "words"}});
  builder.edit(format::DefineInterned{{Table::kBuild, 1, 0, "embedder"}});
  return {builder.add_family("v", format::SegmentKind::kVector),
          builder.add_family("r", format::SegmentKind::kRecord)};
}

inline std::vector<format::InternedEntry> interned(bool vectors) {
  using Table = format::InternedEntry::Table;
  std::vector<format::InternedEntry> entries = {{Table::kScope, 1, 0, "tenant"}};
  if (vectors) {
    entries.push_back({Table::kChunker, 1, 3, "words"});
    entries.push_back({Table::kBuild, 1, 0, "embedder"});
  }
  return entries;
}

inline std::vector<format::JournalRow> journal_rows() {
  using format::JournalRow;
  return {JournalRow::erase({.digest = Digest::from_number(1), .scope = {}, .chunker = {}}, FamilyId(1),
                            Sequence(500), ManifestVersion(2)),
          JournalRow::watermark(SegmentId(1), 10, Sequence(501), ManifestVersion(2)),
          JournalRow::erase({.digest = Digest::from_number(2), .scope = {}, .chunker = {}}, FamilyId(2),
                            Sequence(502), ManifestVersion(3))};
}

/// The finding whose text contains `what`, or null.
inline const Finding* find(const FsckReport& report, std::string_view what) {
  const auto found = std::ranges::find_if(
      report.findings, [&](const Finding& f) { return f.what.find(what) != std::string::npos; });
  return found == report.findings.end() ? nullptr : &*found;
}

/// All findings, a line each, for failure messages.
inline std::string to_text(const FsckReport& report) {
  std::string text = std::to_string(report.findings.size()) + " findings\n";
  for (const Finding& f : report.findings) {
    text += std::to_string(static_cast<int>(f.severity)) + " " + f.file + ":" + std::to_string(f.offset) +
            " " + f.what + " (expected " + f.expected + ", found " + f.found + ")\n";
  }
  return text;
}

}  // namespace vectolith::testing
