/// @file
/// Any bytes as a record at unit 0 of one fixed life: sizes and zstd frames can't mislead the decoder.
#include <vectolith/format/record.h>

#include "fuzz_support.h"
#include "sum_repair.h"

namespace vectolith::fuzz {
namespace {

/// The life of the seeds in the corpus.
Uuid life() {
  Uuid life;
  unsigned next = 0x20;
  for (auto& byte : life.bytes) byte = static_cast<std::byte>(next++);
  return life;
}

void check(std::span<const std::byte> bytes) {
  const auto header = format::decode_record_header(bytes, life(), RowIndex(0));
  if (!header.has_value()) return;
  VECTOLITH_FUZZ_CHECK(std::size_t{header->units()} * format::kRecordAlignment <= bytes.size());
  // The prefix is unchecked here: the payload must be safe to ask for all the same.
  if (const auto payload = format::record_payload(*header); payload.has_value()) {
    VECTOLITH_FUZZ_CHECK(payload->size() == header->prefix.raw_bytes);
  }
  const auto record = format::decode_record(bytes, life(), RowIndex(0));
  if (!record.has_value()) return;
  const auto payload = format::record_payload(*record);
  if (!payload.has_value()) return;
  VECTOLITH_FUZZ_CHECK(payload->size() <= format::kRecordPayloadBytesMax);
  VECTOLITH_FUZZ_CHECK(payload->size() == record->prefix.raw_bytes);
}

}  // namespace

void repair(std::span<std::byte> input) { repair_record(input, life(), RowIndex(0)); }

}  // namespace vectolith::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  vectolith::fuzz::check(vectolith::fuzz::copy_of(data, size));
  return 0;
}
