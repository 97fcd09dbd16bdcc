/// @file
/// Format version and the three classes of feature bits, with the rule for unknown ones.
#pragma once

#include <cstdint>
#include <string_view>

#include <vectolith/format/result.h>

namespace vectolith::format {

inline constexpr std::uint16_t kVersionMajor = 1;
inline constexpr std::uint16_t kVersionMinor = 0;

/// Feature bits as they stand in the superblock and in every segment and journal header.
struct Features {
  std::uint32_t compat = 0;     ///< Unknown bits: ignore.
  std::uint32_t ro_compat = 0;  ///< Unknown bits: the store may be opened read-only.
  std::uint32_t incompat = 0;   ///< Unknown bits: refuse to open.
};
inline constexpr Features kKnownFeatures{};

/// What a reader of this version may do with a file.
enum class Access : std::uint8_t { kReadWrite, kReadOnly };

/// Errors: kUnsupported naming version or bits when the major version is newer or an incompatible
/// feature is unknown. A newer minor version alone is readable and writable.
Result<Access> check_features(std::uint16_t major, const Features& features, std::string_view what);

}  // namespace vectolith::format
