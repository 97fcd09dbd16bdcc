/// @file
/// Superblock and manifest, each copy on its own, and the names in the directory.
#include "verify/fsck_structure.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include <vectolith/format/bytes.h>
#include <vectolith/format/checksum.h>
#include <vectolith/format/file_name.h>
#include <vectolith/format/journal.h>
#include <vectolith/format/superblock.h>

#include "manifest/manifest_file.h"

namespace vectolith::engine {
namespace {

using Severity = Finding::Severity;
using Kind = Finding::Kind;
using NameKind = format::ParsedName::Kind;

constexpr int kOnlineAttempts = 8;

Result<void> check_superblock_copy(FsckContext& context, const File& file, std::uint64_t offset,
                                   std::span<const std::byte> bytes) {
  const auto superblock = format::decode_superblock(bytes);
  if (!superblock) {
    if (superblock.error().code() == ErrorCode::kUnsupported) return std::unexpected(superblock.error());
    context.findings.add(Severity::kDamage, Kind::kAcknowledgedDamage, {file.path(), offset},
                         superblock.error());
    return {};
  }
  if (context.store_uuid && *context.store_uuid != superblock->store_uuid) {
    context.findings.damage(Kind::kContradiction, {file.path(), offset}, "the superblock's copies differ",
                            to_text(*context.store_uuid), to_text(superblock->store_uuid));
    return {};
  }
  context.store_uuid = superblock->store_uuid;
  return {};
}

/// The uuid in a manifest header whose sum holds: for a store whose superblock is gone.
std::optional<Uuid> manifest_store_uuid(std::span<const std::byte> bytes) {
  const auto header = format::decode_manifest_header(bytes);
  return header ? std::optional(header->store_uuid) : std::nullopt;
}

/// Both manifest files as they were read.
struct ManifestImages {
  ManifestPair pair;
  std::array<std::string, 2> paths;
  std::array<std::vector<std::byte>, 2> bytes;
  std::array<std::optional<Error>, 2> unreadable;
};

ManifestImages load_manifests(FsckContext& context) {
  ManifestImages images;
  for (std::size_t i : {0U, 1U}) {
    const std::string name = format::manifest_name(static_cast<int>(i));
    images.paths[i] = context.directory.path() + "/" + name;
    const auto file = context.findings.open(context.directory, name);
    if (file == nullptr) continue;
    auto loaded = load_manifest_bytes(*file);
    if (!loaded) {
      images.unreadable[i] = std::move(loaded).error().with_file(images.paths[i]);
      continue;
    }
    images.bytes[i] = *std::move(loaded);
    context.findings.count_read(images.bytes[i].size());
    if (!context.store_uuid) context.store_uuid = manifest_store_uuid(images.bytes[i]);
  }
  for (std::size_t i : {0U, 1U}) {
    images.pair.files[i] =
        read_manifest_file(images.bytes[i], images.paths[i], context.store_uuid.value_or(Uuid{}));
  }
  return images;
}

/// Whether the frame at the front of `rest` would hold with the number `version`: then only its number
/// was damaged, and a commit does not leave that behind.
bool holds_with_version(std::span<const std::byte> rest, const Uuid& life, std::uint64_t offset,
                        std::uint64_t version) {
  constexpr std::size_t kVersionOffset = 8, kPayloadOffset = 16, kHeadBytes = 32;
  std::uint64_t sum = 0;
  std::uint32_t payload_bytes = 0;
  std::memcpy(&sum, rest.data(), sizeof sum);
  std::memcpy(&payload_bytes, rest.data() + kPayloadOffset, sizeof payload_bytes);
  const std::uint64_t frame_bytes =
      format::align_up(kHeadBytes + std::uint64_t{payload_bytes}, format::kFrameAlignment);
  if (frame_bytes > rest.size()) return false;
  std::vector<std::byte> frame(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(frame_bytes));
  std::memcpy(frame.data() + kVersionOffset, &version, sizeof version);
  return format::checksum64(std::span(frame).subspan(kVersionOffset), format::position_seed(life, offset)) ==
         sum;
}

/// Bytes that look like the next frame, but are none: a commit that did not end, or damage to it.
void report_unfinished_frame(FsckContext& context, const std::string& path, const ManifestFile& file,
                             std::span<const std::byte> bytes) {
  constexpr std::size_t kVersionOffset = 8;
  if (file.end + format::kFrameAlignment > bytes.size()) return;
  const auto rest = bytes.subspan(file.end);
  const std::uint64_t next = file.version.value + 1;
  std::uint64_t version = 0;
  std::memcpy(&version, rest.data() + kVersionOffset, sizeof version);
  if (version == next) {
    // The other bytes behind the last frame, of an earlier life, carry lower numbers.
    context.add_unfinished({path, file.end}, "an unfinished manifest frame", "frame " + std::to_string(next),
                           "its sum does not hold");
  } else if (holds_with_version(rest, file.life, file.end, next)) {
    context.findings.damage(Kind::kAcknowledgedDamage, {path, file.end},
                            "the number of the last manifest frame is damaged", std::to_string(next),
                            std::to_string(version));
  }
}

void check_orphan_journal(FsckContext& context, const File& file, Place place) {
  std::array<std::byte, format::kJournalHeaderBytes> bytes{};
  const auto read = file.read_at(0, bytes);
  if (!read || *read < bytes.size()) return;
  if (const auto header = format::decode_journal_header(bytes))
    context.check_version(place, header->manifest_version);
}

void check_orphan_segment(FsckContext& context, const File& file, Place place, SegmentId id) {
  std::array<std::byte, format::kSegmentHeaderBytes> bytes{};
  const auto read = file.read_at(0, bytes);
  if (!read || *read < bytes.size()) return;
  const auto header = format::decode_segment_header(bytes);
  if (!header) return;
  context.check_version(place, header->manifest_version);
  for (const auto& [known, entry] : context.state->segments()) {
    if (entry.uuid == header->segment_uuid) {
      context.findings.warning(Kind::kStaleEpoch, place, "a second file with the life of another segment",
                               format::segment_name(known), format::segment_name(id));
    }
  }
  std::array<std::byte, sizeof(format::MetaRow)> head{};
  const bool holds_records = header->kind == format::SegmentKind::kRecord;
  const auto first = file.read_at(holds_records ? header->matrix_offset : header->meta_offset, head);
  const bool is_used = first && std::ranges::any_of(head, [](std::byte b) { return b != std::byte{0}; });
  if (is_used && id >= context.state->next_ids().segment) {
    context.findings.warning(
        Kind::kOrphan, place,
        "a segment with rows that the manifest never knew: an unpublished batch, or lost manifest frames",
        "an id below " + std::to_string(context.state->next_ids().segment.value), std::to_string(id.value));
  }
}

/// A file of ours that the manifest does not name: left over by a crash, removed by the next open.
void check_orphan(FsckContext& context, const std::string& name, const format::ParsedName& parsed) {
  const auto file = context.directory.open(name, OpenMode::kReadOnly);
  const std::string path = context.directory.path() + "/" + name;
  context.findings.info(Kind::kOrphan, {path, 0}, "an orphan: the manifest does not name it",
                        "named by the manifest", "not named");
  if (!file) return;
  if (parsed.kind == NameKind::kSegment) {
    check_orphan_segment(context, **file, {path, 0}, SegmentId(parsed.number));
  } else {
    check_orphan_journal(context, **file, {path, 0});
  }
}

}  // namespace

std::string to_text(const Uuid& uuid) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text = "0x";
  for (const std::byte byte : uuid.bytes) {
    text += kDigits[std::to_integer<unsigned>(byte) >> 4];
    text += kDigits[std::to_integer<unsigned>(byte) & 0xF];
  }
  return text;
}

Result<void> check_superblock(FsckContext& context) {
  const auto file = context.findings.open(context.directory, std::string(format::kSuperblockName));
  if (file == nullptr) return {};
  std::vector<std::byte> bytes(format::kSuperblockFileBytes);
  context.findings.read(*file, 0, bytes);
  for (std::uint64_t offset = 0; offset < bytes.size(); offset += format::kSuperblockBytes) {
    VECTOLITH_TRY(check_superblock_copy(context, *file, offset,
                                        std::span(bytes).subspan(offset, format::kSuperblockBytes)));
  }
  const std::uint64_t size = context.findings.size_of(*file);
  if (size > format::kSuperblockFileBytes) {
    context.findings.warning(
        Kind::kStrayBytes, {file->path(), format::kSuperblockFileBytes}, "bytes behind the superblock",
        std::to_string(format::kSuperblockFileBytes) + " bytes", std::to_string(size) + " bytes");
  }
  context.findings.finish_file(size);
  return {};
}

Result<void> check_manifest(FsckContext& context) {
  ManifestImages images = load_manifests(context);
  auto chosen = images.pair.choose();
  // A live writer may switch files between the reads of the two.
  for (int attempt = 1; context.online && !chosen && attempt < kOnlineAttempts; ++attempt) {
    images = load_manifests(context);
    chosen = images.pair.choose();
  }
  // Small next to the segments: counted at once.
  for (const auto& bytes : images.bytes) context.findings.finish_file(bytes.size());
  for (const auto& error : images.unreadable) {
    if (error) context.findings.add(Severity::kDamage, Kind::kUnreadable, {error->file(), 0}, *error);
  }
  if (!chosen) {
    if (chosen.error().code() == ErrorCode::kUnsupported) return std::unexpected(chosen.error());
    const std::string& named = chosen.error().file();
    context.findings.add(Severity::kDamage, Kind::kAcknowledgedDamage,
                         {named.empty() ? images.paths[0] : named, 0}, chosen.error());
    return {};
  }
  const auto best = static_cast<std::size_t>(*chosen);
  ManifestFile& newest = images.pair.files[best];
  const ManifestFile& other = images.pair.files[1 - best];
  report_unfinished_frame(context, images.paths[best], newest, images.bytes[best]);
  if (other.error)
    context.add_unfinished({images.paths[1 - best], other.error->offset().value_or(0)},
                           other.error->message(), "an older manifest", other.error->found());
  context.version = newest.version;
  context.state = std::move(newest.state);
  return {};
}

void check_directory(FsckContext& context, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const auto parsed = format::parse_name(name);
    if (!parsed) {
      const bool set_aside = format::is_set_aside(name);
      context.findings.add(set_aside ? Severity::kInfo : Severity::kWarning,
                           set_aside ? Kind::kSetAside : Kind::kForeignFile,
                           {context.directory.path() + "/" + name, 0},
                           set_aside ? "a file that recovery or a repair set aside"
                                     : "a foreign file in the store's directory",
                           "files of the store only", name);
      continue;
    }
    if (!context.state) continue;
    const bool orphan_segment =
        parsed->kind == NameKind::kSegment && !context.state->segments().contains(SegmentId(parsed->number));
    const bool orphan_journal =
        parsed->kind == NameKind::kJournal && !context.state->journals().contains(JournalId(parsed->number));
    // Online a file may be older than its manifest edit, or younger than its removal.
    if (!context.online && (orphan_segment || orphan_journal)) check_orphan(context, name, *parsed);
  }
}

}  // namespace vectolith::engine
