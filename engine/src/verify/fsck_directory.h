/// @file
/// fsck of a directory that is open already, as the owner of an open store has it.
#pragma once

#include <vectolith/verify.h>

#include "io/environment.h"

namespace vectolith::engine {

/// As `fsck`, beneath `directory`; `options.environment` is not used.
Result<FsckReport> fsck_directory(Directory& directory, const FsckOptions& options);

}  // namespace vectolith::engine
