/// @file
/// Whole frames over a Connection: what client and server of the control socket have in common.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "control/protocol.h"
#include "io/environment.h"

namespace vectolith::engine {

/// Reads a header and checks it. Errors: as decode_control_header and Connection::read_exact.
Result<ControlHeader> read_control_header(Connection& connection, ControlRole reader);
/// Reads the payload that follows `header` and checks its sum.
/// Memory grows with the bytes that came, not with the length that was claimed.
Result<std::vector<std::byte>> read_control_payload(Connection& connection, const ControlHeader& header);
/// Writes the frame in one call. Errors: kLimit as ControlFrame::finish (nothing was sent), kIo, kClosed.
Result<void> write_control_frame(Connection& connection, ControlFrame frame, std::uint32_t request);

}  // namespace vectolith::engine
