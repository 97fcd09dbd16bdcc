/// @file
/// fsck of the files that hold a store's structure: superblock, manifest, and the directory itself.
#pragma once

#include <string>
#include <vector>

#include "verify/fsck_context.h"

namespace vectolith::engine {

/// Checks both copies; learns the store's identity. Errors: kUnsupported.
Result<void> check_superblock(FsckContext& context);
/// Checks both files and takes the state of the newest, if it can be trusted. Errors: kUnsupported.
Result<void> check_manifest(FsckContext& context);
/// Reports names that the manifest does not explain: orphans, foreign files, other store's segments.
void check_directory(FsckContext& context, const std::vector<std::string>& names);

}  // namespace vectolith::engine
