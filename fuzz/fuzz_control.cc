/// @file
/// Fuzzes every decoder of the control protocol, as the server and as the client would use it.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include <vectolith/format/checksum.h>

#include "../tests/engine/control/control_samples.h"
#include "control/control_channel.h"
#include "fuzz_support.h"

namespace vectolith::engine {
namespace {

/// A peer whose bytes are the fuzzer's.
class FuzzPeer final : public Connection {
 public:
  explicit FuzzPeer(std::span<const std::byte> sent) : left_(sent) {}
  Result<void> read_exact(std::span<std::byte> bytes) override {
    if (left_.size() < bytes.size()) return fail(ErrorCode::kClosed, "the peer is gone");
    std::ranges::copy(left_.first(bytes.size()), bytes.begin());
    left_ = left_.subspan(bytes.size());
    return {};
  }
  Result<void> write_all(std::span<const std::byte>) override { return {}; }
  void shutdown() noexcept override {}

 private:
  std::span<const std::byte> left_;
};

/// What is accepted must be what would have been written. An unknown error code is replaced by
/// kInternal, so kError is only decoded.
void check_payload(ControlVerb verb, std::span<const std::byte> payload) {
  const auto again = testing::reencode(verb, payload);
  if (verb != ControlVerb::kError)
    VECTOLITH_FUZZ_CHECK(!again.has_value() || std::ranges::equal(*again, payload));
}

/// Frame after frame, sums checked, as a session or a client reads them.
void read_frames(std::span<const std::byte> input, ControlRole reader) {
  FuzzPeer peer(input);
  while (true) {
    const auto header = read_control_header(peer, reader);
    if (!header.has_value()) return;
    const auto payload = read_control_payload(peer, *header);
    if (!payload.has_value()) return;
    check_payload(header->verb, *payload);
  }
}

}  // namespace
}  // namespace vectolith::engine

void vectolith::fuzz::repair(std::span<std::byte> input) {
  while (input.size() >= engine::kControlHeaderBytes) {
    const auto payload = input.subspan(engine::kControlHeaderBytes);
    const auto payload_bytes = load<std::uint32_t>(input, offsetof(engine::ControlHeader, payload_bytes));
    if (payload_bytes > payload.size()) return;
    const std::uint64_t seed = format::checksum64(input.first(offsetof(engine::ControlHeader, checksum)));
    store(input, offsetof(engine::ControlHeader, checksum),
          format::checksum64(payload.first(payload_bytes), seed));
    input = payload.subspan(payload_bytes);
  }
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vectolith::engine;
  const auto bytes = vectolith::fuzz::copy_of(data, size);
  read_frames(bytes, ControlRole::kServer);
  read_frames(bytes, ControlRole::kClient);
  return 0;
}
