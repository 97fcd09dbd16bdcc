/// @file
/// Reads and writes the two files of the limits.
#include "compare/stores/raw_rows.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vectolith::bench::compare {
namespace {

constexpr std::size_t kChunkBytes = std::size_t{1} << 20;

int open_file(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  check_errno(fd >= 0, path.string());
  return fd;
}

void write_at(int fd, std::span<const std::byte> bytes, std::uint64_t offset) {
  const auto written = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
  check_errno(written == static_cast<ssize_t>(bytes.size()), "pwrite");
}

}  // namespace

void check_errno(bool ok, std::string_view what) {
  if (!ok) die(what, std::strerror(errno));
}

RawRows::RawRows(const OpenOptions& options)
    : directory_(options.directory),
      vectors_path_(options.directory / "vectors"),
      vector_bytes_(options.vector_bytes()),
      vectors_(open_file(vectors_path_)),
      keys_(open_file(options.directory / "keys")),
      table_(options.rows_max()) {
  fill_table();
  if (options.purpose == Purpose::kLoad && size_ == 0)
    check_errno(::posix_fallocate(vectors_, 0, static_cast<off_t>(options.rows * vector_bytes_)) == 0,
                "fallocate");
  if (options.durability == Durability::kDurable) write_ahead(options.rows_extra);
}

RawRows::~RawRows() {
  ::close(vectors_);
  ::close(keys_);
}

/// The least that an open must do: read every key once.
void RawRows::fill_table() {
  std::vector<Digest> chunk(kChunkBytes / sizeof(Digest));
  ssize_t bytes = 0;
  for (off_t at = 0; (bytes = ::pread(keys_, chunk.data(), kChunkBytes, at)) > 0; at += bytes) {
    for (std::size_t i = 0; i < static_cast<std::size_t>(bytes) / sizeof(Digest); ++i)
      table_.insert(raw_hash(Key{.digest = chunk[i]}), static_cast<std::uint32_t>(size_++));
  }
  check_errno(bytes == 0, "pread");
}

/// Durable puts go into blocks that were written before, as a pool of recycled files offers them.
void RawRows::write_ahead(std::uint64_t rows) {
  const std::vector<std::byte> zeros(kChunkBytes);
  const std::uint64_t end = (size_ + rows) * vector_bytes_;
  for (std::uint64_t at = size_ * vector_bytes_; at < end; at += zeros.size())
    write_at(vectors_, std::span(zeros).first(std::min<std::uint64_t>(zeros.size(), end - at)), at);
  check_errno(::fsync(vectors_) == 0, "fsync");
}

std::uint64_t RawRows::add_keys(std::span<const BatchRow> rows) {
  std::vector<Digest> digests;
  digests.reserve(rows.size());
  const std::lock_guard lock(adding_);
  const std::uint64_t first = size_;
  for (const auto& row : rows) {
    digests.push_back(row.key.digest);
    table_.insert(raw_hash(row.key), static_cast<std::uint32_t>(size_++));
  }
  write_at(keys_, std::as_bytes(std::span(digests)), first * sizeof(Digest));
  return first;
}

void RawRows::put(const Key& key, std::span<const std::byte> vector, Durability durability) {
  std::uint64_t row = 0;
  {
    const std::lock_guard lock(adding_);
    row = find(key);
  }
  if (row == RawTable::kAbsent) {
    const BatchRow added{.key = key, .vector = vector};
    row = add_keys({&added, 1});
  }
  write(row, vector);
  if (durability == Durability::kDurable) check_errno(::fdatasync(vectors_) == 0, "fdatasync");
}

void RawRows::write(std::uint64_t first, std::span<const std::byte> vectors) {
  write_at(vectors_, vectors, first * vector_bytes_);
}

void RawRows::sync() { check_errno(::fdatasync(vectors_) == 0 && ::fdatasync(keys_) == 0, "fdatasync"); }

void RawRows::drop() {
  std::filesystem::remove(vectors_path_);
  std::filesystem::remove(directory_ / "keys");
  const int fd = ::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  check_errno(fd >= 0 && ::fsync(fd) == 0, "fsync of the directory");
  ::close(fd);
}

}  // namespace vectolith::bench::compare
