/// @file
/// Bytes of the control protocol: frames, requests and answers. Pure; docs/control.md is the specification.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <vectolith/format/bytes.h>
#include <vectolith/format/key.h>
#include <vectolith/format/record.h>
#include <vectolith/format/result.h>
#include <vectolith/options.h>
#include <vectolith/store.h>

namespace vectolith::engine {

inline constexpr std::uint32_t kControlMagic = 0x5443'4C56;  ///< "VLCT" as bytes.
inline constexpr std::uint16_t kControlVersion = 3;
inline constexpr std::size_t kControlHeaderBytes = 24;
/// Longest payload of an answer.
inline constexpr std::uint32_t kControlPayloadBytesMax = 64U << 20;
/// Longest payload of a put: the longest record, its key and its family's name.
inline constexpr std::uint32_t kControlPutBytesMax = format::kRecordPayloadBytesMax + 1'024;
/// Longest payload of every other request.
inline constexpr std::uint32_t kControlRequestBytesMax = 1'024;

/// What a frame says. Persistent values; 0 is invalid. Answers have the high bit.
enum class ControlVerb : std::uint16_t {
  kHello = 1,
  kStats = 2,
  kFamilies = 3,
  kGet = 4,
  kPut = 5,
  kErase = 6,
  kSync = 7,
  kScan = 8,
  kFsck = 9,
  kScanMore = 10,
  kScanCancel = 11,
  kScrub = 12,
  kHelloAnswer = 0x8001,
  kStatsAnswer = 0x8002,
  kFamiliesAnswer = 0x8003,
  kGetAnswer = 0x8004,
  kPutAnswer = 0x8005,
  kEraseAnswer = 0x8006,
  kSyncAnswer = 0x8007,
  kScanBatch = 0x8008,
  kFsckAnswer = 0x8009,
  kScanEnd = 0x800A,
  kScrubAnswer = 0x800C,
  kError = 0xFFFF,
};

/// First bytes of every frame. This layout, and that of kError, is the same in every version.
struct ControlHeader {
  std::uint32_t magic = kControlMagic;
  std::uint16_t version = kControlVersion;
  ControlVerb verb{};
  std::uint32_t payload_bytes = 0;
  std::uint32_t request = 0;   ///< The client's number, repeated in the answer; 0 before one was read.
  std::uint64_t checksum = 0;  ///< XXH3-64 of the payload, seeded by XXH3-64 of bytes [0, 16).
};
static_assert(sizeof(ControlHeader) == kControlHeaderBytes);
static_assert(std::has_unique_object_representations_v<ControlHeader>, "no implicit padding");

/// Who reads a frame: it decides which verbs may come and how long they may be.
enum class ControlRole : std::uint8_t { kServer, kClient };

/// Checks magic, version, verb and length, in this order; the sum waits for the payload.
/// Errors: kCorruption; kUnsupported for another version (not for a kError read by a client) and for
///         an unknown verb.
Result<ControlHeader> decode_control_header(std::span<const std::byte> bytes, ControlRole reader);
/// Errors: kCorruption unless `payload` has the length and the sum that `header` states.
Result<void> check_control_payload(const ControlHeader& header, std::span<const std::byte> payload);

/// A frame that is being written: room for the header, then the payload as it is encoded.
class ControlFrame {
 public:
  explicit ControlFrame(ControlVerb verb);
  [[nodiscard]] ControlVerb verb() const noexcept { return verb_; }
  [[nodiscard]] format::Writer& payload() noexcept { return writer_; }
  [[nodiscard]] std::size_t payload_bytes() const noexcept { return writer_.size() - kControlHeaderBytes; }
  /// The whole frame with its header filled in. Errors: kLimit when the payload is too long for its verb.
  Result<std::vector<std::byte>> finish(std::uint32_t request) &&;

 private:
  ControlVerb verb_;
  format::Writer writer_;
};

/// Names a family: all of a scan request.
struct ScanRequest {
  std::string family;
};
struct GetRequest {
  std::string family;
  Key key;
};
struct EraseRequest {
  std::string family;
  Key key;
  Durability durability{};
};
/// Lifetime: `vector` borrows the payload it was decoded from.
struct PutRequest {
  std::string family;
  Key key;
  Durability durability{};
  bool replace = false;
  std::span<const std::byte> vector;
};
/// One row of an answer. Lifetime: `vector` borrows the payload it was decoded from.
struct ControlRow {
  Key key;
  Sequence sequence;
  std::uint32_t created_at_s = 0;
  std::span<const std::byte> vector;
};
/// The last frame of a scan.
struct ScanEnd {
  std::uint64_t rows = 0;  ///< Rows sent in all batches of this scan.
};

void encode_control(format::Writer& writer, const ScanRequest& request);
void encode_control(format::Writer& writer, const GetRequest& request);
void encode_control(format::Writer& writer, const EraseRequest& request);
void encode_control(format::Writer& writer, const PutRequest& request);
void encode_control(format::Writer& writer, const ControlRow& row);
void encode_control(format::Writer& writer, const std::optional<ControlRow>& row);
void encode_control(format::Writer& writer, const PutResult& result);
void encode_control(format::Writer& writer, const EraseResult& result);
void encode_control(format::Writer& writer, const ScanEnd& end);
/// Strings beyond 65,535 bytes are cut.
void encode_control(format::Writer& writer, const Error& error);

// Every decoder: kCorruption for truncated or trailing bytes and for values out of range. No decoder
// allocates more than a small multiple of the payload's length.
Result<void> decode_empty(std::span<const std::byte> payload);
Result<ScanRequest> decode_scan_request(std::span<const std::byte> payload);
Result<GetRequest> decode_get_request(std::span<const std::byte> payload);
Result<EraseRequest> decode_erase_request(std::span<const std::byte> payload);
Result<PutRequest> decode_put_request(std::span<const std::byte> payload);
Result<std::optional<ControlRow>> decode_get_answer(std::span<const std::byte> payload);
Result<PutResult> decode_put_answer(std::span<const std::byte> payload);
Result<EraseResult> decode_erase_answer(std::span<const std::byte> payload);
/// At least one row.
Result<std::vector<ControlRow>> decode_scan_batch(std::span<const std::byte> payload);
Result<ScanEnd> decode_scan_end(std::span<const std::byte> payload);
/// A code that this version does not know becomes kInternal and is named in `found`.
Result<Error> decode_error(std::span<const std::byte> payload);

/// Runs `read` over the payload and insists that it used all of it.
template <class Read>
auto decode_all(std::span<const std::byte> payload, Read&& read)
    -> decltype(read(std::declval<format::Reader&>())) {
  format::Reader reader(payload);
  auto value = read(reader);
  if (value.has_value()) VECTOLITH_TRY(reader.expect_end());
  return value;
}
/// Reads a byte that must be 0 or 1.
Result<bool> read_control_bool(format::Reader& reader);
/// `text`, or as much of it as a length of 16 bits can name.
std::string_view clip_control_text(std::string_view text) noexcept;
/// kCorruption for a value that is none of those allowed.
std::unexpected<Error> bad_control_value(std::string_view field, std::size_t offset,
                                         std::string_view expected, std::uint64_t found);

}  // namespace vectolith::engine
