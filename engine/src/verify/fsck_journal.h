/// @file
/// fsck of journal files.
#pragma once

#include "manifest/manifest_state.h"
#include "verify/fsck_context.h"

namespace vectolith::engine {

/// Checks header and rows of one journal, and collects the watermarks it attests.
/// `is_newest`: the one that rows were appended to last; after an unclean end its tail may be torn.
void check_journal(FsckContext& context, const JournalEntry& entry, bool is_newest);

}  // namespace vectolith::engine
