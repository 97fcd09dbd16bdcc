/// @file
/// File names, built and parsed.
#include <vectolith/format/file_name.h>

#include <array>
#include <utility>

#include "hexadecimal.h"

namespace vectolith::format {
namespace {

using Kind = ParsedName::Kind;

constexpr std::string_view kManifestPrefix = "MANIFEST-";
constexpr std::string_view kSegmentSuffix = ".vls";
constexpr std::string_view kJournalSuffix = ".vlj";
constexpr std::string_view kPoolSuffix = ".pool";
constexpr std::size_t kNumberDigits = 16;

constexpr std::array<std::pair<std::string_view, ParsedName>, 6> kFixedNames = {{
    {kSuperblockName, {Kind::kSuperblock, 0}},
    {kSuperblockTemporaryName, {Kind::kSuperblockTemporary, 0}},
    {kLockName, {Kind::kLock, 0}},
    {kControlSocketName, {Kind::kControlSocket, 0}},
    {"MANIFEST-0", {Kind::kManifest, 0}},
    {"MANIFEST-1", {Kind::kManifest, 1}},
}};
constexpr std::array<std::pair<std::string_view, Kind>, 3> kSuffixes = {{
    {kSegmentSuffix, Kind::kSegment},
    {kJournalSuffix, Kind::kJournal},
    {kPoolSuffix, Kind::kPool},
}};

/// Lower case only: a number has exactly one name.
std::optional<std::uint64_t> parse_number(std::string_view digits) noexcept {
  std::uint64_t number = 0;
  for (const char c : digits) {
    const int value = hex_digit_value(c);
    if (value < 0 || (c >= 'A' && c <= 'F')) return std::nullopt;
    number = number << 4 | static_cast<std::uint64_t>(value);
  }
  return number;
}

}  // namespace

std::string manifest_name(int index) { return std::string(kManifestPrefix) + std::to_string(index); }

std::string segment_name(SegmentId id) { return hex16(id.value).append(kSegmentSuffix); }

std::string journal_name(JournalId id) { return hex16(id.value).append(kJournalSuffix); }

std::string pool_name(std::uint64_t number) { return hex16(number).append(kPoolSuffix); }

std::optional<ParsedName> parse_name(std::string_view name) noexcept {
  for (const auto& [fixed, parsed] : kFixedNames) {
    if (name == fixed) return parsed;
  }
  if (name.size() < kNumberDigits) return std::nullopt;
  for (const auto& [suffix, kind] : kSuffixes) {
    if (name.substr(kNumberDigits) != suffix) continue;
    const auto number = parse_number(name.substr(0, kNumberDigits));
    if (!number.has_value()) return std::nullopt;
    return ParsedName{kind, *number};
  }
  return std::nullopt;
}

}  // namespace vectolith::format
