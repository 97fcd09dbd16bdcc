/// @file
/// Any bytes as a manifest file: header, then frames as far as they go; what decodes encodes to the same
/// bytes.
#include <vectolith/format/manifest.h>

#include "fuzz_support.h"
#include "sum_repair.h"

namespace vectolith::fuzz {
namespace {

void check_frames(std::span<const std::byte> bytes, const Uuid& life) {
  std::uint64_t offset = format::kManifestHeaderBytes;
  while (offset < bytes.size()) {
    const auto frame = format::decode_frame(bytes.subspan(offset), life, offset);
    if (!frame.has_value()) return;
    VECTOLITH_FUZZ_CHECK(frame->frame_bytes >= format::kFrameAlignment &&
                         frame->frame_bytes <= bytes.size() - offset);
    const auto encoded = format::encode_frame(frame->edits, frame->version, life, offset);
    VECTOLITH_FUZZ_CHECK(encoded.size() == frame->frame_bytes && is_prefix(encoded, bytes.subspan(offset)));
    offset += frame->frame_bytes;
  }
}

void check(const Bytes& bytes) {
  const auto header = format::decode_manifest_header(bytes);
  if (!header.has_value()) return;
  VECTOLITH_FUZZ_CHECK(is_prefix(format::encode_manifest_header(*header), bytes));
  VECTOLITH_FUZZ_CHECK(header->snapshot_bytes <= header->file_bytes - format::kManifestHeaderBytes);
  check_frames(bytes, header->life);
}

}  // namespace

void repair(std::span<std::byte> input) { repair_manifest(input); }

}  // namespace vectolith::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  vectolith::fuzz::check(vectolith::fuzz::copy_of(data, size));
  return 0;
}
