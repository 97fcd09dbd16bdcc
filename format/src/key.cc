/// @file
/// Digests: hashing contents, hexadecimal both ways.
#include <vectolith/format/key.h>

#include <algorithm>
#include <cstring>

#include "hexadecimal.h"
#include "xxh3_seeded.h"

namespace vectolith {
namespace {

/// Second seed of Digest::xxh3. Persistent: digests made with it stand in stores.
constexpr std::uint64_t kDigestSecondSeed = 0x9E37'79B1'85EB'CA87;

}  // namespace

Digest Digest::xxh3(std::span<const std::byte> content) noexcept {
  const Uuid first = format::checksum128(content, 0);
  const Uuid second = format::checksum128(content, kDigestSecondSeed);
  Digest digest;
  std::ranges::copy(second.bytes, std::ranges::copy(first.bytes, digest.bytes.begin()).out);
  return digest;
}

Digest Digest::from_number(std::uint64_t number) noexcept {
  Digest digest;
  std::memcpy(digest.bytes.data(), &number, sizeof(number));
  return digest;
}

Result<Digest> Digest::from_hex(std::string_view hex) {
  Digest digest;
  if (hex.size() != 2 * digest.bytes.size()) {
    return std::unexpected(Error(ErrorCode::kInvalidArgument, "a digest is 64 hexadecimal digits")
                               .with_expected("64 characters")
                               .with_found(std::to_string(hex.size())));
  }
  for (std::size_t i = 0; i < digest.bytes.size(); ++i) {
    const int high = format::hex_digit_value(hex[2 * i]);
    const int low = format::hex_digit_value(hex[2 * i + 1]);
    if (high < 0 || low < 0) {
      return std::unexpected(Error(ErrorCode::kInvalidArgument, "a digest is 64 hexadecimal digits")
                                 .with_offset(2 * i)
                                 .with_expected("0-9, a-f or A-F"));
    }
    digest.bytes[i] = static_cast<std::byte>(high * 16 + low);
  }
  return digest;
}

std::string Digest::to_hex() const { return format::hex_of(bytes); }

}  // namespace vectolith
