/// @file
/// A store loaded with the bench's rows.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>

#include <vectolith/store.h>

#include "support/bench_data.h"

namespace vectolith::bench {

/// Rows of a bulk load's batch: large enough to fill chunks, small against a segment.
inline constexpr std::uint64_t kBatchRows = 512;
inline constexpr std::string_view kFamilyName = "vectors";

/// Opens the store in `path`, and creates it if it is not there. VECTOLITH_IO chooses the backend; `control`:
/// with a control socket.
std::unique_ptr<Store> open_store(const std::filesystem::path& path, bool control = false);
/// The f32 family `name` with `dim` elements.
Family open_family(Store& store, std::uint32_t dim, std::string_view name = kFamilyName);
/// Puts rows [first, first + rows) in batches, buffered.
void load_rows(Family& family, const VectorSource& source, std::uint64_t first, std::uint64_t rows);
/// Builds a store of `rows` rows in `path`, in a child process so that this one's heap stays as it was.
void build_store(const std::filesystem::path& path, const VectorSource& source, std::uint64_t rows);

}  // namespace vectolith::bench
