/// @file
/// Records: placing, checking and decompressing; the only translation unit that includes zstd.
#include <vectolith/format/record.h>

#include <cstring>
#include <string>
#include <utility>

#include <zstd.h>

#include <vectolith/format/checksum.h>
#include <vectolith/format/segment.h>

#include "dcheck.h"
#include "decode_checks.h"

namespace vectolith::format {
namespace {

constexpr std::size_t kPayloadOffset = sizeof(RecordHeader) + sizeof(RecordPrefix);
/// The payload sum covers the prefix behind itself and the stored payload.
constexpr std::size_t kPayloadSummedFrom = sizeof(RecordHeader) + sizeof(RecordPrefix::payload_sum);

std::uint32_t record_header_sum(const RecordHeader& header, std::uint64_t seed) noexcept {
  return static_cast<std::uint32_t>(
      checksum64(bytes_of(header).first<offsetof(RecordHeader, header_sum)>(), seed));
}

std::uint64_t record_payload_sum(std::span<const std::byte> record, std::uint32_t stored_bytes,
                                 std::uint64_t seed) noexcept {
  return checksum64(record.subspan(kPayloadSummedFrom, kPayloadOffset - kPayloadSummedFrom + stored_bytes),
                    seed);
}

std::uint64_t offset_of(RowIndex unit) noexcept { return std::uint64_t{unit.value} * kRecordAlignment; }

Result<void> check_record_header(const RecordHeader& header, RowIndex unit, std::size_t available) {
  if ((header.flags() & ~kRowFlagsKnown) != 0) {
    return corrupt("record: unknown row flags", offset_of(unit), kRowFlagsKnown, header.flags());
  }
  if (header.sequence().value == 0) return corrupt("record: no sequence", offset_of(unit), "not 0", "0");
  if (header.stored_bytes > kRecordPayloadBytesMax) {
    return corrupt("record: payload is too long", offset_of(unit), kRecordPayloadBytesMax,
                   header.stored_bytes);
  }
  const std::uint64_t record_bytes = std::uint64_t{record_units(header.stored_bytes)} * kRecordAlignment;
  if (record_bytes > available) {
    return corrupt("record leaves the used region", offset_of(unit), available, record_bytes);
  }
  return {};
}

Result<void> check_prefix(const RecordView& record) {
  if ((record.prefix.flags & ~kRecordFlagsKnown) != 0) {
    return corrupt("record: unknown payload flags", sizeof(RecordHeader), kRecordFlagsKnown,
                   record.prefix.flags);
  }
  if (record.prefix.raw_bytes > kRecordPayloadBytesMax) {
    return corrupt("record: payload is too long", sizeof(RecordHeader), kRecordPayloadBytesMax,
                   record.prefix.raw_bytes);
  }
  const bool compressed = (record.prefix.flags & kRecordZstd) != 0;
  const bool plausible = compressed ? record.stored.size() < record.prefix.raw_bytes
                                    : record.stored.size() == record.prefix.raw_bytes;
  if (!plausible) {
    return corrupt(compressed ? "record: compression saved nothing" : "record: raw and stored sizes differ",
                   sizeof(RecordHeader), record.prefix.raw_bytes, record.stored.size());
  }
  return {};
}

/// The frame must announce the size that was summed, and fill the stored bytes alone: nothing is allocated on
/// the word of a frame that says otherwise.
Result<void> check_frame(const RecordView& record) {
  const std::byte* data = record.stored.data();
  const std::size_t bytes = record.stored.size();
  if (ZSTD_getFrameContentSize(data, bytes) != record.prefix.raw_bytes) {
    return corrupt("record: zstd frame disagrees with the raw size", kPayloadOffset,
                   std::to_string(record.prefix.raw_bytes), "other");
  }
  if (ZSTD_findFrameCompressedSize(data, bytes) != bytes) {
    return corrupt("record: payload is not one whole zstd frame", kPayloadOffset, std::to_string(bytes),
                   "other");
  }
  return {};
}

}  // namespace

Result<PreparedPayload> prepare_payload(std::span<const std::byte> raw, bool compress) {
  if (raw.size() > kRecordPayloadBytesMax) {
    return std::unexpected(Error(ErrorCode::kInvalidArgument, "record payload is too long")
                               .with_expected("at most " + std::to_string(kRecordPayloadBytesMax) + " bytes")
                               .with_found(std::to_string(raw.size())));
  }
  PreparedPayload payload{.stored = {}, .raw = raw, .compressed = false};
  const std::uint32_t raw_units = record_units(static_cast<std::uint32_t>(raw.size()));
  if (!compress || raw_units == record_units(0)) return payload;
  payload.stored.resize(ZSTD_compressBound(raw.size()));
  const std::size_t stored_bytes =
      ZSTD_compress(payload.stored.data(), payload.stored.size(), raw.data(), raw.size(), kRecordZstdLevel);
  // A compressor out of memory is no reason to lose the payload: it is stored as it is.
  payload.compressed =
      ZSTD_isError(stored_bytes) == 0U && record_units(static_cast<std::uint32_t>(stored_bytes)) < raw_units;
  payload.stored.resize(payload.compressed ? stored_bytes : 0);
  payload.stored.shrink_to_fit();
  return payload;
}

void encode_record(const RecordFields& fields, const PreparedPayload& payload, const Uuid& life,
                   RowIndex unit, std::span<std::byte> out) noexcept {
  const auto stored = payload.bytes();
  const auto stored_bytes = static_cast<std::uint32_t>(stored.size());
  VECTOLITH_DCHECK(out.size() == std::size_t{record_units(stored_bytes)} * kRecordAlignment);
  const std::uint64_t seed = position_seed(life, unit.value);
  RecordHeader header{.key = fields.key,
                      .sequence_and_flags = fields.sequence.value | std::uint64_t{fields.flags} << 48,
                      .created_at_ms = fields.created_at_ms,
                      .stored_bytes = stored_bytes,
                      .header_sum = 0};
  header.header_sum = record_header_sum(header, seed);
  RecordPrefix prefix{.payload_sum = 0,
                      .raw_bytes = static_cast<std::uint32_t>(payload.raw.size()),
                      .flags = payload.compressed ? std::uint16_t{kRecordZstd} : std::uint16_t{0},
                      .lag_or_count = fields.lag_or_count};
  std::memcpy(out.data(), &header, sizeof(header));
  std::memcpy(out.data() + sizeof(header), &prefix, sizeof(prefix));
  const auto tail = std::ranges::copy(stored, out.begin() + kPayloadOffset).out;
  std::fill(tail, out.end(), std::byte{0});
  prefix.payload_sum = record_payload_sum(out, stored_bytes, seed);
  std::memcpy(out.data() + sizeof(header), &prefix, sizeof(prefix));
}

Result<RecordView> decode_record_header(std::span<const std::byte> bytes, const Uuid& life, RowIndex unit) {
  if (bytes.size() < sizeof(RecordHeader)) {
    return corrupt("record header is truncated", offset_of(unit), sizeof(RecordHeader), bytes.size());
  }
  if (all_zero(bytes.first(sizeof(RecordHeader)))) {
    return std::unexpected(
        Error(ErrorCode::kNotFound, "no record was written here").with_offset(offset_of(unit)));
  }
  RecordView record;
  std::memcpy(&record.header, bytes.data(), sizeof(RecordHeader));
  const std::uint32_t sum = record_header_sum(record.header, position_seed(life, unit.value));
  if (sum != record.header.header_sum) {
    return corrupt_sum("record: header sum does not hold at this place", offset_of(unit), sum,
                       record.header.header_sum);
  }
  VECTOLITH_TRY(check_record_header(record.header, unit, bytes.size()));
  std::memcpy(&record.prefix, bytes.data() + sizeof(RecordHeader), sizeof(RecordPrefix));
  record.stored = bytes.subspan(kPayloadOffset, record.header.stored_bytes);
  return record;
}

Result<RecordView> decode_record(std::span<const std::byte> bytes, const Uuid& life, RowIndex unit) {
  VECTOLITH_TRY_ASSIGN(const auto record, decode_record_header(bytes, life, unit));
  const std::uint64_t sum =
      record_payload_sum(bytes, record.header.stored_bytes, position_seed(life, unit.value));
  if (sum != record.prefix.payload_sum) {
    return corrupt_sum("record: payload sum does not hold at this place", offset_of(unit), sum,
                       record.prefix.payload_sum);
  }
  VECTOLITH_TRY(check_prefix(record));
  const std::size_t payload_end = kPayloadOffset + record.header.stored_bytes;
  const auto padding = bytes.first(std::size_t{record.units()} * kRecordAlignment).subspan(payload_end);
  VECTOLITH_TRY(check_reserved(padding, "record", offset_of(unit) + payload_end));
  return record;
}

struct PayloadDecoder::Zstd {
  std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context{ZSTD_createDCtx(), &ZSTD_freeDCtx};
};

PayloadDecoder::PayloadDecoder() noexcept = default;
PayloadDecoder::~PayloadDecoder() = default;

Result<std::span<const std::byte>> PayloadDecoder::decode(const RecordView& record) {
  // Again: the view may come from decode_record_header, which does not look at the prefix.
  VECTOLITH_TRY(check_prefix(record));
  if ((record.prefix.flags & kRecordZstd) == 0) return record.stored;
  VECTOLITH_TRY(check_frame(record));
  if (zstd_ == nullptr) zstd_ = std::make_unique<Zstd>();
  if (zstd_->context == nullptr) return fail(ErrorCode::kNoMemory, "no memory to decompress a record");
  raw_.resize(record.prefix.raw_bytes);
  const std::size_t written = ZSTD_decompressDCtx(zstd_->context.get(), raw_.data(), raw_.size(),
                                                  record.stored.data(), record.stored.size());
  if (ZSTD_isError(written) != 0U) {
    return corrupt("record: zstd cannot decompress", kPayloadOffset, std::to_string(raw_.size()) + " bytes",
                   ZSTD_getErrorName(written));
  }
  if (written != raw_.size())
    return corrupt("record: zstd frame is short", kPayloadOffset, raw_.size(), written);
  return std::span<const std::byte>(raw_);
}

Result<std::vector<std::byte>> PayloadDecoder::copy(const RecordView& record) {
  VECTOLITH_TRY_ASSIGN(const auto payload, decode(record));
  if ((record.prefix.flags & kRecordZstd) != 0) return std::exchange(raw_, {});
  return std::vector<std::byte>(payload.begin(), payload.end());
}

Result<std::vector<std::byte>> record_payload(const RecordView& record) {
  return PayloadDecoder().copy(record);
}

}  // namespace vectolith::format
