/// @file
/// Anonymous memory straight from the kernel.
#pragma once

#include <cstddef>
#include <memory>

#include "io/environment.h"

namespace vectolith::engine {

/// The system's page size.
[[nodiscard]] std::size_t page_bytes() noexcept;

/// Ranges of at least this size start on a multiple of it and are offered to the kernel as huge pages.
inline constexpr std::size_t kHugePageBytes = std::size_t{2} << 20;

class AnonymousPages final : public Pages {
 public:
  /// Errors: kNoMemory when memory or address space is exhausted.
  static Result<std::unique_ptr<Pages>> make(std::size_t bytes);

  AnonymousPages() = default;  ///< None.
  ~AnonymousPages() override;
  AnonymousPages(const AnonymousPages&) = delete;
  AnonymousPages& operator=(const AnonymousPages&) = delete;

 private:
  std::size_t mapped_bytes_ = 0;
};

}  // namespace vectolith::engine
