/// @file
/// Field tables of the on-disk structs: one source for dumps, golden tests and the documentation test.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace vectolith::format {

/// One field of an on-disk struct.
struct FieldInfo {
  std::string_view name;   ///< As in docs/format.md.
  std::size_t offset = 0;  ///< Bytes from the start of the struct.
  std::size_t bytes = 0;
  std::string_view type;  ///< "u32", "u64", "u8[16]", "char[8]", ...
};
/// One on-disk struct.
struct StructInfo {
  std::string_view name;
  std::size_t bytes = 0;
  std::span<const FieldInfo> fields;
};
/// Every fixed-size struct of the format.
std::span<const StructInfo> struct_table() noexcept;
/// "field = value" lines for the bytes of a struct; unknown sizes are shown as far as they go.
std::string describe(const StructInfo& info, std::span<const std::byte> bytes);

}  // namespace vectolith::format
