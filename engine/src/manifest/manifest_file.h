/// @file
/// Reads one manifest file: header, snapshot, edit frames, and what its bytes prove about lost ones.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <vectolith/format/manifest.h>
#include <vectolith/format/result.h>

#include "io/environment.h"
#include "manifest/manifest_state.h"

namespace vectolith::engine {

/// Larger manifest files are refused: their snapshot would name more than half a million segments.
inline constexpr std::uint64_t kManifestFileBytesMax = std::uint64_t{256} << 20;

/// What one of the two manifest files says.
struct ManifestFile {
  enum class Condition : std::uint8_t {
    kValid,    ///< Header and snapshot hold, and every frame up to `end` was applied.
    kUnused,   ///< The header is all zero: created, and no snapshot went here yet.
    kInvalid,  ///< See `error`. Normal after a crash inside a switch, if the other file is newer.
  };
  Condition condition = Condition::kUnused;
  std::optional<Error> error;        ///< Why it is invalid.
  Uuid life;                         ///< kValid: seeds the frames.
  std::uint64_t file_bytes = 0;      ///< kValid: room for frames ends here.
  ManifestState state;               ///< kValid.
  ManifestVersion snapshot_version;  ///< kValid.
  ManifestVersion version;           ///< kValid: number of the last frame.
  std::uint64_t end = 0;             ///< kValid: offset behind the last frame.
  /// A version that was durable in this file, by its sums. If it is newer than the valid file's, that
  /// one is not the newest state and must not be served.
  ManifestVersion witness;
  std::uint64_t witness_offset = 0;
};

/// Reads the frames in `bytes`, a whole manifest file called `name`. Hostile bytes are bounded in
/// memory and time: no allocation beyond what a valid sum covers, and no more than 64 sums per byte.
ManifestFile read_manifest_file(std::span<const std::byte> bytes, std::string_view name,
                                const Uuid& store_uuid);

/// Reads both files and tells which one counts.
struct ManifestPair {
  std::array<ManifestFile, 2> files;
  /// Index of the file with the highest version.
  /// Errors: kCorruption naming fsck when neither file is valid, or when an invalid one proves that it
  /// held a newer version than the valid one; kUnsupported when a newer software wrote one.
  [[nodiscard]] Result<int> choose() const;
};

/// Reads a whole manifest file. Errors: kIo; kCorruption above kManifestFileBytesMax.
Result<std::vector<std::byte>> load_manifest_bytes(const File& file);

/// The error `error`, extended by the advice to run fsck.
Error advise_fsck(const Error& error);

}  // namespace vectolith::engine
