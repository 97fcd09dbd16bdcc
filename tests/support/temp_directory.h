/// @file
/// A directory that a test may fill and that goes when the test ends, and the environment to open it with.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "io/environment.h"

namespace vectolith::testing {

/// A fresh empty directory under TMPDIR (or /tmp), removed with all it holds by the destructor.
class TempDirectory {
 public:
  TempDirectory();
  /// Under `base`.
  explicit TempDirectory(const std::string& base);
  ~TempDirectory();
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

/// The base for a TempDirectory where syncs cost nothing, if there is such a place.
std::string memory_base();

/// The real operating system behind the backend that VECTOLITH_IO names ("uring", "sync"; unset: auto).
/// Where the kernel refuses io_uring, "uring" falls back to "sync" and says so on standard output.
std::shared_ptr<engine::Environment> test_environment();

/// Whole files, for tests that look at bytes. They abort the process on an error.
std::vector<std::byte> read_file(const std::string& path);
void write_file(const std::string& path, const std::vector<std::byte>& bytes);
/// Copies the regular files of `from` into the existing directory `to`.
void copy_files(const std::string& from, const std::string& to);

}  // namespace vectolith::testing
