/// @file
/// Any bytes as a journal: header, then rows.
#include <vectolith/format/journal.h>

#include "fuzz_support.h"
#include "sum_repair.h"

namespace vectolith::fuzz {
namespace {

void check_row(const format::JournalRow& row, const Uuid& journal, std::uint32_t index) {
  if (format::classify_journal_row(row, journal, index) != format::JournalRowState::kValid) return;
  const bool is_erase = row.kind() == format::JournalKind::kErase;
  VECTOLITH_FUZZ_CHECK(is_erase || row.kind() == format::JournalKind::kWatermark);
  VECTOLITH_FUZZ_CHECK(is_erase == (row.family.value != 0));
  if (is_erase) return;
  auto again = format::JournalRow::watermark(row.watermark_segment(), row.watermark_rows(), row.sequence(),
                                             ManifestVersion(row.manifest_version));
  format::seal_journal_row(again, journal, index);
  VECTOLITH_FUZZ_CHECK(std::memcmp(&again, &row, sizeof(row)) == 0);
}

void check(std::span<const std::byte> bytes) {
  const auto header = format::decode_journal_header(bytes);
  if (!header.has_value()) return;
  VECTOLITH_FUZZ_CHECK(is_prefix(format::encode_journal_header(*header), bytes));
  const auto rows = bytes.subspan(format::kJournalHeaderBytes);
  for (std::uint32_t i = 0; i < header->row_capacity && std::size_t{i + 1} * 64 <= rows.size(); ++i) {
    check_row(load<format::JournalRow>(rows, std::size_t{i} * 64), header->journal_uuid, i);
  }
}

}  // namespace

void repair(std::span<std::byte> input) { repair_journal(input); }

}  // namespace vectolith::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  vectolith::fuzz::check(vectolith::fuzz::copy_of(data, size));
  return 0;
}
