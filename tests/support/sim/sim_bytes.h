/// @file
/// Bytes of a simulated file: sparse as the medium keeps them, whole as the page cache shows them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <new>
#include <span>

namespace vectolith::testing::sim {

/// Sparse bytes; what was never written reads as zero. Copies share pages until one of them writes.
class SparseBytes {
 public:
  static constexpr std::uint64_t kPageBytes = 4096;

  void read(std::uint64_t offset, std::span<std::byte> out) const;
  void write(std::uint64_t offset, std::span<const std::byte> bytes);
  void zero(std::uint64_t offset, std::uint64_t length);
  /// Calls `visit(offset, bytes)` for every page that was written, in order.
  template <class Visit>
  void for_each_page(const Visit& visit) const {
    for (const auto& [number, page] : pages_) visit(number * kPageBytes, std::span<const std::byte>(*page));
  }

 private:
  using Page = std::array<std::byte, kPageBytes>;
  std::map<std::uint64_t, std::shared_ptr<Page>> pages_;
};

/// Heap memory of exactly a file's size, so that AddressSanitizer sees a read past its end.
class HeapBytes {
 public:
  explicit HeapBytes(std::uint64_t size) : size_(size) {
    if (size > 0 && data_ == nullptr) throw std::bad_alloc();
  }
  [[nodiscard]] std::span<std::byte> bytes() noexcept { return {data_.get(), size_}; }

 private:
  struct Free {
    void operator()(std::byte* data) const noexcept { std::free(data); }
  };
  std::size_t size_;
  std::unique_ptr<std::byte[], Free> data_{static_cast<std::byte*>(std::calloc(size_, 1))};
};

}  // namespace vectolith::testing::sim
