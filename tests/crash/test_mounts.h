/// @file
/// File systems for tests that need real ones: mounted in a namespace of the test's own, gone with its
/// process.
#pragma once

#include <filesystem>
#include <string>

#include <sys/types.h>

namespace vectolith::testing {

/// Moves the process into a mount namespace of its own. Returns why that is impossible here, or "".
std::string enter_private_mounts();

/// Runs a program; returns its exit status, 127 if there is none.
int run_program(const std::string& command_line);

/// A small file system, empty, that is full after some megabytes. Unmounted by the destructor.
class SmallDisk {
 public:
  enum class Kind { kTmpfs16M, kExt4In24M, kXfsIn320M };
  /// Formats and mounts; on failure `missing()` says what this machine lacks.
  SmallDisk(Kind kind, const std::filesystem::path& work);
  ~SmallDisk();
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  [[nodiscard]] const std::string& missing() const noexcept { return missing_; }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  [[nodiscard]] std::uint64_t free_bytes() const;

 private:
  std::filesystem::path path_;
  std::string missing_;
  bool mounted_ = false;
};

/// A mounted fault_fs (tests/crash/fault_fs) and its control channel.
class FaultDisk {
 public:
  /// On failure `missing()` says what this machine lacks.
  explicit FaultDisk(const std::filesystem::path& work);
  ~FaultDisk();
  FaultDisk(const FaultDisk&) = delete;
  FaultDisk& operator=(const FaultDisk&) = delete;

  [[nodiscard]] const std::string& missing() const noexcept { return missing_; }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// Sends a command (fault_fs.h lists them) and returns the answer; a test fails on one that is not "ok...".
  std::string tell(const std::string& command);

 private:
  std::filesystem::path path_;
  std::string missing_;
  pid_t process_ = -1;
  int channel_ = -1;
};

}  // namespace vectolith::testing
