/// @file
/// Any bytes as a manifest file: header, then frames as far as they go; what decodes encodes to the same
/// bytes.
#include <vectolith/format/bytes.h>
#include <vectolith/format/manifest.h>

#include "fuzz_support.h"

namespace vectolith::fuzz {
namespace {

constexpr std::size_t kFrameHeadBytes = 32;

/// Makes the sum of the frame at `offset` hold if its length lies inside the input.
void reseal_frame(std::span<std::byte> bytes, const Uuid& life, std::uint64_t offset) {
  const auto rest = bytes.subspan(offset);
  if (rest.size() < format::kFrameAlignment) return;
  const std::uint64_t frame_bytes = format::align_up(
      kFrameHeadBytes + std::uint64_t{load<std::uint32_t>(rest, 16)}, format::kFrameAlignment);
  if (frame_bytes > rest.size()) return;
  store(rest, 0, format::checksum64(rest.first(frame_bytes).subspan(8), format::position_seed(life, offset)));
}

void check_frames(std::span<std::byte> bytes, const Uuid& life, bool reseal) {
  std::uint64_t offset = format::kManifestHeaderBytes;
  while (offset < bytes.size()) {
    if (reseal) reseal_frame(bytes, life, offset);
    const auto frame = format::decode_frame(bytes.subspan(offset), life, offset);
    if (!frame.has_value()) return;
    VECTOLITH_FUZZ_CHECK(frame->frame_bytes >= format::kFrameAlignment &&
                         frame->frame_bytes <= bytes.size() - offset);
    const auto encoded = format::encode_frame(frame->edits, frame->version, life, offset);
    VECTOLITH_FUZZ_CHECK(encoded.size() == frame->frame_bytes && is_prefix(encoded, bytes.subspan(offset)));
    offset += frame->frame_bytes;
  }
}

void check(Bytes bytes) {
  const auto header = format::decode_manifest_header(bytes);
  if (!header.has_value()) return;
  VECTOLITH_FUZZ_CHECK(is_prefix(format::encode_manifest_header(*header), bytes));
  VECTOLITH_FUZZ_CHECK(header->snapshot_bytes <= header->file_bytes - format::kManifestHeaderBytes);
  check_frames(bytes, header->life, false);
  check_frames(bytes, header->life, true);
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
