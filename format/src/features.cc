/// @file
/// The rule for versions and unknown feature bits.
#include <vectolith/format/features.h>

#include <string>

#include "hexadecimal.h"

namespace vectolith::format {

Result<Access> check_features(std::uint16_t major, const Features& features, std::string_view what) {
  if (major != kVersionMajor) {
    return std::unexpected(
        Error(ErrorCode::kUnsupported, std::string(what) + " has another major format version")
            .with_expected(std::to_string(kVersionMajor))
            .with_found(std::to_string(major)));
  }
  if (const auto unknown = features.incompat & ~kKnownFeatures.incompat; unknown != 0) {
    return std::unexpected(Error(ErrorCode::kUnsupported,
                                 std::string(what) + " uses incompatible features this version does not know")
                               .with_expected("bits within 0x" + hex16(kKnownFeatures.incompat))
                               .with_found("unknown bits 0x" + hex16(unknown)));
  }
  const bool read_only = (features.ro_compat & ~kKnownFeatures.ro_compat) != 0;
  return read_only ? Access::kReadOnly : Access::kReadWrite;
}

}  // namespace vectolith::format
