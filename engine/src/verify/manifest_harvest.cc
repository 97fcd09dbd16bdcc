/// @file
/// Frames found at every 64-byte boundary under the life that the file's header names.
#include "verify/manifest_harvest.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include <vectolith/format/bytes.h>
#include <vectolith/format/manifest.h>

#include "verify/sort_stably.h"

namespace vectolith::engine {
namespace {

constexpr std::size_t kPayloadOffset = 16;
constexpr std::size_t kFrameHeadBytes = 32;
constexpr std::uint64_t kSumsPerByte = 64;

struct HarvestedFrame {
  format::Frame frame;
  bool is_snapshot = false;
};

void collect_frames(std::span<const std::byte> image, std::vector<HarvestedFrame>& frames) {
  if (image.size() < format::kManifestHeaderBytes + format::kFrameAlignment) return;
  Uuid life;  // Also of a header whose own sum fails: the frames' sums prove it.
  std::memcpy(&life, image.data() + offsetof(format::ManifestHeader, life), sizeof life);
  std::uint64_t budget = kSumsPerByte * image.size();
  std::uint64_t offset = format::kManifestHeaderBytes;
  while (offset + format::kFrameAlignment <= image.size()) {
    const auto rest = image.subspan(offset);
    std::uint32_t payload_bytes = 0;
    std::memcpy(&payload_bytes, rest.data() + kPayloadOffset, sizeof payload_bytes);
    const std::uint64_t bytes =
        format::align_up(kFrameHeadBytes + std::uint64_t{payload_bytes}, format::kFrameAlignment);
    if (bytes <= rest.size() && payload_bytes != 0) {
      if (bytes > budget) return;
      budget -= bytes;
      if (auto frame = format::decode_frame(rest, life, offset)) {
        frames.push_back({*std::move(frame), offset == format::kManifestHeaderBytes});
        offset += bytes;
        continue;
      }
    }
    offset += format::kFrameAlignment;
  }
}

}  // namespace

ManifestHarvest harvest_manifests(std::span<const std::vector<std::byte>> images) {
  std::vector<HarvestedFrame> frames;
  ManifestHarvest harvest;
  for (const auto& image : images) {
    collect_frames(image, frames);
    if (const auto header = format::decode_manifest_header(image))
      harvest.newest = std::max(harvest.newest, header->snapshot_version);
  }
  sort_stably(frames, [](const HarvestedFrame& f) -> const ManifestVersion& { return f.frame.version; });
  for (const auto& [frame, is_snapshot] : frames) {
    harvest.newest = std::max(harvest.newest, frame.version);
    if (is_snapshot) harvest.state = ManifestState();  // It tells everything as of its version.
    for (const format::Edit& edit : frame.edits) {
      if (const auto* removed = std::get_if<format::RemoveSegment>(&edit))
        harvest.removed.insert(removed->segment);
      if (const auto* dropped = std::get_if<format::DropFamily>(&edit))
        harvest.dropped.insert(dropped->family);
      // Where frames before it are lost an edit may have nothing to apply to.
      (void)harvest.state.apply(edit);
    }
  }
  return harvest;
}

}  // namespace vectolith::engine
