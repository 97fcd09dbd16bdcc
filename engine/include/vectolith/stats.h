/// @file
/// Counters and sizes of a store, as plain structs.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <vectolith/format/ids.h>
#include <vectolith/format/segment.h>

namespace vectolith {

/// Why a vector was rejected at put; the index into `StoreStats::rejected`.
enum class RejectReason : std::uint8_t { kLength, kNotFinite, kAllZero, kNotUnitNorm, kValidator, kCount };
std::string_view to_string(RejectReason reason) noexcept;

/// Sizes of one family.
struct FamilyStats {
  FamilyId id;
  std::string name;
  format::SegmentKind kind{};
  std::uint64_t live_rows = 0;
  std::uint64_t dead_rows = 0;  ///< Superseded, erased or damaged rows still on disk.
  std::uint64_t segments = 0;
  /// Vector bytes of live rows; in a record family all bytes of its records, headers and dead ones included.
  std::uint64_t payload_bytes = 0;
  std::uint64_t allocated_bytes = 0;  ///< Blocks the file system holds for its segments.
  std::uint64_t index_bytes = 0;      ///< Anonymous memory of the index.
};

/// Counters since open, and sizes now. All bytes and counts; times in nanoseconds.
struct StoreStats {
  std::string io_backend;   ///< "uring" or "sync".
  std::string io_fallback;  ///< Why auto fell back; empty if it did not.
  bool read_only = false;
  bool is_partial =
      false;  ///< Memory was refused: texts, `families`, `disk_bytes` and `pool_bytes` are empty.
  std::uint64_t next_sequence = 0;
  std::uint64_t manifest_version = 0;

  std::uint64_t puts = 0, puts_existing = 0, replaces = 0, erases = 0;
  std::uint64_t gets = 0;  ///< Only those counted without cost to the path: copies, pins, multi_get.
  std::uint64_t hits = 0, misses = 0;
  std::array<std::uint64_t, static_cast<std::size_t>(RejectReason::kCount)> rejected{};
  std::uint64_t commits = 0, commit_rows = 0;
  std::uint64_t corruptions = 0;  ///< Rows found damaged on the read path since open.
  std::uint64_t rows_lost = 0;
  std::uint64_t segments_poisoned = 0;

  std::uint64_t vector_bytes_written = 0;  ///< Payload handed to write calls.
  std::uint64_t bytes_written = 0;  ///< Everything handed to write calls (data, journal, manifest, zeroing).
  std::uint64_t bytes_read = 0;
  std::uint64_t writes = 0, reads = 0, data_syncs = 0, data_sync_ns = 0;
  std::uint64_t short_transfers = 0, io_retries = 0, io_fallbacks = 0;

  std::uint64_t pinned_bytes = 0;       ///< Of segments, locked in memory.
  std::uint64_t read_buffer_bytes = 0;  ///< Anonymous memory for reads past the page cache.

  std::uint64_t disk_bytes = 0;  ///< Allocated bytes of all files, pool excluded.
  std::uint64_t pool_bytes = 0;
  std::uint64_t open_ns = 0;
  std::uint64_t recovered_rows = 0;  ///< Rows of unsealed segments found at an unclean open.
  std::uint64_t damaged_rows = 0;    ///< Acknowledged rows found damaged at open.

  std::vector<FamilyStats> families;
};

}  // namespace vectolith
