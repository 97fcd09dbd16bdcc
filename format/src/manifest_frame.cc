/// @file
/// Manifest file headers and the frames that make edits atomic.
#include <algorithm>
#include <cstring>
#include <limits>
#include <string>

#include <vectolith/format/bytes.h>
#include <vectolith/format/manifest.h>

#include "dcheck.h"
#include "decode_checks.h"
#include "edit_codec.h"
#include "fixed_layouts.h"

namespace vectolith::format {
namespace {

std::uint64_t frame_sum(std::span<const std::byte> frame, const Uuid& life, std::uint64_t offset) noexcept {
  return checksum64(frame.subspan(sizeof(FrameHead::checksum)), position_seed(life, offset));
}

Result<FrameHead> decode_head(std::span<const std::byte> bytes, const Uuid& life, std::uint64_t offset) {
  if (bytes.size() < kFrameAlignment) {
    return corrupt("manifest frame is truncated", offset, kFrameAlignment, bytes.size());
  }
  if (all_zero(bytes.first(kFrameAlignment))) {
    return std::unexpected(Error(ErrorCode::kNotFound, "no manifest frame here").with_offset(offset));
  }
  FrameHead head;
  std::memcpy(&head, bytes.data(), sizeof(head));
  const std::uint64_t frame_bytes =
      align_up(sizeof(head) + std::uint64_t{head.payload_bytes}, kFrameAlignment);
  if (frame_bytes > bytes.size()) {
    return corrupt("manifest frame leaves the file", offset, "at most " + std::to_string(bytes.size()),
                   std::to_string(frame_bytes));
  }
  if (const auto sum = frame_sum(bytes.first(frame_bytes), life, offset); sum != head.checksum) {
    return corrupt_sum("manifest frame: checksum does not hold at this place", offset, sum, head.checksum);
  }
  if (head.reserved != 0) {
    return corrupt("manifest frame: reserved bytes are not zero", offset + offsetof(FrameHead, reserved), 0,
                   head.reserved);
  }
  return head;
}

Result<std::vector<Edit>> decode_edits(std::span<const std::byte> payload, std::uint32_t count,
                                       std::uint64_t offset) {
  if (count > payload.size() / sizeof(EditHead)) {
    return corrupt("manifest frame: more edits than bytes", offset, payload.size() / sizeof(EditHead), count);
  }
  Reader reader(payload);
  std::vector<Edit> edits;
  // Not `count`: an edit in memory is larger than on disk, and the count is the file's word.
  edits.reserve(std::min<std::size_t>(count, 4'096));
  for (std::uint32_t i = 0; i < count; ++i) {
    VECTOLITH_TRY_ASSIGN(auto edit, read_edit(reader));
    edits.push_back(std::move(edit));
  }
  VECTOLITH_TRY(reader.expect_end());
  return edits;
}

Result<void> check_snapshot(const ManifestHeader& header) {
  if (header.file_bytes < kManifestFileBytesMin || header.file_bytes > kSegmentFileBytesMax) {
    return corrupt("manifest header: illegal file size", offsetof(ManifestHeader, file_bytes),
                   std::to_string(kManifestFileBytesMin) + " to 2^40", std::to_string(header.file_bytes));
  }
  if (header.snapshot_bytes < kFrameAlignment || header.snapshot_bytes % kFrameAlignment != 0 ||
      header.snapshot_bytes > header.file_bytes - kManifestHeaderBytes) {
    return corrupt("manifest header: illegal snapshot size", offsetof(ManifestHeader, snapshot_bytes),
                   "a multiple of 64 within the file", std::to_string(header.snapshot_bytes));
  }
  return {};
}

}  // namespace

std::array<std::byte, kManifestHeaderBytes> encode_manifest_header(ManifestHeader header) {
  return encode_header(header);
}

Result<ManifestHeader> decode_manifest_header(std::span<const std::byte> bytes) {
  constexpr std::string_view kWhat = "manifest header";
  VECTOLITH_TRY_ASSIGN(const auto header, decode_header<ManifestHeader>(bytes, kManifestMagic, kWhat));
  if (header.header_bytes != kManifestHeaderBytes) {
    return corrupt("manifest header: wrong size", offsetof(ManifestHeader, header_bytes),
                   kManifestHeaderBytes, header.header_bytes);
  }
  VECTOLITH_TRY(check_reserved(bytes_of(header.reserved0), kWhat, offsetof(ManifestHeader, reserved0)));
  VECTOLITH_TRY(check_reserved(header.reserved, kWhat, offsetof(ManifestHeader, reserved)));
  VECTOLITH_TRY(check_snapshot(header));
  return header;
}

std::vector<std::byte> encode_frame(std::span<const Edit> edits, ManifestVersion version, const Uuid& life,
                                    std::uint64_t offset) {
  FrameHead head;
  head.version = version;
  head.edit_count = static_cast<std::uint32_t>(edits.size());
  Writer writer;
  writer.write(bytes_of(head));
  for (const auto& edit : edits) write_edit(writer, edit);
  VECTOLITH_DCHECK(writer.size() - sizeof(head) <= std::numeric_limits<std::uint32_t>::max());
  head.payload_bytes = static_cast<std::uint32_t>(writer.size() - sizeof(head));
  auto frame = std::move(writer).take();
  frame.resize(align_up(frame.size(), kFrameAlignment));
  std::memcpy(frame.data(), &head, sizeof(head));
  head.checksum = frame_sum(frame, life, offset);
  std::memcpy(frame.data(), &head, sizeof(head));
  return frame;
}

Result<Frame> decode_frame(std::span<const std::byte> bytes, const Uuid& life, std::uint64_t offset) {
  VECTOLITH_TRY_ASSIGN(const auto head, decode_head(bytes, life, offset));
  const std::size_t payload_end = sizeof(head) + head.payload_bytes;
  Frame frame{.version = head.version, .edits = {}, .frame_bytes = align_up(payload_end, kFrameAlignment)};
  VECTOLITH_TRY(check_reserved(bytes.first(frame.frame_bytes).subspan(payload_end), "manifest frame",
                               offset + payload_end));
  VECTOLITH_TRY_ASSIGN(
      frame.edits, decode_edits(bytes.subspan(sizeof(head), head.payload_bytes), head.edit_count, offset));
  return frame;
}

}  // namespace vectolith::format
