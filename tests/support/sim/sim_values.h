/// @file
/// What a key holds in a simulation: a function of family, key and version, so that nothing need be stored.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <vectolith/format/key.h>
#include <vectolith/format/model_spec.h>

namespace vectolith::testing::sim {

/// A legal vector of the spec: finite, not all zero, different for each family, key and version.
std::vector<std::byte> vector_value(const ModelSpec& spec, std::uint64_t family, std::uint64_t key,
                                    std::uint64_t version);
/// A record's payload of 8 to 3,000 bytes; some compress well.
std::vector<std::byte> record_value(std::uint64_t family, std::uint64_t key, std::uint64_t version);

}  // namespace vectolith::testing::sim
