/// @file
/// The bytes of one file on a disk that forgets: every 512-byte sector that no sync has covered may be lost.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <span>
#include <unordered_map>
#include <vector>

namespace vectolith::crash {

inline constexpr std::size_t kSectorBytes = 512;

/// How one loss of power treats what was not synced.
struct CutShape {
  double keep = 0.5;       ///< Probability that an unsynced unit, size or directory change survives.
  std::size_t unit = 512;  ///< Bytes that survive or are lost together: 512 or 4,096.
};

/// A sparse file in memory that remembers for each unsynced sector what it held before.
///
/// A sector that was written several times since the last sync may come back in any of its versions; the size
/// too. Threads: externally synchronised.
class SectorFile {
 public:
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  [[nodiscard]] std::uint64_t allocated_bytes() const noexcept { return pages_.size() * kPageBytes; }
  [[nodiscard]] std::size_t unsynced_sectors() const noexcept { return unsynced_.size(); }

  /// Reads up to out.size() bytes; fewer only at the end of the file.
  std::size_t read(std::uint64_t offset, std::span<std::byte> out) const;
  void write(std::uint64_t offset, std::span<const std::byte> bytes);
  /// Bytes of the range read as zeros from now on; the size stays.
  void zero(std::uint64_t offset, std::uint64_t length);
  void resize(std::uint64_t size);
  /// From now on a loss of power keeps what the file holds.
  void sync();
  /// As a sync that failed on Linux: readers go on seeing the new bytes, no later sync will save them, and a
  /// loss of power takes them back unless they are written again.
  void fail_sync();
  /// Keeps or loses each unsynced thing; what is left counts as synced.
  void cut_power(std::mt19937_64& random, const CutShape& shape);
  /// Keeps no history: for a file whose writes are recorded elsewhere.
  void forget_history() noexcept { history_ = false; }

 private:
  static constexpr std::size_t kPageBytes = 4096;
  static constexpr std::size_t kVersionsMax = 6;
  using Sector = std::array<std::byte, kSectorBytes>;
  using Page = std::array<std::byte, kPageBytes>;

  void remember(std::uint64_t first_sector, std::uint64_t sectors_end);
  [[nodiscard]] Sector sector(std::uint64_t number) const;
  void set_sector(std::uint64_t number, const Sector& bytes);
  void fill(std::uint64_t offset, std::uint64_t length, const std::byte* bytes);

  std::unordered_map<std::uint64_t, std::unique_ptr<Page>> pages_;  ///< A page that is absent reads as zeros.
  std::map<std::uint64_t, std::vector<Sector>> unsynced_;           ///< Older versions; the first is synced.
  std::map<std::uint64_t, Sector> doomed_;  ///< Sectors of failed syncs, with what the medium holds.
  std::uint64_t size_ = 0;
  std::vector<std::uint64_t> older_sizes_;  ///< As above.
  bool history_ = true;
};

}  // namespace vectolith::crash
