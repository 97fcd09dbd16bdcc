/// @file
/// The part of File that is the same for every kind of file.
#include <string>

#include "io/environment.h"

namespace vectolith::engine {

Result<void> File::read_exact(std::uint64_t offset, std::span<std::byte> bytes) const {
  VECTOLITH_TRY_ASSIGN(const std::size_t read, read_at(offset, bytes));
  if (read == bytes.size()) return {};
  return std::unexpected(Error(ErrorCode::kCorruption, "the file ends too early")
                             .with_file(path_)
                             .with_offset(offset)
                             .with_expected(std::to_string(bytes.size()) + " bytes")
                             .with_found(std::to_string(read) + " bytes"));
}

}  // namespace vectolith::engine
