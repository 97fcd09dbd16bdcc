/// @file
/// fsck of an open store by its owner: every live row is read from its file and checked.
#pragma once

#include <vectolith/store.h>
#include <vectolith/verify.h>

#include "io/environment.h"

namespace vectolith::engine {

/// Checks the superblock, the headers of vector segments, and every row that lives when its family's
/// turn comes; writers go on meanwhile. Manifest, journals, footers and dead rows change under a
/// writer: only `fsck` of a closed store checks them.
/// Errors: kClosed, kIo of the directory. Damage is in the report, not an error.
/// Cost: reads every live byte once; memory of a few MiB.
Result<FsckReport> fsck_online(Store& store, Directory& directory);

}  // namespace vectolith::engine
