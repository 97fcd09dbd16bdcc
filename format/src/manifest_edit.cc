/// @file
/// Payloads of the manifest edits, one encoder and one decoder per kind.
#include <algorithm>
#include <string>
#include <utility>

#include "decode_checks.h"
#include "edit_codec.h"
#include "fixed_layouts.h"
#include "shared_encodings.h"

namespace vectolith::format {
namespace {

// Kinds by type, not by the variant's order: reordering the variant must not change the disk.
constexpr EditKind kind_for(const ReserveSequences&) noexcept { return EditKind::kReserveSequences; }
constexpr EditKind kind_for(const DefineInterned&) noexcept { return EditKind::kDefineInterned; }
constexpr EditKind kind_for(const CreateFamily&) noexcept { return EditKind::kCreateFamily; }
constexpr EditKind kind_for(const DropFamily&) noexcept { return EditKind::kDropFamily; }
constexpr EditKind kind_for(const AddSegment&) noexcept { return EditKind::kAddSegment; }
constexpr EditKind kind_for(const SuspendSegment&) noexcept { return EditKind::kSuspendSegment; }
constexpr EditKind kind_for(const FreezeSegment&) noexcept { return EditKind::kFreezeSegment; }
constexpr EditKind kind_for(const SealSegment&) noexcept { return EditKind::kSealSegment; }
constexpr EditKind kind_for(const RemoveSegment&) noexcept { return EditKind::kRemoveSegment; }
constexpr EditKind kind_for(const AddJournal&) noexcept { return EditKind::kAddJournal; }
constexpr EditKind kind_for(const RemoveJournal&) noexcept { return EditKind::kRemoveJournal; }
constexpr EditKind kind_for(const CleanClose&) noexcept { return EditKind::kCleanClose; }
constexpr EditKind kind_for(const NextIds&) noexcept { return EditKind::kNextIds; }

void write_ranges(Writer& writer, const std::vector<RowRange>& ranges) {
  writer.write(static_cast<std::uint32_t>(ranges.size()));
  for (const auto& range : ranges) write_range(writer, range);
}

void write_payload(Writer& writer, const ReserveSequences& edit) { writer.write(edit.until.value); }
void write_payload(Writer& writer, const DefineInterned& edit) { write_interned(writer, edit.entry); }
void write_payload(Writer& writer, const CreateFamily& edit) {
  writer.write(edit.family.value);
  writer.write(std::to_underlying(edit.kind));
  writer.write(edit.segment_bytes_target);
  writer.write_string(edit.name);
  writer.write_string({reinterpret_cast<const char*>(edit.spec.data()), edit.spec.size()});
}
void write_payload(Writer& writer, const DropFamily& edit) { writer.write(edit.family.value); }
void write_payload(Writer& writer, const AddSegment& edit) {
  writer.write(edit.segment.value);
  writer.write(edit.family.value);
  writer.write(edit.uuid);
  writer.write(edit.file_bytes);
}
void write_payload(Writer& writer, const SuspendSegment& edit) {
  writer.write(edit.segment.value);
  writer.write(edit.row_count);
}
void write_payload(Writer& writer, const FreezeSegment& edit) {
  writer.write(edit.segment.value);
  writer.write(edit.row_count);
  writer.write(edit.rows_durable);
  write_ranges(writer, edit.invalid);
}
void write_payload(Writer& writer, const SealSegment& edit) {
  writer.write(edit.segment.value);
  writer.write(edit.row_count);
  writer.write(edit.first_sequence.value);
  writer.write(edit.last_sequence.value);
  write_ranges(writer, edit.invalid);
}
void write_payload(Writer& writer, const RemoveSegment& edit) { writer.write(edit.segment.value); }
void write_payload(Writer& writer, const AddJournal& edit) {
  writer.write(edit.journal.value);
  writer.write(edit.uuid);
  writer.write(edit.file_bytes);
}
void write_payload(Writer& writer, const RemoveJournal& edit) { writer.write(edit.journal.value); }
void write_payload(Writer& writer, const CleanClose& edit) {
  writer.write(edit.next_sequence.value);
  writer.write(edit.journal_rows);
}
void write_payload(Writer& writer, const NextIds& edit) {
  writer.write(edit.segment.value);
  writer.write(edit.family.value);
  writer.write(edit.journal.value);
}

template <class Id>
Result<Id> read_id(Reader& reader) {
  VECTOLITH_TRY_ASSIGN(const auto value, reader.read<typename Id::rep>());
  return Id(value);
}

Result<Sequence> read_sequence(Reader& reader) {
  VECTOLITH_TRY_ASSIGN(const auto value, reader.read<std::uint64_t>());
  if (value > kSequenceMax) {
    return corrupt("edit: a sequence has 48 bits", reader.offset() - sizeof(value), kSequenceMax, value);
  }
  return Sequence(value);
}

Result<FamilyId> read_family(Reader& reader) {
  VECTOLITH_TRY_ASSIGN(const auto family, read_id<FamilyId>(reader));
  if (family.value == 0) return corrupt("edit: no family", reader.offset() - sizeof(family), "not 0", "0");
  return family;
}

Result<std::uint32_t> read_row_count(Reader& reader, std::uint32_t rows_max) {
  VECTOLITH_TRY_ASSIGN(const auto rows, reader.read<std::uint32_t>());
  if (rows > rows_max) return corrupt("edit: too many rows", reader.offset() - sizeof(rows), rows_max, rows);
  return rows;
}

Result<std::uint64_t> read_file_bytes(Reader& reader) {
  VECTOLITH_TRY_ASSIGN(const auto bytes, reader.read<std::uint64_t>());
  if (bytes > kSegmentFileBytesMax) {
    return corrupt("edit: file is too large", reader.offset() - sizeof(bytes), kSegmentFileBytesMax, bytes);
  }
  return bytes;
}

Result<std::vector<RowRange>> read_counted_ranges(Reader& reader, std::uint32_t row_count) {
  VECTOLITH_TRY_ASSIGN(const auto count, reader.read<std::uint32_t>());
  return read_ranges(reader, count, row_count);
}

Result<void> check_name(const std::string& name, std::size_t offset) {
  const bool clean = std::ranges::none_of(name, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7F || c == '/';
  });
  if (!name.empty() && name.size() <= kFamilyNameBytesMax && clean) return {};
  return corrupt("edit: illegal family name", offset, "1 to 255 bytes without '/' and control characters",
                 std::to_string(name.size()) + " bytes");
}

Result<void> check_spec(SegmentKind kind, std::span<const std::byte> spec, std::size_t offset) {
  if (kind == SegmentKind::kRecord && spec.empty()) return {};
  if (kind != SegmentKind::kVector) {
    return corrupt("edit: unknown family kind, or a model spec for records", offset,
                   "1 with a spec, 2 without", std::to_string(std::to_underlying(kind)));
  }
  VECTOLITH_TRY(decode_model_spec(spec));
  return {};
}

Result<Edit> read_create_family(Reader& reader) {
  CreateFamily edit;
  VECTOLITH_TRY_ASSIGN(edit.family, read_family(reader));
  VECTOLITH_TRY_ASSIGN(const auto kind, reader.read<std::uint32_t>());
  VECTOLITH_TRY_ASSIGN(edit.segment_bytes_target, read_file_bytes(reader));
  VECTOLITH_TRY_ASSIGN(edit.name, reader.read_string());
  VECTOLITH_TRY_ASSIGN(const auto spec_bytes, reader.read<std::uint16_t>());
  VECTOLITH_TRY_ASSIGN(const auto spec, reader.take(spec_bytes));
  edit.kind = static_cast<SegmentKind>(kind);
  VECTOLITH_TRY(check_name(edit.name, reader.offset()));
  VECTOLITH_TRY(check_spec(edit.kind, spec, reader.offset()));
  edit.spec.assign(spec.begin(), spec.end());
  return edit;
}

Result<Edit> read_add_segment(Reader& reader) {
  AddSegment edit;
  VECTOLITH_TRY_ASSIGN(edit.segment, read_id<SegmentId>(reader));
  VECTOLITH_TRY_ASSIGN(edit.family, read_family(reader));
  VECTOLITH_TRY_ASSIGN(edit.uuid, reader.read_uuid());
  VECTOLITH_TRY_ASSIGN(edit.file_bytes, read_file_bytes(reader));
  return edit;
}

Result<Edit> read_suspend_segment(Reader& reader) {
  SuspendSegment edit;
  VECTOLITH_TRY_ASSIGN(edit.segment, read_id<SegmentId>(reader));
  VECTOLITH_TRY_ASSIGN(edit.row_count, read_row_count(reader, kSegmentRowsMax));
  return edit;
}

Result<Edit> read_freeze_segment(Reader& reader) {
  FreezeSegment edit;
  VECTOLITH_TRY_ASSIGN(edit.segment, read_id<SegmentId>(reader));
  VECTOLITH_TRY_ASSIGN(edit.row_count, read_row_count(reader, kSegmentRowsMax));
  VECTOLITH_TRY_ASSIGN(edit.rows_durable, read_row_count(reader, edit.row_count));
  VECTOLITH_TRY_ASSIGN(edit.invalid, read_counted_ranges(reader, edit.row_count));
  return edit;
}

Result<Edit> read_seal_segment(Reader& reader) {
  SealSegment edit;
  VECTOLITH_TRY_ASSIGN(edit.segment, read_id<SegmentId>(reader));
  VECTOLITH_TRY_ASSIGN(edit.row_count, read_row_count(reader, kSegmentRowsMax));
  VECTOLITH_TRY_ASSIGN(edit.first_sequence, read_sequence(reader));
  VECTOLITH_TRY_ASSIGN(edit.last_sequence, read_sequence(reader));
  VECTOLITH_TRY_ASSIGN(edit.invalid, read_counted_ranges(reader, edit.row_count));
  if (edit.first_sequence > edit.last_sequence) {
    return corrupt("edit: sequences out of order", reader.offset(), edit.first_sequence.value,
                   edit.last_sequence.value);
  }
  return edit;
}

Result<Edit> read_add_journal(Reader& reader) {
  AddJournal edit;
  VECTOLITH_TRY_ASSIGN(edit.journal, read_id<JournalId>(reader));
  VECTOLITH_TRY_ASSIGN(edit.uuid, reader.read_uuid());
  VECTOLITH_TRY_ASSIGN(edit.file_bytes, read_file_bytes(reader));
  return edit;
}

Result<Edit> read_clean_close(Reader& reader) {
  CleanClose edit;
  VECTOLITH_TRY_ASSIGN(edit.next_sequence, read_sequence(reader));
  VECTOLITH_TRY_ASSIGN(edit.journal_rows, reader.read<std::uint32_t>());
  return edit;
}

Result<Edit> read_next_ids(Reader& reader) {
  NextIds edit;
  VECTOLITH_TRY_ASSIGN(edit.segment, read_id<SegmentId>(reader));
  VECTOLITH_TRY_ASSIGN(edit.family, read_id<FamilyId>(reader));
  VECTOLITH_TRY_ASSIGN(edit.journal, read_id<JournalId>(reader));
  return edit;
}

/// An edit whose only field `read` returns.
template <class OneField, class Value>
Result<Edit> wrap(Result<Value> value) {
  VECTOLITH_TRY_ASSIGN(auto field, std::move(value));
  return OneField{std::move(field)};
}

Result<Edit> read_payload(EditKind kind, Reader& reader) {
  switch (kind) {
    case EditKind::kReserveSequences: return wrap<ReserveSequences>(read_sequence(reader));
    case EditKind::kDefineInterned: return wrap<DefineInterned>(read_interned(reader));
    case EditKind::kCreateFamily: return read_create_family(reader);
    case EditKind::kDropFamily: return wrap<DropFamily>(read_family(reader));
    case EditKind::kAddSegment: return read_add_segment(reader);
    case EditKind::kSuspendSegment: return read_suspend_segment(reader);
    case EditKind::kFreezeSegment: return read_freeze_segment(reader);
    case EditKind::kSealSegment: return read_seal_segment(reader);
    case EditKind::kRemoveSegment: return wrap<RemoveSegment>(read_id<SegmentId>(reader));
    case EditKind::kAddJournal: return read_add_journal(reader);
    case EditKind::kRemoveJournal: return wrap<RemoveJournal>(read_id<JournalId>(reader));
    case EditKind::kCleanClose: return read_clean_close(reader);
    case EditKind::kNextIds: return read_next_ids(reader);
  }
  return corrupt("edit: unknown kind", reader.offset(), "1 to 13", std::to_string(std::to_underlying(kind)));
}

}  // namespace

EditKind kind_of(const Edit& edit) noexcept {
  return std::visit([](const auto& alternative) { return kind_for(alternative); }, edit);
}

void write_edit(Writer& writer, const Edit& edit) {
  Writer payload;
  std::visit([&](const auto& alternative) { write_payload(payload, alternative); }, edit);
  writer.write(std::to_underlying(kind_of(edit)));
  writer.write(std::uint16_t{0});
  writer.write(static_cast<std::uint32_t>(payload.size()));
  writer.write(payload.bytes());
}

Result<Edit> read_edit(Reader& reader) {
  VECTOLITH_TRY_ASSIGN(const auto kind, reader.read<std::uint16_t>());
  VECTOLITH_TRY_ASSIGN(const auto reserved, reader.read<std::uint16_t>());
  VECTOLITH_TRY_ASSIGN(const auto payload_bytes, reader.read<std::uint32_t>());
  if (reserved != 0) {
    return corrupt("edit: reserved bytes are not zero", reader.offset() - sizeof(EditHead), 0, reserved);
  }
  VECTOLITH_TRY_ASSIGN(const auto bytes, reader.take(payload_bytes));
  Reader payload(bytes);
  VECTOLITH_TRY_ASSIGN(auto edit, read_payload(static_cast<EditKind>(kind), payload));
  VECTOLITH_TRY(payload.expect_end());
  return edit;
}

}  // namespace vectolith::format
