/// @file
/// Where index tables get their memory: the seam that keeps this folder free of system calls.
#pragma once

#include <cstddef>
#include <memory>
#include <new>

namespace vectolith::engine {

/// Hands out zeroed memory for tables.
/// Threads: any, for both members. Lifetime: outlives every EpochDomain that an index retires into.
class PageSource {
 public:
  virtual ~PageSource() = default;
  /// Zeroed memory, aligned to at least 64 bytes, or nullptr when memory is refused.
  virtual void* allocate(std::size_t bytes) noexcept = 0;
  /// Takes back what `allocate(bytes)` returned.
  virtual void release(void* memory, std::size_t bytes) noexcept = 0;
};

/// A piece of memory from a PageSource, given back when its last owner goes.
class PageBlock {
 public:
  /// Null when memory is refused.
  [[nodiscard]] static std::shared_ptr<PageBlock> allocate(PageSource& source, std::size_t bytes) noexcept {
    try {
      std::shared_ptr<PageBlock> block(new PageBlock(source, bytes));
      block->memory_ = source.allocate(bytes);
      return block->memory_ != nullptr ? block : nullptr;
    } catch (const std::bad_alloc&) {
      return nullptr;
    }
  }
  PageBlock(const PageBlock&) = delete;
  PageBlock& operator=(const PageBlock&) = delete;
  ~PageBlock() {
    if (memory_ != nullptr) source_->release(memory_, bytes_);
  }

  [[nodiscard]] std::byte* data() const noexcept { return static_cast<std::byte*>(memory_); }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

 private:
  PageBlock(PageSource& source, std::size_t bytes) noexcept : source_(&source), bytes_(bytes) {}

  PageSource* source_;
  void* memory_ = nullptr;
  std::size_t bytes_;
};

}  // namespace vectolith::engine
