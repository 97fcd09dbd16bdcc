/// @file
/// Writes the format's golden files and fuzz seeds: `make_golden_format GOLDEN_DIRECTORY CORPUS_DIRECTORY`.
///
/// Run it once for a new format version, into a new directory. Files of a released version are never
/// rewritten: they are what keeps old stores readable.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "format/golden_files.h"

namespace {

bool write_files(const std::filesystem::path& directory,
                 const std::map<std::string, std::vector<std::byte>>& files) {
  for (const auto& [name, bytes] : files) {
    const auto path = directory / name;
    std::error_code error;
    std::filesystem::create_directories(path.parent_path(), error);
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    if (!file.flush()) {
      std::fprintf(stderr, "cannot write %s\n", path.c_str());
      return false;
    }
    std::printf("%8zu  %s\n", bytes.size(), path.c_str());
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3 || !std::filesystem::is_directory(argv[1]) || !std::filesystem::is_directory(argv[2])) {
    std::fprintf(stderr, "usage: make_golden_format GOLDEN_DIRECTORY CORPUS_DIRECTORY (both must exist)\n");
    return 2;
  }
  const bool written = write_files(argv[1], vectolith::format::samples::golden_files()) &&
                       write_files(argv[2], vectolith::format::samples::fuzz_seeds());
  return written ? 0 : 1;
}
