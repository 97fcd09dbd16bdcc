/// @file
/// Anonymous memory straight from the kernel.
#include "io/pages.h"

#include <cerrno>
#include <cstdint>

#include <sys/mman.h>
#include <unistd.h>

namespace vectolith::engine {
namespace {

constexpr std::size_t round_up(std::size_t value, std::size_t unit) {
  return (value + unit - 1) / unit * unit;
}

std::unexpected<Error> out_of_memory(int system_errno) noexcept {
  return std::unexpected(Error(ErrorCode::kNoMemory, "no memory for pages").with_errno(system_errno));
}

/// Cuts [base, base + mapped) down to `bytes` that start on a huge page boundary.
std::byte* trim_to_huge_page(std::byte* base, std::size_t mapped, std::size_t bytes) {
  const auto address = reinterpret_cast<std::uintptr_t>(base);
  const std::size_t head = round_up(address, kHugePageBytes) - address;
  if (head > 0) ::munmap(base, head);
  const std::size_t tail = mapped - head - bytes;
  if (tail > 0) ::munmap(base + head + bytes, tail);
  return base + head;
}

}  // namespace

std::size_t page_bytes() noexcept {
  static const auto kBytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return kBytes;
}

Result<std::unique_ptr<Pages>> AnonymousPages::make(std::size_t bytes) {
  auto pages = std::make_unique<AnonymousPages>();
  if (bytes == 0) return pages;
  if (bytes > PTRDIFF_MAX - kHugePageBytes - page_bytes()) return out_of_memory(ENOMEM);
  const std::size_t mapped = round_up(bytes, page_bytes());
  const bool huge = bytes >= kHugePageBytes;
  const std::size_t wanted = huge ? mapped + kHugePageBytes : mapped;
  void* found = ::mmap(nullptr, wanted, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (found == MAP_FAILED) return out_of_memory(errno);
  auto* base = static_cast<std::byte*>(found);
  if (huge) {
    base = trim_to_huge_page(base, wanted, mapped);
    // Only advice: where transparent huge pages are off, small ones serve as well.
    static_cast<void>(::madvise(base, mapped, MADV_HUGEPAGE));
  }
  pages->bytes_ = {base, bytes};
  pages->mapped_bytes_ = mapped;
  return pages;
}

AnonymousPages::~AnonymousPages() {
  if (mapped_bytes_ > 0) ::munmap(bytes_.data(), mapped_bytes_);
}

}  // namespace vectolith::engine
