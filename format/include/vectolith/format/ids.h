/// @file
/// Strong integers: the compiler tells a segment from a family and a row from a byte offset.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace vectolith {

/// An integer of representation `Rep` that converts to nothing else by accident.
template <class Tag, class Rep>
struct StrongId {
  using rep = Rep;
  Rep value{};

  constexpr StrongId() noexcept = default;
  constexpr explicit StrongId(Rep v) noexcept : value(v) {}
  friend constexpr auto operator<=>(StrongId, StrongId) noexcept = default;
};

using SegmentId = StrongId<struct SegmentIdTag, std::uint64_t>;  ///< Store-wide, never reused.
using JournalId = StrongId<struct JournalIdTag, std::uint64_t>;  ///< Store-wide, never reused.
using FamilyId = StrongId<struct FamilyIdTag, std::uint32_t>;    ///< Store-wide, never reused; 0 is invalid.
using ScopeId = StrongId<struct ScopeIdTag, std::uint32_t>;      ///< Interned tenant; 0 is the default scope.
using ChunkerId = StrongId<struct ChunkerIdTag, std::uint32_t>;  ///< Interned chunker + version; 0 is none.
using BuildId = StrongId<struct BuildIdTag, std::uint16_t>;      ///< Interned embedder build; 0 is unknown.
/// Row of a vector segment, or 64-byte unit of a record segment.
using RowIndex = StrongId<struct RowIndexTag, std::uint32_t>;
/// Store-wide order of writes, 48 bits on disk, never reused; 0 means "before every write".
using Sequence = StrongId<struct SequenceTag, std::uint64_t>;
/// Number of a manifest frame; grows by one per durable frame over the whole life of a store.
using ManifestVersion = StrongId<struct ManifestVersionTag, std::uint64_t>;

inline constexpr std::uint64_t kSequenceMax = (std::uint64_t{1} << 48) - 1;

/// 128 random bits that name a store, or one life of a file.
struct Uuid {
  std::array<std::byte, 16> bytes{};
  friend constexpr auto operator<=>(const Uuid&, const Uuid&) noexcept = default;
  [[nodiscard]] constexpr bool is_nil() const noexcept { return *this == Uuid{}; }
};

}  // namespace vectolith

template <class Tag, class Rep>
struct std::hash<vectolith::StrongId<Tag, Rep>> {
  std::size_t operator()(vectolith::StrongId<Tag, Rep> id) const noexcept {
    return std::hash<Rep>{}(id.value);
  }
};
