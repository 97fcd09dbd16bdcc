/// @file
/// Names of the files in a store's directory, both ways.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <vectolith/format/ids.h>

namespace vectolith::format {

inline constexpr std::string_view kSuperblockName = "STORE";
/// The superblock until it is whole and durable, and gets its name.
inline constexpr std::string_view kSuperblockTemporaryName = "STORE.tmp";
inline constexpr std::string_view kLockName = "LOCK";
inline constexpr std::string_view kControlSocketName = "CONTROL";
/// A file that recovery set aside, because a write of a dead process may still land in it.
inline constexpr std::string_view kOrphanPrefix = "orphan-";
/// A file that a repair set aside, or a copy of what it replaced.
inline constexpr std::string_view kQuarantinePrefix = "quarantine-";

/// "MANIFEST-0" or "MANIFEST-1".
std::string manifest_name(int index);
/// "0000000000000001.vls", 16 hexadecimal digits.
std::string segment_name(SegmentId id);
/// "0000000000000001.vlj".
std::string journal_name(JournalId id);
/// "0000000000000001.pool": a preallocated file without a life.
std::string pool_name(std::uint64_t number);

/// What a name in a store's directory stands for.
struct ParsedName {
  enum class Kind : std::uint8_t {
    kSuperblock,
    kLock,
    kManifest,
    kSegment,
    kJournal,
    kPool,
    kControlSocket,
    kSuperblockTemporary,
  };
  Kind kind{};
  std::uint64_t number = 0;  ///< Segment or journal id, pool number, manifest index.
};
/// nullopt for a foreign name, and for one of a file that was set aside.
std::optional<ParsedName> parse_name(std::string_view name) noexcept;
/// Whether the name is that of a file that recovery or a repair set aside: no part of the store any more.
constexpr bool is_set_aside(std::string_view name) noexcept {
  return name.starts_with(kOrphanPrefix) || name.starts_with(kQuarantinePrefix);
}

}  // namespace vectolith::format
