/// @file
/// Builds the raw table and its file.
#include "support/raw_table.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/bench_setup.h"

namespace vectolith::bench {
namespace {

constexpr std::size_t kChunkBytes = std::size_t{1} << 20;
constexpr std::size_t kGroup = 16;

}  // namespace

HugeMemory::HugeMemory(std::size_t bytes)
    : data_(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)),
      bytes_(bytes) {
  if (data_ == MAP_FAILED) die("mmap of the raw table", std::strerror(errno));
  ::madvise(data_, bytes_, MADV_HUGEPAGE);
}

HugeMemory::~HugeMemory() { ::munmap(data_, bytes_); }

RawTable::RawTable(std::uint64_t rows)
    : mask_(std::bit_ceil(rows * 2) - 1),
      memory_((mask_ + 1) * sizeof(Slot)),
      slots_(static_cast<Slot*>(memory_.data())) {
  std::uninitialized_fill_n(slots_, mask_ + 1, Slot{0, kAbsent});
}

void RawTable::insert(std::uint64_t hash, std::uint32_t row) noexcept {
  std::uint64_t at = hash & mask_;
  while (slots_[at].row != kAbsent) at = (at + 1) & mask_;
  slots_[at] = {hash, row};
}

std::uint64_t raw_hash(const Key& key) noexcept {
  std::uint64_t hash;
  std::memcpy(&hash, key.digest.bytes.data(), sizeof hash);
  return hash;
}

std::size_t copy_grouped(const RawTable& table, const std::byte* base, std::span<const Key> keys,
                         std::span<std::byte> matrix) noexcept {
  const std::size_t bytes = matrix.size() / keys.size();
  std::size_t hits = 0;
  for (const auto& key : keys) table.prefetch(raw_hash(key));
  std::array<const std::byte*, kGroup> found{};
  for (std::size_t first = 0; first < keys.size(); first += kGroup) {
    const std::size_t count = std::min(kGroup, keys.size() - first);
    for (std::size_t i = 0; i < count; ++i) {
      const auto row = table.find(raw_hash(keys[first + i]));
      found[i] = row == RawTable::kAbsent ? nullptr : base + row * bytes;
      if (found[i] != nullptr) __builtin_prefetch(found[i]);
    }
    for (std::size_t i = 0; i < count; ++i) {
      if (found[i] == nullptr) continue;
      std::memcpy(matrix.data() + (first + i) * bytes, found[i], bytes);
      ++hits;
    }
  }
  return hits;
}

RawFile::RawFile(const std::filesystem::path& path, std::uint64_t rows, const VectorSource& source)
    : rows_(rows),
      vector_bytes_(source.vector_bytes()),
      fd_(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) {
  if (fd_ < 0) die(path.string(), std::strerror(errno));
  const std::size_t chunk_rows = std::max<std::size_t>(1, kChunkBytes / vector_bytes_);
  std::vector<std::byte> chunk(chunk_rows * vector_bytes_);
  for (std::uint64_t row = 0; row < rows_; row += chunk_rows) {
    const auto count = std::min<std::uint64_t>(chunk_rows, rows_ - row);
    for (std::uint64_t i = 0; i < count; ++i) {
      source.fill(row + i, std::span(chunk).subspan(i * vector_bytes_, vector_bytes_));
    }
    const auto wanted = static_cast<ssize_t>(count * vector_bytes_);
    if (::pwrite(fd_, chunk.data(), count * vector_bytes_, static_cast<off_t>(row * vector_bytes_)) !=
        wanted) {
      die(path.string(), "short write");
    }
  }
  if (::fdatasync(fd_) != 0) die(path.string(), std::strerror(errno));
  map();
}

void RawFile::map() {
  void* base = ::mmap(nullptr, bytes(), PROT_READ, MAP_SHARED, fd_, 0);
  if (base == MAP_FAILED) die("mmap of the raw file", std::strerror(errno));
  base_ = static_cast<const std::byte*>(base);
}

RawFile::~RawFile() {
  ::munmap(const_cast<std::byte*>(base_), bytes());
  ::close(fd_);
}

void RawFile::make_cold() noexcept {
  ::munmap(const_cast<std::byte*>(base_), bytes());
  ::posix_fadvise(fd_, 0, 0, POSIX_FADV_DONTNEED);
  map();
  ::madvise(const_cast<std::byte*>(base_), bytes(), MADV_RANDOM);
}

RawStore::RawStore(const std::filesystem::path& path, std::uint64_t rows, const VectorSource& source)
    : file_(path, rows, source), table_(rows) {
  for (std::uint64_t row = 0; row < rows; ++row)
    table_.insert(raw_hash(key_of(row)), static_cast<std::uint32_t>(row));
}

}  // namespace vectolith::bench
