/// @file
/// The bytes of the format's golden files, as this version writes them.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace vectolith::format::samples {

/// What stands in tests/golden/v1/format: one small file for each struct and region kind, by name.
std::map<std::string, std::vector<std::byte>> golden_files();

/// Seeds of the fuzz targets, by path below fuzz/corpus.
std::map<std::string, std::vector<std::byte>> fuzz_seeds();

}  // namespace vectolith::format::samples
