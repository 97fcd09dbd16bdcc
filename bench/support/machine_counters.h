/// @file
/// What the kernel says about this process, the device beneath a directory, and a directory's blocks.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <vector>

namespace vectolith::bench {

/// Anonymous resident memory of this process.
std::uint64_t rss_anon_bytes();
/// Page faults of this process that had to wait for a device.
std::uint64_t major_faults();

/// Bytes a device has transferred since boot, by anybody.
struct DeviceBytes {
  std::uint64_t read = 0;
  std::uint64_t written = 0;
};
/// Of the device that holds `path`; nullopt where it cannot be known (overlayfs, tmpfs, …).
std::optional<DeviceBytes> device_bytes(const std::filesystem::path& path);

/// Blocks the file system holds for the files of a store.
struct StoreBlocks {
  std::uint64_t store_bytes = 0;  ///< Everything but the pool.
  std::uint64_t pool_bytes = 0;
};
StoreBlocks store_blocks(const std::filesystem::path& directory);

/// Writes back and drops every file of `directory` from the page cache (mapped pages stay).
void drop_cached_files(const std::filesystem::path& directory);

/// Runs `work` in a forked child and returns the numbers it returned; the caller must have no threads.
/// What `work` did to the heap is gone, what it did to files stays.
std::vector<double> in_child(const std::function<std::vector<double>()>& work);
/// Runs `work` in a forked child that then kills itself with SIGKILL: no destructor, no close.
void in_killed_child(const std::function<void()>& work);

}  // namespace vectolith::bench
