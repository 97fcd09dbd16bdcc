/// @file
/// The main job from end to end, with a verdict on each promise.
#pragma once

#include <filesystem>

#include <vectolith/format/result.h>

#include "demo/demo_console.h"

namespace vectolith::demo {

/// Where the demo reads and writes.
struct DemoPlaces {
  std::filesystem::path store;    ///< The store; one that an earlier run left is used again.
  std::filesystem::path scratch;  ///< An empty directory for the training text and the store that is killed.
  std::filesystem::path wordnet;  ///< Holds data.noun and its like.
};

/// Runs all steps. A promise that does not hold is a failed check of `console`; an operation that
/// fails ends the run with its error.
Result<void> run_demo(Console& console, const DemoPlaces& places);

}  // namespace vectolith::demo
