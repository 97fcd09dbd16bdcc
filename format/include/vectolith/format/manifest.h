/// @file
/// Manifest: typed edits, frames of edits that are atomic, and the file header with its snapshot.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include <vectolith/format/features.h>
#include <vectolith/format/ids.h>
#include <vectolith/format/model_spec.h>
#include <vectolith/format/result.h>
#include <vectolith/format/segment.h>

namespace vectolith::format {

inline constexpr std::array<char, 8> kManifestMagic = {'V', 'L', 'I', 'T', 'H', 'M', 'A', 'N'};
inline constexpr std::size_t kManifestHeaderBytes = 4'096;
inline constexpr std::uint64_t kManifestFileBytesMin = 262'144;
inline constexpr std::size_t kFrameAlignment = 64;
inline constexpr std::size_t kFamilyNameBytesMax = 255;

/// Sequences below `until` may be handed out; an open starts at the newest `until`. Also marks the
/// store as in use: after a clean close this is the first edit of the next writer.
struct ReserveSequences {
  Sequence until;
  friend bool operator==(const ReserveSequences&, const ReserveSequences&) = default;
};
/// A store-wide interned id. Durable before the first row that uses it; never reused.
struct DefineInterned {
  InternedEntry entry;
  friend bool operator==(const DefineInterned&, const DefineInterned&) = default;
};
struct CreateFamily {
  FamilyId family;
  SegmentKind kind{};
  std::string name;             ///< 1 to 255 bytes, no '/' and no control characters.
  std::vector<std::byte> spec;  ///< Encoded model spec; empty for record families.
  std::uint64_t segment_bytes_target = 0;
  friend bool operator==(const CreateFamily&, const CreateFamily&) = default;
};
struct DropFamily {
  FamilyId family;
  friend bool operator==(const DropFamily&, const DropFamily&) = default;
};
/// A new segment, active: rows may follow.
struct AddSegment {
  SegmentId segment;
  FamilyId family;
  Uuid uuid;
  std::uint64_t file_bytes = 0;
  friend bool operator==(const AddSegment&, const AddSegment&) = default;
};
/// A clean close left this active segment drained and synced: the next writer may resume it.
struct SuspendSegment {
  SegmentId segment;
  std::uint32_t row_count = 0;
  friend bool operator==(const SuspendSegment&, const SuspendSegment&) = default;
};
/// An unclean end left it unsealed: these rows and no others, now and for ever; data not yet synced.
struct FreezeSegment {
  SegmentId segment;
  std::uint32_t row_count = 0;
  std::uint32_t rows_durable = 0;  ///< The watermark recovery found.
  std::vector<RowRange> invalid;
  friend bool operator==(const FreezeSegment&, const FreezeSegment&) = default;
};
/// The footer is durable: immutable from here on.
struct SealSegment {
  SegmentId segment;
  std::uint32_t row_count = 0;
  Sequence first_sequence;
  Sequence last_sequence;
  std::vector<RowRange> invalid;
  friend bool operator==(const SealSegment&, const SealSegment&) = default;
};
struct RemoveSegment {
  SegmentId segment;
  friend bool operator==(const RemoveSegment&, const RemoveSegment&) = default;
};
struct AddJournal {
  JournalId journal;
  Uuid uuid;
  std::uint64_t file_bytes = 0;
  friend bool operator==(const AddJournal&, const AddJournal&) = default;
};
struct RemoveJournal {
  JournalId journal;
  friend bool operator==(const RemoveJournal&, const RemoveJournal&) = default;
};
/// Everything is drained, synced and suspended. `journal_rows` counts rows of the newest journal.
struct CleanClose {
  Sequence next_sequence;
  std::uint32_t journal_rows = 0;
  friend bool operator==(const CleanClose&, const CleanClose&) = default;
};
/// Identifiers below these were handed out; written into snapshots so that none is reused.
struct NextIds {
  SegmentId segment;
  FamilyId family;
  JournalId journal;
  friend bool operator==(const NextIds&, const NextIds&) = default;
};

/// One change of the store's structure. The variant's order is no format; kinds are (EditKind).
using Edit =
    std::variant<ReserveSequences, DefineInterned, CreateFamily, DropFamily, AddSegment, SuspendSegment,
                 FreezeSegment, SealSegment, RemoveSegment, AddJournal, RemoveJournal, CleanClose, NextIds>;
/// Persistent numbers of the edits; 0 is invalid.
enum class EditKind : std::uint16_t {
  kReserveSequences = 1,
  kDefineInterned = 2,
  kCreateFamily = 3,
  kDropFamily = 4,
  kAddSegment = 5,
  kSuspendSegment = 6,
  kFreezeSegment = 7,
  kSealSegment = 8,
  kRemoveSegment = 9,
  kAddJournal = 10,
  kRemoveJournal = 11,
  kCleanClose = 12,
  kNextIds = 13,
};
EditKind kind_of(const Edit& edit) noexcept;

/// First 4 KiB of MANIFEST-0 or MANIFEST-1. Written after the snapshot behind it is durable; only
/// then the file's version counts.
struct ManifestHeader {
  std::array<char, 8> magic = kManifestMagic;
  std::uint16_t version_major = kVersionMajor;
  std::uint16_t version_minor = kVersionMinor;
  std::uint32_t header_bytes = kManifestHeaderBytes;
  std::uint32_t compat = 0;
  std::uint32_t ro_compat = 0;
  std::uint32_t incompat = 0;
  std::uint32_t reserved0 = 0;
  Uuid store_uuid;
  Uuid life;                         ///< Random per snapshot: seeds the frames of this file.
  ManifestVersion snapshot_version;  ///< Number of the snapshot; the first edit frame has the next.
  std::uint64_t snapshot_bytes = 0;  ///< Length of the snapshot frame at offset 4,096.
  std::uint64_t file_bytes = 0;
  std::array<std::byte, 4'000> reserved{};  ///< Zero; a reader rejects other values.
  std::uint64_t checksum = 0;               ///< XXH3-64 over bytes [0, 4088).
};
static_assert(sizeof(ManifestHeader) == kManifestHeaderBytes);
static_assert(std::has_unique_object_representations_v<ManifestHeader>);

std::array<std::byte, kManifestHeaderBytes> encode_manifest_header(ManifestHeader header);
/// Errors: kCorruption, kUnsupported, as for segment headers.
Result<ManifestHeader> decode_manifest_header(std::span<const std::byte> bytes);

/// A frame is the atom of the manifest: all of its edits or none. 32-byte head, then the edits, zero
/// padded to 64 bytes: u64 checksum (XXH3-64 of everything after it, padding included, seeded by
/// position_seed(life, offset)), u64 version, u32 payload bytes, u32 edit count, u64 reserved.
std::vector<std::byte> encode_frame(std::span<const Edit> edits, ManifestVersion version, const Uuid& life,
                                    std::uint64_t offset);
struct Frame {
  ManifestVersion version;
  std::vector<Edit> edits;
  std::uint64_t frame_bytes = 0;  ///< Including padding.
};
/// Decodes the frame at `offset` of a manifest file (`bytes` starts there).
/// Errors: kNotFound if the first 64 bytes are zero (no frame here), kCorruption otherwise.
Result<Frame> decode_frame(std::span<const std::byte> bytes, const Uuid& life, std::uint64_t offset);

}  // namespace vectolith::format
