/// @file
/// The order of block writes, flushes and acknowledgements, for a replayer: tests/crash/block_states.py.
#pragma once

#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <type_traits>

namespace vectolith::crash {

/// One entry; `length` bytes follow it. Little-endian, 24 bytes.
struct WriteLogEntry {
  std::uint64_t kind = 0;  ///< 1 write, 2 flush, 3 append to the stream `offset`.
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};
static_assert(sizeof(WriteLogEntry) == 24);
static_assert(std::has_unique_object_representations_v<WriteLogEntry>);

/// Appends to a file. Threads: externally synchronised.
class WriteLog {
 public:
  ~WriteLog() { close(); }
  /// Starts anew. Returns false if the file cannot be made.
  bool open(const std::string& path) {
    close();
    file_ = std::fopen(path.c_str(), "wb");
    return file_ != nullptr;
  }
  void write(std::uint64_t offset, std::span<const std::byte> bytes) { append(1, offset, bytes); }
  void flush() { append(2, 0, {}); }
  void mark(std::uint8_t stream, std::span<const std::byte> bytes) { append(3, stream, bytes); }
  void close() {
    if (file_ != nullptr) (void)std::fclose(file_);
    file_ = nullptr;
  }

 private:
  void append(std::uint64_t kind, std::uint64_t offset, std::span<const std::byte> bytes) {
    if (file_ == nullptr) return;
    const WriteLogEntry entry{.kind = kind, .offset = offset, .length = bytes.size()};
    (void)std::fwrite(&entry, sizeof(entry), 1, file_);
    if (!bytes.empty()) (void)std::fwrite(bytes.data(), 1, bytes.size(), file_);
  }
  std::FILE* file_ = nullptr;
};

}  // namespace vectolith::crash
