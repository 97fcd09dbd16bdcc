/// @file
/// Kills an importing process half way, and says what it had acknowledged.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "demo/gloss_importer.h"

namespace vectolith::demo {

/// What a killed importer left behind.
struct KilledImport {
  bool killed = false;                      ///< It died of our SIGKILL, not by itself.
  std::vector<std::uint32_t> acknowledged;  ///< Gloss numbers whose puts had returned before it died.
};

/// Imports `glosses` into a store in `path` in a child process, and sends it SIGKILL as soon as half
/// of them are acknowledged. The caller must have no other threads (its stores are closed).
/// Errors: kIo when there is no pipe or no process to be had.
Result<KilledImport> import_and_kill(const std::string& path, GlossEmbedder& embedder,
                                     std::span<const Gloss> glosses);

}  // namespace vectolith::demo
