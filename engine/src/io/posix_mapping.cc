/// @file
/// A read-only shared mapping of a whole file.
#include "io/posix_mapping.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "io/pages.h"
#include "io/system_error.h"
#include "io/unique_fd.h"

#if !defined(MADV_POPULATE_READ)
#define MADV_POPULATE_READ 22
#endif

namespace vectolith::engine {
namespace {

/// Small enough that a bad page is found quickly, large enough for the kernel's large folios.
constexpr std::size_t kPopulateChunkBytes = std::size_t{4} << 20;

int madvise_through_signals(const std::byte* base, std::size_t bytes, int advice) noexcept {
  for (unsigned retries = 0;; ++retries) {
    // madvise takes a pointer to non-const, yet none of the advices used here writes.
    if (::madvise(const_cast<std::byte*>(base), bytes, advice) == 0) return 0;
    const int error = errno;
    if (!is_transient(error) || retries == kTransientRetriesMax) return error;
    pause_before_retry(error == EINTR ? 0 : retries);
  }
}

int populate_pages(std::span<const std::byte> pages) noexcept {
  const int error = madvise_through_signals(pages.data(), pages.size(), MADV_POPULATE_READ);
  // The range is always valid, so EINVAL means a kernel that does not know the advice.
  return error == EINVAL ? populate_by_copy(pages) : error;
}

int native_advice(MapAdvice advice) noexcept {
  switch (advice) {
    case MapAdvice::kSequential: return MADV_SEQUENTIAL;
    case MapAdvice::kWillNeed: return MADV_WILLNEED;
    case MapAdvice::kDontNeed: return MADV_DONTNEED;
    case MapAdvice::kRandom: break;
  }
  return MADV_RANDOM;
}

/// The whole pages around a range that lies inside `bytes`.
std::span<const std::byte> whole_pages(std::span<const std::byte> bytes, std::uint64_t offset,
                                       std::uint64_t length) noexcept {
  const auto first = static_cast<std::size_t>(offset / page_bytes() * page_bytes());
  return bytes.subspan(first, static_cast<std::size_t>(offset - first + length));
}

}  // namespace

Result<std::unique_ptr<Mapping>> PosixMapping::make(int fd, std::uint64_t bytes, const std::string& path) {
  auto mapping = std::make_unique<PosixMapping>(path);
  if (bytes == 0) return mapping;
  void* base = ::mmap(nullptr, static_cast<std::size_t>(bytes), PROT_READ, MAP_SHARED, fd, 0);
  if (base == MAP_FAILED) return fail_errno(errno, "mmap", path);
  mapping->bytes_ = {static_cast<const std::byte*>(base), static_cast<std::size_t>(bytes)};
  mapping->advise(0, bytes, MapAdvice::kRandom);
  return mapping;
}

PosixMapping::~PosixMapping() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

void PosixMapping::advise(std::uint64_t offset, std::uint64_t length, MapAdvice advice) noexcept {
  if (offset >= bytes_.size()) return;
  const auto pages = whole_pages(bytes_, offset, std::min(length, bytes_.size() - offset));
  if (pages.empty()) return;
  static_cast<void>(madvise_through_signals(pages.data(), pages.size(), native_advice(advice)));
}

Result<void> PosixMapping::check_range(std::string_view action, std::uint64_t offset,
                                       std::uint64_t length) const {
  if (offset <= bytes_.size() && length <= bytes_.size() - offset) return {};
  return std::unexpected(Error(ErrorCode::kInvalidArgument, std::string(action) + " beyond the mapping")
                             .with_file(path_)
                             .with_offset(offset)
                             .with_expected("at most " + std::to_string(bytes_.size()) + " bytes")
                             .with_found("length " + std::to_string(length)));
}

Result<void> PosixMapping::lock(std::uint64_t offset, std::uint64_t length) {
  VECTOLITH_TRY(check_range("lock", offset, length));
  const auto pages = whole_pages(bytes_, offset, length);
  // All of it will be read, so it may as well be read and mapped by 2 MiB, where the kernel can.
  if (!pages.empty()) static_cast<void>(madvise_through_signals(pages.data(), pages.size(), MADV_HUGEPAGE));
  // Not mlock, which the sanitizers replace by nothing.
  if (pages.empty() || ::mlock2(pages.data(), pages.size(), 0) == 0) return {};
  const int error = errno;
  if (error == ENOMEM || error == EPERM || error == EAGAIN) {
    rlimit limit{};
    ::getrlimit(RLIMIT_MEMLOCK, &limit);
    return std::unexpected(
        Error(ErrorCode::kLimit, "the process may not lock so much memory (RLIMIT_MEMLOCK, ulimit -l)")
            .with_errno(error)
            .with_file(path_)
            .with_expected("at most " + std::to_string(limit.rlim_cur) + " bytes in all")
            .with_found(std::to_string(pages.size()) + " more"));
  }
  return fail_errno(error, "mlock", path_, offset);
}

void PosixMapping::unlock(std::uint64_t offset, std::uint64_t length) noexcept {
  if (offset >= bytes_.size()) return;
  const auto pages = whole_pages(bytes_, offset, std::min(length, bytes_.size() - offset));
  if (pages.empty()) return;
  ::munlock(pages.data(), pages.size());
  // What is taken back now comes back as it is needed, not by 2 MiB.
  static_cast<void>(madvise_through_signals(pages.data(), pages.size(), MADV_NOHUGEPAGE));
}

Result<void> PosixMapping::populate(std::uint64_t offset, std::uint64_t length) {
  VECTOLITH_TRY(check_range("populate", offset, length));
  auto rest = whole_pages(bytes_, offset, length);
  // Populating loads a mapping under kRandom page by page, so the pages are asked for first: those of one row
  // in one read, those of a column while the chunk before them is mapped.
  auto to_ask = rest.size() > page_bytes() ? rest : rest.first(0);
  while (!rest.empty()) {
    const auto chunk = rest.first(std::min(rest.size(), kPopulateChunkBytes));
    while (!to_ask.empty() && to_ask.data() <= chunk.data() + chunk.size()) {
      const auto asked = to_ask.first(std::min(to_ask.size(), kPopulateChunkBytes));
      static_cast<void>(madvise_through_signals(asked.data(), asked.size(), MADV_WILLNEED));
      to_ask = to_ask.subspan(asked.size());
    }
    VECTOLITH_TRY(populate_chunk(chunk));
    rest = rest.subspan(chunk.size());
  }
  return {};
}

Result<void> PosixMapping::populate_chunk(std::span<const std::byte> pages) {
  const int error = populate_pages(pages);
  if (error == 0) return {};
  // The kernel says EFAULT for a page that cannot be loaded, which a person would take for a bad pointer.
  const bool unreadable = error == EFAULT || error == EHWPOISON;
  return fail_errno(unreadable ? EIO : error, "loading pages of the mapping", path_, first_bad_offset(pages));
}

std::uint64_t PosixMapping::first_bad_offset(std::span<const std::byte> pages) const noexcept {
  auto rest = pages;
  while (rest.size() > page_bytes() && populate_pages(rest.first(page_bytes())) == 0) {
    rest = rest.subspan(page_bytes());
  }
  return static_cast<std::uint64_t>(rest.data() - bytes_.data());
}

ReadAhead::ReadAhead() noexcept : self_(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0U))) {}

void ReadAhead::start(std::span<const std::span<const std::byte>> ranges) const noexcept {
  constexpr std::size_t kRangesPerCall = 128;
  std::array<iovec, kRangesPerCall> pages;
  while (!ranges.empty()) {
    const auto group = ranges.first(std::min(ranges.size(), kRangesPerCall));
    ranges = ranges.subspan(group.size());
    for (std::size_t i = 0; i < group.size(); ++i) {
      const std::size_t before = reinterpret_cast<std::uintptr_t>(group[i].data()) % page_bytes();
      // The kernel takes pointers to non-const, and writes nothing.
      auto* const first = const_cast<std::byte*>(group[i].data() - before);
      pages[i] = {.iov_base = first, .iov_len = before + group[i].size()};
    }
    if (self_.valid() &&
        ::syscall(SYS_process_madvise, self_.get(), pages.data(), group.size(), MADV_WILLNEED, 0U) >= 0)
      continue;
    for (std::size_t i = 0; i < group.size(); ++i)
      static_cast<void>(::madvise(pages[i].iov_base, pages[i].iov_len, MADV_WILLNEED));
  }
}

int populate_by_copy(std::span<const std::byte> pages) noexcept {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return errno;
  const UniqueFd out(ends[0]);
  const UniqueFd in(ends[1]);
  constexpr std::size_t kPagesPerCall = 256;
  std::array<iovec, kPagesPerCall> probes{};
  std::array<std::byte, kPagesPerCall> copied{};
  while (!pages.empty()) {
    std::size_t count = 0;
    for (; count < kPagesPerCall && count * page_bytes() < pages.size(); ++count) {
      probes[count] = {.iov_base = const_cast<std::byte*>(&pages[count * page_bytes()]), .iov_len = 1};
    }
    const ssize_t written = ::writev(in.get(), probes.data(), static_cast<int>(count));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    // Empty the pipe again, or it would fill up. It holds exactly what was written.
    if (::read(out.get(), copied.data(), static_cast<std::size_t>(written)) != written) return EIO;
    pages = pages.subspan(std::min(pages.size(), static_cast<std::size_t>(written) * page_bytes()));
  }
  return 0;
}

}  // namespace vectolith::engine
