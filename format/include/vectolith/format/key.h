/// @file
/// The key of a row: content digest, scope, chunker; 40 bytes with one layout in memory and on disk.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include <vectolith/format/ids.h>
#include <vectolith/format/result.h>

namespace vectolith {

/// The 256-bit content digest of what was embedded. The caller's (SHA-256, BLAKE3) or `xxh3`.
struct Digest {
  std::array<std::byte, 32> bytes{};

  /// Hashes `content` with XXH3-128 under two seeds.
  ///
  /// For single-tenant use only: XXH3 does not resist an attacker who chooses the content. Where
  /// strangers' texts share a store, pass a cryptographic digest instead.
  static Digest xxh3(std::span<const std::byte> content) noexcept;
  static Digest xxh3(std::string_view content) noexcept { return xxh3(std::as_bytes(std::span(content))); }
  /// The digest whose first 8 bytes are `number` little-endian and the rest zero.
  static Digest from_number(std::uint64_t number) noexcept;
  /// Errors: kInvalidArgument unless `hex` is 64 hexadecimal digits.
  static Result<Digest> from_hex(std::string_view hex);
  [[nodiscard]] std::string to_hex() const;

  friend auto operator<=>(const Digest&, const Digest&) noexcept = default;
};

/// The full key of a row inside its family. A hit is reported only after all 40 bytes compared equal.
struct Key {
  Digest digest;
  ScopeId scope{};      ///< Tenant or namespace, from `Store::intern_scope`.
  ChunkerId chunker{};  ///< Chunker and its version, from `Store::intern_chunker`.

  friend auto operator<=>(const Key&, const Key&) noexcept = default;
};
static_assert(sizeof(Key) == 40);
static_assert(std::is_trivially_copyable_v<Key> && std::has_unique_object_representations_v<Key>);

}  // namespace vectolith
