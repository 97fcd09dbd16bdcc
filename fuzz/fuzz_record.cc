/// @file
/// Any bytes as a record at unit 0 of one fixed life: sizes and zstd frames can't mislead the decoder.
#include <vectolith/format/record.h>

#include "fuzz_support.h"

namespace vectolith::fuzz {
namespace {

constexpr std::size_t kPayloadOffset = sizeof(format::RecordHeader) + sizeof(format::RecordPrefix);

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

void reseal(std::span<std::byte> bytes) {
  if (bytes.size() < kPayloadOffset) return;
  const std::uint64_t seed = format::position_seed(life(), 0);
  store(bytes, 60, static_cast<std::uint32_t>(format::checksum64(bytes.first(60), seed)));
  const auto stored_bytes = load<std::uint32_t>(bytes, 56);
  if (stored_bytes > bytes.size() - kPayloadOffset) return;
  store(bytes, 64, format::checksum64(bytes.subspan(72, 8 + std::size_t{stored_bytes}), seed));
}

}  // namespace
}  // namespace vectolith::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto bytes = vectolith::fuzz::copy_of(data, size);
  vectolith::fuzz::check(bytes);
  vectolith::fuzz::reseal(bytes);
  vectolith::fuzz::check(bytes);
  return 0;
}
