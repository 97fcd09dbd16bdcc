/// @file
/// Bounded little-endian reader and writer over byte spans: no read or write leaves its span.
#pragma once

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <vectolith/format/ids.h>
#include <vectolith/format/result.h>

namespace vectolith::format {

static_assert(std::endian::native == std::endian::little, "on-disk structs are copied as they are");

/// Reads values from the front of a span. Errors: kCorruption with the offset where bytes ran out.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) noexcept : bytes_(bytes) {}

  template <std::integral T>
  Result<T> read() {
    if (remaining() < sizeof(T)) return std::unexpected(truncated(sizeof(T)));
    T value;
    std::memcpy(&value, bytes_.data() + offset_, sizeof(T));
    offset_ += sizeof(T);
    return value;
  }
  Result<std::span<const std::byte>> take(std::size_t bytes) {
    if (remaining() < bytes) return std::unexpected(truncated(bytes));
    const auto taken = bytes_.subspan(offset_, bytes);
    offset_ += bytes;
    return taken;
  }
  Result<Uuid> read_uuid();
  /// A u16 length, then that many bytes.
  Result<std::string> read_string();
  /// Errors: kCorruption unless every byte was read.
  Result<void> expect_end() const;

  [[nodiscard]] std::size_t offset() const noexcept { return offset_; }
  [[nodiscard]] std::size_t remaining() const noexcept { return bytes_.size() - offset_; }

 private:
  [[nodiscard]] Error truncated(std::size_t wanted) const;

  std::span<const std::byte> bytes_;
  std::size_t offset_ = 0;
};

/// Appends values to a growing buffer.
class Writer {
 public:
  template <std::integral T>
  void write(T value) {
    write(std::as_bytes(std::span(&value, 1)));
  }
  void write(std::span<const std::byte> bytes);
  void write(const Uuid& uuid) { write(std::span<const std::byte>(uuid.bytes)); }
  /// A u16 length, then the bytes. Precondition: text.size() < 65,536.
  void write_string(std::string_view text);

  [[nodiscard]] std::size_t size() const noexcept { return bytes_.size(); }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::vector<std::byte> take() && { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

constexpr std::uint64_t align_up(std::uint64_t value, std::uint64_t alignment) noexcept {
  return (value + alignment - 1) / alignment * alignment;
}

}  // namespace vectolith::format
