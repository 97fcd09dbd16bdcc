/// @file
/// Fixed heads of variable-length regions: shared by their codecs and by the field tables.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <vectolith/format/ids.h>
#include <vectolith/format/manifest.h>
#include <vectolith/format/segment.h>

namespace vectolith::format {

/// First 80 bytes of a footer region; block sums, invalid ranges and interned entries follow.
struct FooterHead {
  std::array<char, 8> magic = kFooterMagic;
  std::uint64_t checksum = 0;  ///< XXH3-64 of bytes [16, footer_bytes), seeded by footer_seed(life).
  Uuid segment_uuid;
  std::uint32_t footer_bytes = 0;  ///< Head and what follows; the rest of the region is unused.
  std::uint32_t row_count = 0;
  Sequence first_sequence;
  Sequence last_sequence;
  std::uint64_t meta_sum = 0;
  std::uint32_t block_count = 0;
  std::uint32_t range_count = 0;
  std::uint32_t interned_count = 0;
  std::uint32_t flags = 0;
};
static_assert(sizeof(FooterHead) == 80);
static_assert(std::has_unique_object_representations_v<FooterHead>);

/// FooterHead::flags: the interned table names every id that rows of the segment use.
inline constexpr std::uint32_t kFooterInternedComplete = 1U << 0;
inline constexpr std::uint32_t kFooterFlagsKnown = 0x1;
/// Position that no row and no unit can have.
inline constexpr std::uint64_t kFooterPosition = ~std::uint64_t{0};

/// First 32 bytes of a manifest frame.
struct FrameHead {
  std::uint64_t checksum = 0;  ///< XXH3-64 of everything after it, padding included.
  ManifestVersion version;
  std::uint32_t payload_bytes = 0;
  std::uint32_t edit_count = 0;
  std::uint64_t reserved = 0;
};
static_assert(sizeof(FrameHead) == 32);
static_assert(std::has_unique_object_representations_v<FrameHead>);

/// First 8 bytes of an edit inside a frame.
struct EditHead {
  std::uint16_t kind = 0;
  std::uint16_t reserved = 0;
  std::uint32_t payload_bytes = 0;
};
static_assert(sizeof(EditHead) == 8);
static_assert(std::has_unique_object_representations_v<EditHead>);

}  // namespace vectolith::format
