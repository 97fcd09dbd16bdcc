/// @file
/// Reads and writes whole frames of the control protocol.
#include "control/control_channel.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

namespace vectolith::engine {
namespace {

/// How far memory runs ahead of the bytes that a peer has really sent.
constexpr std::size_t kReadStepBytes = 1U << 20;

}  // namespace

Result<ControlHeader> read_control_header(Connection& connection, ControlRole reader) {
  std::array<std::byte, kControlHeaderBytes> bytes;
  VECTOLITH_TRY(connection.read_exact(bytes));
  return decode_control_header(bytes, reader);
}

Result<std::vector<std::byte>> read_control_payload(Connection& connection, const ControlHeader& header) {
  std::vector<std::byte> payload;
  while (payload.size() < header.payload_bytes) {
    const std::size_t at = payload.size();
    const std::size_t step = std::min(header.payload_bytes - at, kReadStepBytes);
    payload.resize(at + step);
    VECTOLITH_TRY(connection.read_exact(std::span(payload).subspan(at)));
  }
  VECTOLITH_TRY(check_control_payload(header, payload));
  return payload;
}

Result<void> write_control_frame(Connection& connection, ControlFrame frame, std::uint32_t request) {
  VECTOLITH_TRY_ASSIGN(const auto bytes, std::move(frame).finish(request));
  return connection.write_all(bytes);
}

}  // namespace vectolith::engine
