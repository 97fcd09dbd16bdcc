/// @file
/// A check of our own mistakes, in debug builds only: the library never ends its host's process in a release.
#pragma once

#include <cassert>

/// Aborts a debug build when `condition` does not hold; a release build goes on and must do no harm then.
#define VECTOLITH_DCHECK(condition) assert(condition)
