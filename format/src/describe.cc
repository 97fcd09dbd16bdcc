/// @file
/// Field tables of every fixed-size struct, taken from the structs themselves, and dumps made with them.
#include <vectolith/format/describe.h>

#include <algorithm>
#include <array>
#include <cstring>

#include <vectolith/format/journal.h>
#include <vectolith/format/manifest.h>
#include <vectolith/format/record.h>
#include <vectolith/format/segment.h>
#include <vectolith/format/superblock.h>

#include "decode_checks.h"
#include "fixed_layouts.h"

namespace vectolith::format {
namespace {

// A macro, because nothing else yields a member's name, offset and size from one mention of it.
#define VECTOLITH_FIELD(Struct, member, type) \
  FieldInfo { #member, offsetof(Struct, member), sizeof(Struct::member), type }
// Key stands inside other structs; its parts are listed one by one.
#define VECTOLITH_KEY_FIELDS(Struct)                                                                 \
  FieldInfo{"digest", offsetof(Struct, key) + offsetof(Key, digest), sizeof(Key::digest), "u8[32]"}, \
      FieldInfo{"scope", offsetof(Struct, key) + offsetof(Key, scope), sizeof(Key::scope), "u32"},   \
      FieldInfo{"chunker", offsetof(Struct, key) + offsetof(Key, chunker), sizeof(Key::chunker), "u32"}

constexpr std::array kSuperblockFields = {
    VECTOLITH_FIELD(Superblock, magic, "char[8]"),      VECTOLITH_FIELD(Superblock, version_major, "u16"),
    VECTOLITH_FIELD(Superblock, version_minor, "u16"),  VECTOLITH_FIELD(Superblock, superblock_bytes, "u32"),
    VECTOLITH_FIELD(Superblock, compat, "u32"),         VECTOLITH_FIELD(Superblock, ro_compat, "u32"),
    VECTOLITH_FIELD(Superblock, incompat, "u32"),       VECTOLITH_FIELD(Superblock, reserved0, "u32"),
    VECTOLITH_FIELD(Superblock, store_uuid, "u8[16]"),  VECTOLITH_FIELD(Superblock, created_at_s, "u64"),
    VECTOLITH_FIELD(Superblock, reserved1, "u8[4032]"), VECTOLITH_FIELD(Superblock, checksum, "u64"),
};

constexpr std::array kSegmentHeaderFields = {
    VECTOLITH_FIELD(SegmentHeader, magic, "char[8]"),
    VECTOLITH_FIELD(SegmentHeader, version_major, "u16"),
    VECTOLITH_FIELD(SegmentHeader, version_minor, "u16"),
    VECTOLITH_FIELD(SegmentHeader, header_bytes, "u32"),
    VECTOLITH_FIELD(SegmentHeader, compat, "u32"),
    VECTOLITH_FIELD(SegmentHeader, ro_compat, "u32"),
    VECTOLITH_FIELD(SegmentHeader, incompat, "u32"),
    VECTOLITH_FIELD(SegmentHeader, kind, "u32"),
    VECTOLITH_FIELD(SegmentHeader, store_uuid, "u8[16]"),
    VECTOLITH_FIELD(SegmentHeader, segment_uuid, "u8[16]"),
    VECTOLITH_FIELD(SegmentHeader, previous_uuid, "u8[16]"),
    VECTOLITH_FIELD(SegmentHeader, segment_id, "u64"),
    VECTOLITH_FIELD(SegmentHeader, family_id, "u32"),
    VECTOLITH_FIELD(SegmentHeader, dim, "u32"),
    VECTOLITH_FIELD(SegmentHeader, dtype, "u16"),
    VECTOLITH_FIELD(SegmentHeader, metric, "u16"),
    VECTOLITH_FIELD(SegmentHeader, unit_norm, "u16"),
    VECTOLITH_FIELD(SegmentHeader, group, "u16"),
    VECTOLITH_FIELD(SegmentHeader, row_bytes, "u32"),
    VECTOLITH_FIELD(SegmentHeader, row_capacity, "u32"),
    VECTOLITH_FIELD(SegmentHeader, meta_offset, "u64"),
    VECTOLITH_FIELD(SegmentHeader, meta_bytes, "u64"),
    VECTOLITH_FIELD(SegmentHeader, matrix_offset, "u64"),
    VECTOLITH_FIELD(SegmentHeader, matrix_bytes, "u64"),
    VECTOLITH_FIELD(SegmentHeader, footer_offset, "u64"),
    VECTOLITH_FIELD(SegmentHeader, footer_bytes, "u64"),
    VECTOLITH_FIELD(SegmentHeader, file_bytes, "u64"),
    VECTOLITH_FIELD(SegmentHeader, created_at_s, "u64"),
    VECTOLITH_FIELD(SegmentHeader, manifest_version, "u64"),
    VECTOLITH_FIELD(SegmentHeader, fingerprint, "u8[16]"),
    VECTOLITH_FIELD(SegmentHeader, lane, "u32"),
    VECTOLITH_FIELD(SegmentHeader, spec_bytes, "u32"),
    VECTOLITH_FIELD(SegmentHeader, reserved, "u8[816]"),
    VECTOLITH_FIELD(SegmentHeader, spec, "u8[2048]"),
    VECTOLITH_FIELD(SegmentHeader, reserved1, "u8[1016]"),
    VECTOLITH_FIELD(SegmentHeader, checksum, "u64"),
};

constexpr std::array kMetaRowFields = {
    VECTOLITH_KEY_FIELDS(MetaRow),
    VECTOLITH_FIELD(MetaRow, sequence_and_build, "u64"),
    VECTOLITH_FIELD(MetaRow, created_at_s, "u32"),
    VECTOLITH_FIELD(MetaRow, flags, "u16"),
    VECTOLITH_FIELD(MetaRow, lag_or_count, "u16"),
    VECTOLITH_FIELD(MetaRow, vector_sum, "u32"),
    VECTOLITH_FIELD(MetaRow, row_sum, "u32"),
};

constexpr std::array kFooterHeadFields = {
    VECTOLITH_FIELD(FooterHead, magic, "char[8]"),       VECTOLITH_FIELD(FooterHead, checksum, "u64"),
    VECTOLITH_FIELD(FooterHead, segment_uuid, "u8[16]"), VECTOLITH_FIELD(FooterHead, footer_bytes, "u32"),
    VECTOLITH_FIELD(FooterHead, row_count, "u32"),       VECTOLITH_FIELD(FooterHead, first_sequence, "u64"),
    VECTOLITH_FIELD(FooterHead, last_sequence, "u64"),   VECTOLITH_FIELD(FooterHead, meta_sum, "u64"),
    VECTOLITH_FIELD(FooterHead, block_count, "u32"),     VECTOLITH_FIELD(FooterHead, range_count, "u32"),
    VECTOLITH_FIELD(FooterHead, interned_count, "u32"),  VECTOLITH_FIELD(FooterHead, flags, "u32"),
};

constexpr std::array kRecordHeaderFields = {
    VECTOLITH_KEY_FIELDS(RecordHeader),
    VECTOLITH_FIELD(RecordHeader, sequence_and_flags, "u64"),
    VECTOLITH_FIELD(RecordHeader, created_at_ms, "u64"),
    VECTOLITH_FIELD(RecordHeader, stored_bytes, "u32"),
    VECTOLITH_FIELD(RecordHeader, header_sum, "u32"),
};

constexpr std::array kRecordPrefixFields = {
    VECTOLITH_FIELD(RecordPrefix, payload_sum, "u64"),
    VECTOLITH_FIELD(RecordPrefix, raw_bytes, "u32"),
    VECTOLITH_FIELD(RecordPrefix, flags, "u16"),
    VECTOLITH_FIELD(RecordPrefix, lag_or_count, "u16"),
};

constexpr std::array kJournalHeaderFields = {
    VECTOLITH_FIELD(JournalHeader, magic, "char[8]"),
    VECTOLITH_FIELD(JournalHeader, version_major, "u16"),
    VECTOLITH_FIELD(JournalHeader, version_minor, "u16"),
    VECTOLITH_FIELD(JournalHeader, header_bytes, "u32"),
    VECTOLITH_FIELD(JournalHeader, compat, "u32"),
    VECTOLITH_FIELD(JournalHeader, ro_compat, "u32"),
    VECTOLITH_FIELD(JournalHeader, incompat, "u32"),
    VECTOLITH_FIELD(JournalHeader, row_capacity, "u32"),
    VECTOLITH_FIELD(JournalHeader, store_uuid, "u8[16]"),
    VECTOLITH_FIELD(JournalHeader, journal_uuid, "u8[16]"),
    VECTOLITH_FIELD(JournalHeader, journal_id, "u64"),
    VECTOLITH_FIELD(JournalHeader, manifest_version, "u64"),
    VECTOLITH_FIELD(JournalHeader, reserved, "u8[4008]"),
    VECTOLITH_FIELD(JournalHeader, checksum, "u64"),
};

constexpr std::array kJournalRowFields = {
    VECTOLITH_FIELD(JournalRow, checksum, "u64"),          VECTOLITH_KEY_FIELDS(JournalRow),
    VECTOLITH_FIELD(JournalRow, sequence_and_kind, "u64"), VECTOLITH_FIELD(JournalRow, family, "u32"),
    VECTOLITH_FIELD(JournalRow, manifest_version, "u32"),
};

constexpr std::array kManifestHeaderFields = {
    VECTOLITH_FIELD(ManifestHeader, magic, "char[8]"),
    VECTOLITH_FIELD(ManifestHeader, version_major, "u16"),
    VECTOLITH_FIELD(ManifestHeader, version_minor, "u16"),
    VECTOLITH_FIELD(ManifestHeader, header_bytes, "u32"),
    VECTOLITH_FIELD(ManifestHeader, compat, "u32"),
    VECTOLITH_FIELD(ManifestHeader, ro_compat, "u32"),
    VECTOLITH_FIELD(ManifestHeader, incompat, "u32"),
    VECTOLITH_FIELD(ManifestHeader, reserved0, "u32"),
    VECTOLITH_FIELD(ManifestHeader, store_uuid, "u8[16]"),
    VECTOLITH_FIELD(ManifestHeader, life, "u8[16]"),
    VECTOLITH_FIELD(ManifestHeader, snapshot_version, "u64"),
    VECTOLITH_FIELD(ManifestHeader, snapshot_bytes, "u64"),
    VECTOLITH_FIELD(ManifestHeader, file_bytes, "u64"),
    VECTOLITH_FIELD(ManifestHeader, reserved, "u8[4000]"),
    VECTOLITH_FIELD(ManifestHeader, checksum, "u64"),
};

constexpr std::array kFrameHeadFields = {
    VECTOLITH_FIELD(FrameHead, checksum, "u64"),      VECTOLITH_FIELD(FrameHead, version, "u64"),
    VECTOLITH_FIELD(FrameHead, payload_bytes, "u32"), VECTOLITH_FIELD(FrameHead, edit_count, "u32"),
    VECTOLITH_FIELD(FrameHead, reserved, "u64"),
};

constexpr std::array kEditHeadFields = {
    VECTOLITH_FIELD(EditHead, kind, "u16"),
    VECTOLITH_FIELD(EditHead, reserved, "u16"),
    VECTOLITH_FIELD(EditHead, payload_bytes, "u32"),
};

#undef VECTOLITH_KEY_FIELDS
#undef VECTOLITH_FIELD

constexpr std::array<StructInfo, 11> kStructs = {{
    {"Superblock", sizeof(Superblock), kSuperblockFields},
    {"SegmentHeader", sizeof(SegmentHeader), kSegmentHeaderFields},
    {"MetaRow", sizeof(MetaRow), kMetaRowFields},
    {"FooterHead", sizeof(FooterHead), kFooterHeadFields},
    {"RecordHeader", sizeof(RecordHeader), kRecordHeaderFields},
    {"RecordPrefix", sizeof(RecordPrefix), kRecordPrefixFields},
    {"JournalHeader", sizeof(JournalHeader), kJournalHeaderFields},
    {"JournalRow", sizeof(JournalRow), kJournalRowFields},
    {"ManifestHeader", sizeof(ManifestHeader), kManifestHeaderFields},
    {"FrameHead", sizeof(FrameHead), kFrameHeadFields},
    {"EditHead", sizeof(EditHead), kEditHeadFields},
}};

/// Bytes of a field's type, from its text: catches a table whose types drift from the struct.
constexpr std::size_t type_bytes(std::string_view type) {
  const std::size_t open = type.find('[');
  if (open == std::string_view::npos) {
    return type == "u64" ? 8 : type == "u32" ? 4 : type == "u16" ? 2 : 0;
  }
  std::size_t count = 0;
  for (const char c : type.substr(open + 1, type.size() - open - 2)) {
    count = count * 10 + static_cast<std::size_t>(c - '0');
  }
  return count;
}

/// Each table covers its struct without gap or overlap.
constexpr bool is_gapless(const StructInfo& info) {
  std::size_t next = 0;
  for (const auto& field : info.fields) {
    if (field.offset != next || field.bytes != type_bytes(field.type)) return false;
    next += field.bytes;
  }
  return next == info.bytes;
}
static_assert(std::ranges::all_of(kStructs, is_gapless));

std::string integer_value(std::span<const std::byte> bytes) {
  std::uint64_t value = 0;
  std::memcpy(&value, bytes.data(), bytes.size());
  return std::to_string(value);
}

std::string text_value(std::span<const std::byte> bytes) {
  std::string text = "\"";
  for (const std::byte byte : bytes) {
    const char c = static_cast<char>(byte);
    text.push_back(c >= ' ' && c <= '~' ? c : '.');
  }
  return text + '"';
}

std::string array_value(std::span<const std::byte> bytes) {
  constexpr std::size_t kShownMax = 32;
  if (bytes.size() > kShownMax && all_zero(bytes)) return std::to_string(bytes.size()) + " zero bytes";
  const auto shown = bytes.first(std::min(bytes.size(), kShownMax));
  std::string text = hex_of(shown);
  if (shown.size() < bytes.size()) text += "... (" + std::to_string(bytes.size()) + " bytes)";
  return text;
}

std::string value_of(const FieldInfo& field, std::span<const std::byte> bytes) {
  if (field.type.starts_with("char")) return text_value(bytes);
  if (field.type.find('[') != std::string_view::npos) return array_value(bytes);
  return integer_value(bytes);
}

}  // namespace

std::span<const StructInfo> struct_table() noexcept { return kStructs; }

std::string describe(const StructInfo& info, std::span<const std::byte> bytes) {
  std::string text;
  for (const auto& field : info.fields) {
    text.append(field.name).append(" = ");
    const std::size_t available = bytes.size() > field.offset ? bytes.size() - field.offset : 0;
    if (available >= field.bytes) {
      text.append(value_of(field, bytes.subspan(field.offset, field.bytes)));
    } else if (available > 0) {
      text.append(hex_of(bytes.subspan(field.offset))).append(" (truncated)");
    } else {
      text.append("(absent)");
    }
    text.push_back('\n');
  }
  return text;
}

}  // namespace vectolith::format
