/// @file
/// What the kernel says about this process, the device beneath a directory, and a directory's blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include <unistd.h>

namespace vectolith::bench {

/// Anonymous resident memory of a process.
std::uint64_t rss_anon_bytes(pid_t process = ::getpid());
/// Page faults of this process that had to wait for a device.
std::uint64_t major_faults();

/// Bytes a device has transferred since boot, by anybody.
struct DeviceBytes {
  std::uint64_t read = 0;
  std::uint64_t written = 0;
};
/// Of the device that holds `path`; nullopt where it cannot be known (overlayfs, tmpfs, …).
std::optional<DeviceBytes> device_bytes(const std::filesystem::path& path);

/// Bytes a process (with the children it has waited for) made the file systems move.
struct ProcessIoBytes {
  std::int64_t read = 0;
  /// Counted when a page gets dirty, less what was dropped before it was written, even if others had dirtied
  /// it.
  std::int64_t written = 0;
};
ProcessIoBytes process_io_bytes(pid_t process = ::getpid());

/// Share of the pages of `ranges` that are in memory, 0 to 1; ranges lie in mappings.
double resident_share(std::span<const std::span<const std::byte>> ranges);

/// Blocks the file system holds for every file below `directory`, which may not exist.
std::uint64_t allocated_bytes(const std::filesystem::path& directory);

/// Blocks the file system holds for the files of a store.
struct StoreBlocks {
  std::uint64_t store_bytes = 0;  ///< Everything but the pool.
  std::uint64_t pool_bytes = 0;
};
StoreBlocks store_blocks(const std::filesystem::path& directory);

/// Writes back and drops every file below `directory` from the page cache (mapped pages stay).
void drop_cached_files(const std::filesystem::path& directory);
/// Writes back and drops the page cache, names and inodes of the whole machine. False if that is not allowed.
bool drop_system_caches();

/// Runs `work` in a forked child and returns the numbers it returned; the caller must have no threads.
/// What `work` did to the heap is gone, what it did to files stays.
std::vector<double> in_child(const std::function<std::vector<double>()>& work);
/// Runs `work` in a forked child that then kills itself with SIGKILL: no destructor, no close.
void in_killed_child(const std::function<void()>& work);

}  // namespace vectolith::bench
