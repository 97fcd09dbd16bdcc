/// @file
/// Encodes and decodes frames, requests and small answers of the control protocol.
#include "control/protocol.h"

#include <cstring>
#include <utility>

#include <vectolith/format/checksum.h>
#include <vectolith/format/manifest.h>

namespace vectolith::engine {
namespace {

constexpr std::size_t kSummedHeaderBytes = 16;
static_assert(offsetof(ControlHeader, checksum) == kSummedHeaderBytes);
/// Key, sequence, time and length: a row without its vector.
constexpr std::size_t kRowFixedBytes = sizeof(Key) + 8 + 4 + 4;

/// The longest payload that a frame of this verb may have; nullopt for an unknown verb.
constexpr std::optional<std::uint32_t> payload_bytes_max(ControlVerb verb) noexcept {
  switch (verb) {
    case ControlVerb::kPut: return kControlPutBytesMax;
    case ControlVerb::kHello:
    case ControlVerb::kStats:
    case ControlVerb::kFamilies:
    case ControlVerb::kGet:
    case ControlVerb::kErase:
    case ControlVerb::kSync:
    case ControlVerb::kScan:
    case ControlVerb::kFsck:
    case ControlVerb::kScanMore:
    case ControlVerb::kScrub:
    case ControlVerb::kScanCancel: return kControlRequestBytesMax;
    case ControlVerb::kHelloAnswer:
    case ControlVerb::kStatsAnswer:
    case ControlVerb::kFamiliesAnswer:
    case ControlVerb::kGetAnswer:
    case ControlVerb::kPutAnswer:
    case ControlVerb::kEraseAnswer:
    case ControlVerb::kSyncAnswer:
    case ControlVerb::kScanBatch:
    case ControlVerb::kFsckAnswer:
    case ControlVerb::kScanEnd:
    case ControlVerb::kScrubAnswer:
    case ControlVerb::kError: return kControlPayloadBytesMax;
  }
  return std::nullopt;
}

constexpr bool is_answer(ControlVerb verb) noexcept { return (std::to_underlying(verb) & 0x8000U) != 0; }

/// Seeding by the header makes a changed verb or request number fail the sum too.
std::uint64_t frame_sum(const ControlHeader& header, std::span<const std::byte> payload) noexcept {
  const auto head = std::as_bytes(std::span(&header, 1)).first(kSummedHeaderBytes);
  return format::checksum64(payload, format::checksum64(head));
}

std::unexpected<Error> unsupported_version(const ControlHeader& header) {
  return std::unexpected(
      Error(ErrorCode::kUnsupported, "the peer speaks another version of the control protocol")
          .with_expected("version " + std::to_string(kControlVersion))
          .with_found("version " + std::to_string(header.version)));
}

void write_key(format::Writer& writer, const Key& key) { writer.write(std::as_bytes(std::span(&key, 1))); }

Result<Key> read_key(format::Reader& reader) {
  VECTOLITH_TRY_ASSIGN(const auto bytes, reader.take(sizeof(Key)));
  Key key;
  std::memcpy(&key, bytes.data(), sizeof(Key));
  return key;
}

Result<std::string> read_family_name(format::Reader& reader) {
  const auto offset = reader.offset();
  VECTOLITH_TRY_ASSIGN(auto name, reader.read_string());
  if (name.empty() || name.size() > format::kFamilyNameBytesMax) {
    return bad_control_value("length of the family's name", offset, "1 to 255", name.size());
  }
  return name;
}

Result<Durability> read_durability(format::Reader& reader) {
  const auto offset = reader.offset();
  VECTOLITH_TRY_ASSIGN(const auto value, reader.read<std::uint8_t>());
  const auto durability = static_cast<Durability>(value);
  if (durability != Durability::kBuffered && durability != Durability::kDurable) {
    return bad_control_value("durability", offset, "1 or 2", value);
  }
  return durability;
}

Result<ControlRow> read_row(format::Reader& reader) {
  ControlRow row;
  VECTOLITH_TRY_ASSIGN(row.key, read_key(reader));
  VECTOLITH_TRY_ASSIGN(row.sequence.value, reader.read<std::uint64_t>());
  VECTOLITH_TRY_ASSIGN(row.created_at_s, reader.read<std::uint32_t>());
  VECTOLITH_TRY_ASSIGN(const auto bytes, reader.read<std::uint32_t>());
  VECTOLITH_TRY_ASSIGN(row.vector, reader.take(bytes));
  return row;
}

}  // namespace

std::unexpected<Error> bad_control_value(std::string_view field, std::size_t offset,
                                         std::string_view expected, std::uint64_t found) {
  return std::unexpected(Error(ErrorCode::kCorruption, "control frame: bad " + std::string(field))
                             .with_offset(offset)
                             .with_expected(expected)
                             .with_found(std::to_string(found)));
}

Result<ControlHeader> decode_control_header(std::span<const std::byte> bytes, ControlRole reader) {
  if (bytes.size() < kControlHeaderBytes) {
    return bad_control_value("header length", bytes.size(), std::to_string(kControlHeaderBytes),
                             bytes.size());
  }
  ControlHeader header;
  std::memcpy(&header, bytes.data(), kControlHeaderBytes);
  if (header.magic != kControlMagic) {
    return bad_control_value("magic", 0, std::to_string(kControlMagic), header.magic);
  }
  const bool readable_error = reader == ControlRole::kClient && header.verb == ControlVerb::kError;
  if (header.version != kControlVersion && !readable_error) return unsupported_version(header);
  const auto bytes_max = payload_bytes_max(header.verb);
  if (!bytes_max.has_value() || is_answer(header.verb) != (reader == ControlRole::kClient)) {
    return fail(
        ErrorCode::kUnsupported,
        "control frame: verb " + std::to_string(std::to_underlying(header.verb)) + " is not known here");
  }
  if (header.payload_bytes > *bytes_max) {
    return bad_control_value("payload length", offsetof(ControlHeader, payload_bytes),
                             "at most " + std::to_string(*bytes_max), header.payload_bytes);
  }
  return header;
}

Result<void> check_control_payload(const ControlHeader& header, std::span<const std::byte> payload) {
  if (payload.size() != header.payload_bytes) {
    return bad_control_value("payload length", kControlHeaderBytes, std::to_string(header.payload_bytes),
                             payload.size());
  }
  if (const auto sum = frame_sum(header, payload); sum != header.checksum) {
    return bad_control_value("checksum", offsetof(ControlHeader, checksum), std::to_string(header.checksum),
                             sum);
  }
  return {};
}

ControlFrame::ControlFrame(ControlVerb verb) : verb_(verb) {
  writer_.write(std::span<const std::byte>(std::array<std::byte, kControlHeaderBytes>{}));
}

Result<std::vector<std::byte>> ControlFrame::finish(std::uint32_t request) && {
  if (const auto bytes_max = payload_bytes_max(verb_).value_or(0); payload_bytes() > bytes_max) {
    return fail(ErrorCode::kLimit, "a control frame of " + std::to_string(payload_bytes()) +
                                       " bytes is above the limit of " + std::to_string(bytes_max));
  }
  ControlHeader header;
  header.verb = verb_;
  header.request = request;
  header.payload_bytes = static_cast<std::uint32_t>(payload_bytes());
  auto frame = std::move(writer_).take();
  header.checksum = frame_sum(header, std::span(frame).subspan(kControlHeaderBytes));
  std::memcpy(frame.data(), &header, kControlHeaderBytes);
  return frame;
}

std::string_view clip_control_text(std::string_view text) noexcept { return text.substr(0, 65'535); }

void encode_control(format::Writer& writer, const ScanRequest& request) {
  writer.write_string(clip_control_text(request.family));
}

void encode_control(format::Writer& writer, const GetRequest& request) {
  writer.write_string(clip_control_text(request.family));
  write_key(writer, request.key);
}

void encode_control(format::Writer& writer, const EraseRequest& request) {
  writer.write_string(clip_control_text(request.family));
  write_key(writer, request.key);
  writer.write(std::to_underlying(request.durability));
}

void encode_control(format::Writer& writer, const PutRequest& request) {
  writer.write_string(clip_control_text(request.family));
  write_key(writer, request.key);
  writer.write(std::to_underlying(request.durability));
  writer.write(static_cast<std::uint8_t>(request.replace));
  writer.write(static_cast<std::uint32_t>(request.vector.size()));
  writer.write(request.vector);
}

void encode_control(format::Writer& writer, const ControlRow& row) {
  write_key(writer, row.key);
  writer.write(row.sequence.value);
  writer.write(row.created_at_s);
  writer.write(static_cast<std::uint32_t>(row.vector.size()));
  writer.write(row.vector);
}

void encode_control(format::Writer& writer, const std::optional<ControlRow>& row) {
  writer.write(static_cast<std::uint8_t>(row.has_value()));
  if (row.has_value()) encode_control(writer, *row);
}

void encode_control(format::Writer& writer, const PutResult& result) {
  writer.write(static_cast<std::uint8_t>(result.stored));
  writer.write(result.sequence.value);
  writer.write(result.ticket.commit);
}

void encode_control(format::Writer& writer, const EraseResult& result) {
  writer.write(static_cast<std::uint8_t>(result.existed));
  writer.write(result.ticket.commit);
}

void encode_control(format::Writer& writer, const ScanEnd& end) { writer.write(end.rows); }

void encode_control(format::Writer& writer, const Error& error) {
  writer.write(std::to_underlying(error.code()));
  writer.write(static_cast<std::int32_t>(error.system_errno()));
  writer.write(static_cast<std::uint8_t>(error.offset().has_value()));
  writer.write(error.offset().value_or(0));
  for (const std::string* text : {&error.message(), &error.file(), &error.expected(), &error.found()}) {
    writer.write_string(clip_control_text(*text));
  }
}

Result<bool> read_control_bool(format::Reader& reader) {
  const auto offset = reader.offset();
  VECTOLITH_TRY_ASSIGN(const auto value, reader.read<std::uint8_t>());
  if (value > 1) return bad_control_value("flag", offset, "0 or 1", value);
  return value == 1;
}

Result<void> decode_empty(std::span<const std::byte> payload) { return format::Reader(payload).expect_end(); }

Result<ScanRequest> decode_scan_request(std::span<const std::byte> payload) {
  return decode_all(payload, [](format::Reader& reader) -> Result<ScanRequest> {
    VECTOLITH_TRY_ASSIGN(auto family, read_family_name(reader));
    return ScanRequest{std::move(family)};
  });
}

Result<GetRequest> decode_get_request(std::span<const std::byte> payload) {
  return decode_all(payload, [](format::Reader& reader) -> Result<GetRequest> {
    GetRequest request;
    VECTOLITH_TRY_ASSIGN(request.family, read_family_name(reader));
    VECTOLITH_TRY_ASSIGN(request.key, read_key(reader));
    return request;
  });
}

Result<EraseRequest> decode_erase_request(std::span<const std::byte> payload) {
  return decode_all(payload, [](format::Reader& reader) -> Result<EraseRequest> {
    EraseRequest request;
    VECTOLITH_TRY_ASSIGN(request.family, read_family_name(reader));
    VECTOLITH_TRY_ASSIGN(request.key, read_key(reader));
    VECTOLITH_TRY_ASSIGN(request.durability, read_durability(reader));
    return request;
  });
}

Result<PutRequest> decode_put_request(std::span<const std::byte> payload) {
  return decode_all(payload, [](format::Reader& reader) -> Result<PutRequest> {
    PutRequest request;
    VECTOLITH_TRY_ASSIGN(request.family, read_family_name(reader));
    VECTOLITH_TRY_ASSIGN(request.key, read_key(reader));
    VECTOLITH_TRY_ASSIGN(request.durability, read_durability(reader));
    VECTOLITH_TRY_ASSIGN(request.replace, read_control_bool(reader));
    VECTOLITH_TRY_ASSIGN(const auto bytes, reader.read<std::uint32_t>());
    VECTOLITH_TRY_ASSIGN(request.vector, reader.take(bytes));
    return request;
  });
}

Result<std::optional<ControlRow>> decode_get_answer(std::span<const std::byte> payload) {
  return decode_all(payload, [](format::Reader& reader) -> Result<std::optional<ControlRow>> {
    VECTOLITH_TRY_ASSIGN(const auto present, read_control_bool(reader));
    if (!present) return std::optional<ControlRow>();
    VECTOLITH_TRY_ASSIGN(const auto row, read_row(reader));
    return std::optional<ControlRow>(row);
  });
}

Result<PutResult> decode_put_answer(std::span<const std::byte> payload) {
  return decode_all(payload, [](format::Reader& reader) -> Result<PutResult> {
    PutResult result;
    VECTOLITH_TRY_ASSIGN(result.stored, read_control_bool(reader));
    VECTOLITH_TRY_ASSIGN(result.sequence.value, reader.read<std::uint64_t>());
    VECTOLITH_TRY_ASSIGN(result.ticket.commit, reader.read<std::uint64_t>());
    return result;
  });
}

Result<EraseResult> decode_erase_answer(std::span<const std::byte> payload) {
  return decode_all(payload, [](format::Reader& reader) -> Result<EraseResult> {
    EraseResult result;
    VECTOLITH_TRY_ASSIGN(result.existed, read_control_bool(reader));
    VECTOLITH_TRY_ASSIGN(result.ticket.commit, reader.read<std::uint64_t>());
    return result;
  });
}

Result<std::vector<ControlRow>> decode_scan_batch(std::span<const std::byte> payload) {
  std::vector<ControlRow> rows;
  format::Reader reader(payload);
  // The first row is read unasked: a batch without one would let a peer spin the other for ever.
  do {
    VECTOLITH_TRY_ASSIGN(const auto row, read_row(reader));
    if (rows.empty()) rows.reserve(payload.size() / (kRowFixedBytes + row.vector.size()));
    rows.push_back(row);
  } while (reader.remaining() > 0);
  return rows;
}

Result<ScanEnd> decode_scan_end(std::span<const std::byte> payload) {
  return decode_all(payload, [](format::Reader& reader) -> Result<ScanEnd> {
    VECTOLITH_TRY_ASSIGN(const auto rows, reader.read<std::uint64_t>());
    return ScanEnd{rows};
  });
}

Result<Error> decode_error(std::span<const std::byte> payload) {
  return decode_all(payload, [](format::Reader& reader) -> Result<Error> {
    VECTOLITH_TRY_ASSIGN(const auto code, reader.read<std::uint16_t>());
    VECTOLITH_TRY_ASSIGN(const auto system_errno, reader.read<std::int32_t>());
    VECTOLITH_TRY_ASSIGN(const auto has_offset, read_control_bool(reader));
    VECTOLITH_TRY_ASSIGN(const auto offset, reader.read<std::uint64_t>());
    VECTOLITH_TRY_ASSIGN(const auto message, reader.read_string());
    VECTOLITH_TRY_ASSIGN(const auto file, reader.read_string());
    VECTOLITH_TRY_ASSIGN(const auto expected, reader.read_string());
    VECTOLITH_TRY_ASSIGN(auto found, reader.read_string());
    if (code == 0) return bad_control_value("error code", 0, "at least 1", code);
    const bool known = code <= std::to_underlying(ErrorCode::kDeadlineExceeded);
    if (!known) found = "error code " + std::to_string(code) + (found.empty() ? "" : "; " + found);

    auto error = Error(known ? static_cast<ErrorCode>(code) : ErrorCode::kInternal, message)
                     .with_errno(system_errno)
                     .with_file(file)
                     .with_expected(expected)
                     .with_found(found);
    if (has_offset) return std::move(error).with_offset(offset);
    return error;
  });
}

}  // namespace vectolith::engine
