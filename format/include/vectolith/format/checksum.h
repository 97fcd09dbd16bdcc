/// @file
/// XXH3 sums seeded by identity: the only header through which the tree reaches xxHash.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <vectolith/format/ids.h>
#include <vectolith/format/key.h>

namespace vectolith::format {

/// XXH3-64 with seed 0.
std::uint64_t checksum64(std::span<const std::byte> bytes) noexcept;
/// XXH3-64 with `seed`.
std::uint64_t checksum64(std::span<const std::byte> bytes, std::uint64_t seed) noexcept;
/// XXH3-128 with seed 0, canonical (big-endian) byte order.
Uuid checksum128(std::span<const std::byte> bytes) noexcept;

/// Seed of everything that belongs to one life of a file at one position: XXH3-64 of the 16 UUID
/// bytes with `position` as its seed. A row in the wrong slot or the wrong file fails its sum.
std::uint64_t position_seed(const Uuid& life, std::uint64_t position) noexcept;

/// XXH3-64 fed piece by piece: one sum over more bytes than are at hand at once.
class StreamingChecksum64 {
 public:
  explicit StreamingChecksum64(std::uint64_t seed = 0);
  ~StreamingChecksum64();
  StreamingChecksum64(StreamingChecksum64&&) noexcept;
  StreamingChecksum64& operator=(StreamingChecksum64&&) noexcept;
  void update(std::span<const std::byte> bytes) noexcept;
  [[nodiscard]] std::uint64_t digest() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Keyed hash for index placement: XXH3-64 with a 192-byte secret drawn at open.
///
/// Not an identity: a hit is decided by comparing whole keys. The secret keeps outsiders from aiming
/// at buckets; a seed alone does not (published pairs collide for 1 in 1,432 seeds).
class KeyHasher {
 public:
  static constexpr std::size_t kSecretBytes = 192;
  explicit KeyHasher(std::span<const std::byte, kSecretBytes> secret) noexcept;
  [[nodiscard]] std::uint64_t operator()(const Key& key) const noexcept;

 private:
  alignas(64) std::array<std::byte, kSecretBytes> secret_;
};

}  // namespace vectolith::format
