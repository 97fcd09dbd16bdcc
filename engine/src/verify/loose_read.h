/// @file
/// Reading of files that may be damaged, truncated or on a failing disk: what cannot be read is zeros.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "io/environment.h"

namespace vectolith::engine {

/// Fills `bytes` from `offset` with pread, so that a failing disk is no signal.
///
/// A range that fails is read again page by page; pages that fail and bytes behind the end of the file are
/// zeros. Returns how many bytes were not read.
std::uint64_t read_loosely(const File& file, std::uint64_t offset, std::span<std::byte> bytes);

}  // namespace vectolith::engine
