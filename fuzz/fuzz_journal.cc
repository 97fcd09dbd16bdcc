/// @file
/// Any bytes as a journal: header, then rows as they are and with sums made to hold.
#include <vectolith/format/journal.h>

#include "fuzz_support.h"

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
    auto row = load<format::JournalRow>(rows, std::size_t{i} * 64);
    check_row(row, header->journal_uuid, i);
    format::seal_journal_row(row, header->journal_uuid, i);
    check_row(row, header->journal_uuid, i);
  }
}

}  // namespace
}  // namespace vectolith::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto bytes = vectolith::fuzz::copy_of(data, size);
  vectolith::fuzz::check(bytes);
  vectolith::fuzz::reseal_header(bytes);
  vectolith::fuzz::check(bytes);
  return 0;
}
