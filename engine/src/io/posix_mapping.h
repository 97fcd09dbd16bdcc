/// @file
/// A read-only shared mapping of a whole file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "io/environment.h"

namespace vectolith::engine {

class PosixMapping final : public Mapping {
 public:
  /// Maps the first `bytes` bytes of the file. An empty file gives an empty mapping.
  /// Advised for random access: the default advice reads some 2.7 MiB of neighbours for each cold vector.
  static Result<std::unique_ptr<Mapping>> make(int fd, std::uint64_t bytes, const std::string& path);

  explicit PosixMapping(std::string path) noexcept : path_(std::move(path)) {}  ///< Empty.
  ~PosixMapping() override;
  PosixMapping(const PosixMapping&) = delete;
  PosixMapping& operator=(const PosixMapping&) = delete;

  void advise(std::uint64_t offset, std::uint64_t length, MapAdvice advice) noexcept override;
  Result<void> populate(std::uint64_t offset, std::uint64_t length) override;

 private:
  Result<void> populate_chunk(std::span<const std::byte> pages);
  /// Finds the first page of a chunk that cannot be loaded, for the error's offset.
  [[nodiscard]] std::uint64_t first_bad_offset(std::span<const std::byte> pages) const noexcept;

  std::string path_;
};

/// Touches one byte of every page of the page-aligned range without a fault that could kill: the kernel
/// copies them into a pipe and reports EFAULT where a load would raise SIGBUS. For kernels before 5.14, which
/// lack MADV_POPULATE_READ. Returns 0 or a positive errno.
int populate_by_copy(std::span<const std::byte> pages) noexcept;

}  // namespace vectolith::engine
