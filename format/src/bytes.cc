/// @file
/// Out-of-line parts of the bounded reader and writer.
#include <vectolith/format/bytes.h>

#include <limits>

#include "dcheck.h"

namespace vectolith::format {

Result<Uuid> Reader::read_uuid() {
  VECTOLITH_TRY_ASSIGN(const auto bytes, take(sizeof(Uuid)));
  Uuid uuid;
  std::ranges::copy(bytes, uuid.bytes.begin());
  return uuid;
}

Result<std::string> Reader::read_string() {
  VECTOLITH_TRY_ASSIGN(const auto length, read<std::uint16_t>());
  VECTOLITH_TRY_ASSIGN(const auto bytes, take(length));
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

Result<void> Reader::expect_end() const {
  if (remaining() == 0) return {};
  return std::unexpected(Error(ErrorCode::kCorruption, "bytes follow the last field")
                             .with_offset(offset_)
                             .with_expected("end of data")
                             .with_found(std::to_string(remaining()) + " more bytes"));
}

Error Reader::truncated(std::size_t wanted) const {
  return Error(ErrorCode::kCorruption, "data ends inside a field")
      .with_offset(offset_)
      .with_expected(std::to_string(wanted) + " bytes")
      .with_found(std::to_string(remaining()) + " bytes");
}

// Out of line: inlined into its callers, g++ 12 reports an overflow that isn't there.
void Writer::write(std::span<const std::byte> bytes) {
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
}

void Writer::write_string(std::string_view text) {
  constexpr std::size_t kLengthMax = std::numeric_limits<std::uint16_t>::max();
  VECTOLITH_DCHECK(text.size() <= kLengthMax);
  // In a release build a broken precondition loses the tail but never the framing of what follows.
  const auto kept = text.substr(0, kLengthMax);
  write(static_cast<std::uint16_t>(kept.size()));
  write(std::as_bytes(std::span(kept)));
}

}  // namespace vectolith::format
