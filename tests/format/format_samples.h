/// @file
/// Fixed, legal values of every struct of the format: tests damage them, golden files hold them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include <vectolith/format/journal.h>
#include <vectolith/format/manifest.h>
#include <vectolith/format/record.h>
#include <vectolith/format/segment.h>
#include <vectolith/format/superblock.h>

namespace vectolith::format::samples {

/// 16 bytes counting up from `first`.
Uuid uuid(std::uint8_t first);
/// The spec of a small model of `dtype`; dim 32, so that b1 packs into whole bytes.
ModelSpec spec(Dtype dtype = Dtype::kF32);
Key key(std::uint64_t number);

Superblock superblock();
/// A 64 KiB vector segment of spec(dtype).
SegmentHeader vector_header(Dtype dtype = Dtype::kF32);
/// A 64 KiB record segment.
SegmentHeader record_header();
/// A meta row with every field set, summed for `row` of vector_header()'s life.
MetaRow meta_row(std::uint32_t row, const Uuid& life);
/// The bytes of the vector in row `row` of vector_header().
std::vector<std::byte> vector(std::uint32_t row);
/// A footer of vector_header() with two invalid ranges and three interned entries.
SegmentFooter footer();
JournalHeader journal_header();
/// One of each edit, all fields set, in the order of their kinds.
std::vector<Edit> edits();
ManifestHeader manifest_header();

/// What records are made of; the text compresses well.
RecordFields record_fields();
std::vector<std::byte> text(std::size_t bytes);
std::vector<std::byte> record(std::span<const std::byte> payload, bool compress, const Uuid& life,
                              RowIndex unit);

}  // namespace vectolith::format::samples
