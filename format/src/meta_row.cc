/// @file
/// Sums and classification of the 64-byte meta rows.
#include <vectolith/format/segment.h>

#include "decode_checks.h"

namespace vectolith::format {
namespace {

bool is_row_of(const MetaRow& meta, const Uuid& life, RowIndex row) noexcept {
  return meta.row_sum == row_sum(life, row, meta) && (meta.flags & ~kRowFlagsKnown) == 0 &&
         meta.sequence().value != 0;
}

}  // namespace

std::uint32_t vector_sum(const Uuid& life, RowIndex row, std::span<const std::byte> vector) noexcept {
  return static_cast<std::uint32_t>(checksum64(vector, position_seed(life, row.value)));
}

std::uint32_t row_sum(const Uuid& life, RowIndex row, const MetaRow& meta) noexcept {
  const auto summed = bytes_of(meta).first<offsetof(MetaRow, row_sum)>();
  return static_cast<std::uint32_t>(checksum64(summed, position_seed(life, row.value)));
}

RowState classify_row(const MetaRow& meta, const Uuid& life, const Uuid& previous, RowIndex row) noexcept {
  if (is_row_of(meta, life, row)) return RowState::kValid;
  if (all_zero(bytes_of(meta))) return RowState::kZero;
  if (!previous.is_nil() && is_row_of(meta, previous, row)) return RowState::kStale;
  return RowState::kInvalid;
}

}  // namespace vectolith::format
