/// @file
/// Pieces of a scrub of a directory that is open already.
#pragma once

#include <vectolith/verify.h>

#include "io/environment.h"

namespace vectolith::engine {

/// As `scrub`, beneath `directory`; `options.environment` is not used.
Result<ScrubReport> scrub_directory(Environment& environment, Directory& directory,
                                    const ScrubOptions& options);
/// Adds what the next piece found. A finding that both hold, as those of the structure, counts once.
void append(FsckReport& whole, FsckReport&& piece);

}  // namespace vectolith::engine
