/// @file
/// Variable-length records: 64-byte header, sums, payload with zstd when it saves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>

#include <vectolith/format/ids.h>
#include <vectolith/format/key.h>
#include <vectolith/format/result.h>

namespace vectolith::format {

inline constexpr std::size_t kRecordAlignment = 64;
inline constexpr std::uint32_t kRecordPayloadBytesMax = 16U << 20;
inline constexpr int kRecordZstdLevel = 3;

/// Payload encodings; in the low 2 bits of RecordPrefix::flags.
enum RecordFlags : std::uint32_t { kRecordZstd = 1U << 0, kRecordFlagsKnown = 0x1 };

/// First 64 bytes of a record. Bytes 0..47 have the same layout as in MetaRow.
struct RecordHeader {
  Key key;
  std::uint64_t sequence_and_flags = 0;  ///< Low 48 bits sequence, high 16 bits RowFlags.
  std::uint64_t created_at_ms = 0;       ///< Milliseconds since 1970.
  std::uint32_t stored_bytes = 0;        ///< Payload bytes as stored, after the 16-byte prefix.
  std::uint32_t header_sum = 0;          ///< Low 32 bits of XXH3-64 of bytes 0..59, seeded by position.

  [[nodiscard]] Sequence sequence() const noexcept { return Sequence(sequence_and_flags & kSequenceMax); }
  [[nodiscard]] std::uint16_t flags() const noexcept {
    return static_cast<std::uint16_t>(sequence_and_flags >> 48);
  }
};
static_assert(sizeof(RecordHeader) == 64);
static_assert(std::has_unique_object_representations_v<RecordHeader>);

/// The 16 bytes between header and payload.
struct RecordPrefix {
  std::uint64_t payload_sum =
      0;  ///< XXH3-64 of the prefix's other 8 bytes and the stored payload, seeded by position.
  std::uint32_t raw_bytes = 0;     ///< Payload bytes before compression.
  std::uint16_t flags = 0;         ///< RecordFlags.
  std::uint16_t lag_or_count = 0;  ///< As in MetaRow; the lag counts 64-byte units.
};
static_assert(sizeof(RecordPrefix) == 16);

/// 64-byte units a record with `stored_bytes` takes.
constexpr std::uint32_t record_units(std::uint32_t stored_bytes) noexcept {
  return static_cast<std::uint32_t>(
      (sizeof(RecordHeader) + sizeof(RecordPrefix) + std::uint64_t{stored_bytes} + 63) / 64);
}

/// What a record says of itself, before it is placed.
struct RecordFields {
  Key key;
  Sequence sequence;
  std::uint16_t flags = 0;  ///< RowFlags.
  std::uint64_t created_at_ms = 0;
  std::uint16_t lag_or_count = 0;
};

/// A payload ready to be placed: compressed if that saves at least one 64-byte unit.
struct PreparedPayload {
  std::vector<std::byte> stored;   ///< Empty when `raw` is to be stored as it is.
  std::span<const std::byte> raw;  ///< The caller's bytes; must outlive the encode call.
  bool compressed = false;
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
    return compressed ? std::span<const std::byte>(stored) : raw;
  }
};
/// Errors: kInvalidArgument if the payload is longer than kRecordPayloadBytesMax.
Result<PreparedPayload> prepare_payload(std::span<const std::byte> raw, bool compress = true);

/// Writes the record for `unit` of the segment life into `out`, zero padded to 64 bytes.
/// Precondition: out.size() == 64 * record_units(stored size).
void encode_record(const RecordFields& fields, const PreparedPayload& payload, const Uuid& life,
                   RowIndex unit, std::span<std::byte> out) noexcept;

/// A decoded record that borrows the bytes it was decoded from.
struct RecordView {
  RecordHeader header;
  RecordPrefix prefix;
  std::span<const std::byte> stored;
  [[nodiscard]] std::uint32_t units() const noexcept { return record_units(header.stored_bytes); }
};

/// Checks header sum and bounds only; `bytes` runs from the record to the end of the used region.
/// Errors: kCorruption (kNotFound if the 64 header bytes are all zero).
Result<RecordView> decode_record_header(std::span<const std::byte> bytes, const Uuid& life, RowIndex unit);
/// As above and checks the payload's sum.
Result<RecordView> decode_record(std::span<const std::byte> bytes, const Uuid& life, RowIndex unit);

/// Decodes the payloads of many records.
///
/// What zstd sets up for a decompression is kept for the next one: where a hypervisor traps CPUID that costs
/// 8 us, more than a short payload. Threads: one at a time.
class PayloadDecoder {
 public:
  PayloadDecoder() noexcept;
  PayloadDecoder(const PayloadDecoder&) = delete;
  PayloadDecoder& operator=(const PayloadDecoder&) = delete;
  ~PayloadDecoder();
  /// The payload, decompressed. Errors: kCorruption (sizes that disagree, zstd errors); never allocates
  /// more than raw_bytes, which is at most kRecordPayloadBytesMax.
  /// Lifetime: until the next call, and as long as the bytes of `record`.
  Result<std::span<const std::byte>> decode(const RecordView& record);
  /// As `decode`, in memory of its own.
  Result<std::vector<std::byte>> copy(const RecordView& record);

 private:
  struct Zstd;
  std::unique_ptr<Zstd> zstd_;  ///< Null until it is needed.
  std::vector<std::byte> raw_;
};
/// The payload of one record. Errors: as PayloadDecoder::decode.
Result<std::vector<std::byte>> record_payload(const RecordView& record);

}  // namespace vectolith::format
