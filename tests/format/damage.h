/// @file
/// Damage in every place: decoders must refuse all truncations and all flipped bits, with the right code.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <gtest/gtest.h>

#include <vectolith/format/result.h>

namespace vectolith::format {

/// The error's code, or ErrorCode{} where there is none: safe to compare either way.
template <class T>
ErrorCode code_of(const Result<T>& result) {
  return result.has_value() ? ErrorCode{} : result.error().code();
}

}  // namespace vectolith::format

namespace vectolith::format::testing {

/// `decode(span)` must fail with `code` for every proper prefix of `bytes`.
template <class Decode>
void expect_every_truncation_fails(std::span<const std::byte> bytes, Decode decode,
                                   ErrorCode code = ErrorCode::kCorruption) {
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    // A buffer of exactly that length: a sanitizer sees every read behind it.
    const std::vector<std::byte> prefix(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length));
    const auto result = decode(std::span<const std::byte>(prefix));
    ASSERT_FALSE(result.has_value()) << "accepted " << length << " of " << bytes.size() << " bytes";
    ASSERT_EQ(result.error().code(), code) << length << ": " << result.error().to_string();
  }
}

/// `decode(span)` must fail with kCorruption whichever single bit of `bytes` is flipped.
template <class Decode>
void expect_every_bit_flip_fails(std::vector<std::byte> bytes, Decode decode) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      bytes[i] ^= static_cast<std::byte>(1U << bit);
      const auto result = decode(std::span<const std::byte>(bytes));
      ASSERT_FALSE(result.has_value()) << "accepted with bit " << bit << " of byte " << i << " flipped";
      ASSERT_EQ(result.error().code(), ErrorCode::kCorruption) << i << ": " << result.error().to_string();
      bytes[i] ^= static_cast<std::byte>(1U << bit);
    }
  }
}

}  // namespace vectolith::format::testing
