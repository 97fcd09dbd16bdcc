/// @file
/// Large reads first, single pages where one fails.
#include "verify/loose_read.h"

#include <algorithm>

namespace vectolith::engine {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{4} << 20;
constexpr std::size_t kPageBytes = 4'096;

}  // namespace

std::uint64_t read_loosely(const File& file, std::uint64_t offset, std::span<std::byte> bytes) {
  std::uint64_t unread = 0;
  while (!bytes.empty()) {
    const auto piece = bytes.first(std::min(bytes.size(), kPieceBytes));
    const auto read = file.read_at(offset, piece);
    if (!read && piece.size() > kPageBytes) {
      for (std::size_t at = 0; at < piece.size(); at += kPageBytes)
        unread += read_loosely(file, offset + at, piece.subspan(at, std::min(kPageBytes, piece.size() - at)));
    } else if (const std::size_t got = read ? *read : 0; got < piece.size()) {
      std::ranges::fill(piece.subspan(got), std::byte{0});
      unread += piece.size() - got;
    }
    offset += piece.size();
    bytes = bytes.subspan(piece.size());
  }
  return unread;
}

}  // namespace vectolith::engine
