/// @file
/// The main job from end to end, with a verdict on each promise.
#pragma once

#include <filesystem>

#include <vectolith/format/result.h>

#include "demo/demo_console.h"

namespace vectolith::demo {

/// Runs all steps with stores in `directory` and texts from `wordnet`. A promise that does not hold is
/// a failed check of `console`; an operation that fails ends the run with its error.
Result<void> run_demo(Console& console, const std::filesystem::path& directory,
                      const std::filesystem::path& wordnet);

}  // namespace vectolith::demo
