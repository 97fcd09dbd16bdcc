/// @file
/// What can still be learnt from manifest files that do not count: every frame whose sum holds.
#pragma once

#include <cstddef>
#include <set>
#include <span>
#include <vector>

#include <vectolith/format/ids.h>

#include "manifest/manifest_state.h"

namespace vectolith::engine {

/// The remains of a manifest, put together as far as they fit.
struct ManifestHarvest {
  ManifestState state;          ///< Edits that contradict what is left are dropped.
  ManifestVersion newest;       ///< Highest version that a sum proves; 0 if nothing was found.
  std::set<SegmentId> removed;  ///< Segments that an edit removed.
  std::set<FamilyId> dropped;   ///< Families that an edit dropped.
};

/// Collects the frames of all `images` (whole manifest files, in any condition) and applies them in order
/// of their versions. Hostile bytes are bounded: at most 64 sums per byte are computed.
ManifestHarvest harvest_manifests(std::span<const std::vector<std::byte>> images);

}  // namespace vectolith::engine
