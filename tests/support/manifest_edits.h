/// @file
/// Random manifest edits that a given state accepts.
#pragma once

#include <cstdint>
#include <random>

#include <vectolith/format/manifest.h>

#include "manifest/manifest_state.h"

namespace vectolith::testing {

/// A UUID that depends on `number` only.
Uuid test_uuid(std::uint64_t number);
/// An edit of more than 4,000 bytes: about sixty fill a manifest of 256 KiB.
format::Edit fat_edit(std::uint32_t number);
/// One edit of a random kind that `state.apply` accepts. Families and segments come and go, so that a
/// long run keeps a bounded state.
format::Edit random_edit(const engine::ManifestState& state, std::mt19937_64& random);

}  // namespace vectolith::testing
