/// @file
/// Waits a bounded time for the lock on a file that a dead process's write may still hold.
#pragma once

#include <chrono>

#include <vectolith/format/result.h>

#include "io/environment.h"

namespace vectolith::engine {

/// Takes the lock on `file`, trying again until `timeout` has passed. The last try comes after it.
///
/// After kill -9 a write in flight can land seconds after the process was reaped; the lock on the data
/// file itself is what outlives it.
/// Errors: kLocked naming the file when somebody still holds it, kIo, kNoMemory.
Result<void> lock_within(Environment& environment, File& file, LockMode mode,
                         std::chrono::milliseconds timeout);

}  // namespace vectolith::engine
