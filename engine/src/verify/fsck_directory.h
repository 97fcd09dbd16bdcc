/// @file
/// fsck of a directory that is open already, as the owner of an open store has it.
#pragma once

#include <memory>

#include <vectolith/verify.h>

#include "io/environment.h"

namespace vectolith::engine {

class ReadPacer;
class ScrubWindow;

/// As `fsck`, beneath `directory`; `options.environment` is not used.
Result<FsckReport> fsck_directory(Directory& directory, const FsckOptions& options);
/// As above, and takes no lock: the caller holds one.
Result<FsckReport> fsck_locked_directory(Directory& directory, const FsckOptions& options);

/// As above, of segments only what lies in `window`, and no faster than `pacer` lets it; null: at any rate.
Result<FsckReport> fsck_window(Directory& directory, const FsckOptions& options, ScrubWindow& window,
                               ReadPacer* pacer);

/// Errors: kNotAStore unless a name in the directory is that of a superblock, segment or journal.
Result<void> expect_store(const Directory& directory);
/// A shared lock on the store: others may read meanwhile, not write. Null if there is no lock file: then
/// nobody has the store open. Errors: kLocked, kIo.
Result<std::unique_ptr<File>> lock_shared(Directory& directory);
/// `given`, or the real operating system if it is null.
Result<std::shared_ptr<Environment>> environment_or_real(std::shared_ptr<Environment> given);

}  // namespace vectolith::engine
