/// @file
/// Lays out superblock, manifest, journals and segments as a store would have left them.
#include "support/store_builder.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <utility>

#include <vectolith/format/file_name.h>
#include <vectolith/format/record.h>
#include <vectolith/format/superblock.h>

#include "support/manifest_edits.h"
#include "support/temp_directory.h"

namespace vectolith::testing {
namespace {

using namespace format;

template <class T>
T value_of(Result<T> result) {
  if (!result) {
    std::cerr << result.error().to_string() << '\n';
    std::abort();
  }
  return *std::move(result);
}

Key key_of(SegmentId segment, std::uint32_t row, const BuiltRow& fields) {
  return {.digest = Digest::from_number(segment.value << 32 | (row + 1)),
          .scope = fields.scope,
          .chunker = fields.chunker};
}

}  // namespace

SegmentImage::SegmentImage(const Uuid& store, SegmentId id, FamilyId family, const ModelSpec* spec) {
  header.kind = spec != nullptr ? SegmentKind::kVector : SegmentKind::kRecord;
  header.store_uuid = store;
  header.segment_uuid = test_uuid(1'000 + id.value);
  header.segment_id = id;
  header.family_id = family;
  if (spec != nullptr) header.set_spec(*spec);
  header.set_geometry(value_of(spec != nullptr ? vector_geometry(kSegmentFileBytesMin, spec->vector_bytes())
                                               : record_geometry(kSegmentFileBytesMin)));
  bytes.resize(header.file_bytes);
  write_header();
}

void SegmentImage::write_header() { std::ranges::copy(encode_segment_header(header), bytes.begin()); }

void SegmentImage::note_sequence(Sequence sequence) {
  const bool is_first = footer.last_sequence.value == 0;
  footer.first_sequence = is_first ? sequence : std::min(footer.first_sequence, sequence);
  footer.last_sequence = std::max(footer.last_sequence, sequence);
}

void SegmentImage::put_row(std::uint32_t row, const BuiltRow& fields) {
  const auto vector = std::span(bytes).subspan(vector_offset(row), header.row_bytes);
  for (std::size_t i = 0; i < vector.size(); ++i) vector[i] = static_cast<std::byte>(1 + row * 7 + i);
  MetaRow meta{};
  meta.key = key_of(header.segment_id, row, fields);
  meta.set_sequence_and_build(fields.sequence, fields.build);
  meta.created_at_s = 1'700'000'000;
  meta.flags = fields.flags;
  meta.lag_or_count = fields.lag_or_count;
  meta.vector_sum = format::vector_sum(header.segment_uuid, RowIndex(row), vector);
  meta.row_sum = format::row_sum(header.segment_uuid, RowIndex(row), meta);
  std::memcpy(bytes.data() + row_offset(row), &meta, sizeof meta);
  note_sequence(fields.sequence);
}

std::uint32_t SegmentImage::put_record(std::uint32_t unit, std::string_view payload, const BuiltRow& fields) {
  const auto prepared = value_of(prepare_payload(std::as_bytes(std::span(payload))));
  const std::uint32_t units = record_units(static_cast<std::uint32_t>(prepared.bytes().size()));
  const RecordFields record{.key = key_of(header.segment_id, unit, fields),
                            .sequence = fields.sequence,
                            .flags = fields.flags,
                            .created_at_ms = 1'700'000'000'000,
                            .lag_or_count = fields.lag_or_count};
  encode_record(record, prepared, header.segment_uuid, RowIndex(unit),
                std::span(bytes).subspan(row_offset(unit), std::size_t{units} * 64));
  note_sequence(fields.sequence);
  return unit + units;
}

void SegmentImage::seal(std::uint32_t rows, std::vector<RowRange> invalid,
                        std::vector<InternedEntry> interned) {
  footer.segment_uuid = header.segment_uuid;
  footer.row_count = rows;
  footer.invalid = std::move(invalid);
  footer.interned = std::move(interned);
  const std::span<const std::byte> all(bytes);
  if (header.kind == SegmentKind::kVector)
    footer.meta_sum = checksum64(all.subspan(header.meta_offset, rows * 64ULL));
  const std::uint64_t used = std::uint64_t{rows} * header.row_bytes;
  footer.block_sums.clear();
  for (std::uint64_t at = 0; at < used; at += kMatrixBlockBytes) {
    footer.block_sums.push_back(
        checksum64(all.subspan(header.matrix_offset + at, std::min(kMatrixBlockBytes, used - at))));
  }
  const auto encoded = value_of(encode_segment_footer(footer, header.footer_bytes));
  footer_used_bytes = encoded.size();
  std::ranges::copy(encoded, bytes.begin() + static_cast<std::ptrdiff_t>(header.footer_offset));
}

AddSegment SegmentImage::add_edit() const {
  return {header.segment_id, header.family_id, header.segment_uuid, header.file_bytes};
}

SealSegment SegmentImage::seal_edit() const {
  return {header.segment_id, footer.row_count, footer.first_sequence, footer.last_sequence, footer.invalid};
}

std::string SegmentImage::name() const { return segment_name(header.segment_id); }

std::uint64_t SegmentImage::row_offset(std::uint32_t row) const {
  return (header.kind == SegmentKind::kVector ? header.meta_offset : header.matrix_offset) + row * 64ULL;
}

std::uint64_t SegmentImage::vector_offset(std::uint32_t row) const {
  return header.matrix_offset + std::uint64_t{row} * header.row_bytes;
}

StoreBuilder::StoreBuilder() : uuid_(test_uuid(77)) {}

ModelSpec StoreBuilder::spec() {
  ModelSpec spec;
  spec.model = "test-model";
  spec.dim = 8;
  return spec;
}

FamilyId StoreBuilder::add_family(const std::string& name, SegmentKind kind) {
  const FamilyId id(static_cast<std::uint32_t>(families_.size() + 1));
  families_.push_back({id, kind});
  auto encoded = kind == SegmentKind::kVector ? encode_model_spec(spec()) : std::vector<std::byte>{};
  edits_.emplace_back(CreateFamily{id, kind, name, std::move(encoded), kSegmentFileBytesMin});
  return id;
}

SegmentImage StoreBuilder::make_segment(FamilyId family) {
  const ModelSpec vector_spec = spec();
  const bool is_vector = families_.at(family.value - 1).kind == SegmentKind::kVector;
  return {uuid_, SegmentId(next_segment_++), family, is_vector ? &vector_spec : nullptr};
}

void StoreBuilder::add(SegmentImage segment, std::vector<Edit> phase) {
  edits_.emplace_back(segment.add_edit());
  for (Edit& edit : phase) edits_.push_back(std::move(edit));
  segments_.push_back(std::move(segment));
}

JournalId StoreBuilder::add_journal(const std::vector<JournalRow>& rows, std::uint32_t capacity) {
  JournalHeader header;
  header.row_capacity = capacity;
  header.store_uuid = uuid_;
  header.journal_id = JournalId(journals_.size() + 1);
  header.journal_uuid = test_uuid(2'000 + header.journal_id.value);
  JournalImage image{.name = journal_name(header.journal_id), .bytes = {}};
  image.bytes.resize(kJournalHeaderBytes + capacity * sizeof(JournalRow));
  std::ranges::copy(encode_journal_header(header), image.bytes.begin());
  for (std::uint32_t i = 0; i < rows.size(); ++i) {
    JournalRow row = rows[i];
    seal_journal_row(row, header.journal_uuid, i);
    std::memcpy(image.bytes.data() + kJournalHeaderBytes + i * sizeof row, &row, sizeof row);
  }
  edits_.emplace_back(AddJournal{header.journal_id, header.journal_uuid, image.bytes.size()});
  journals_.push_back(std::move(image));
  return header.journal_id;
}

std::vector<std::byte> StoreBuilder::manifest() {
  std::vector<std::byte> file(kManifestFileBytesMin);
  ManifestHeader header;
  header.store_uuid = uuid_;
  header.life = test_uuid(3'000);
  header.snapshot_version = ManifestVersion(1);
  header.file_bytes = file.size();
  frame_offsets_.clear();
  std::uint64_t offset = kManifestHeaderBytes;
  ManifestVersion version(1);
  const auto append = [&](std::span<const Edit> edits) {
    const auto frame = encode_frame(edits, version, header.life, offset);
    std::ranges::copy(frame, file.begin() + static_cast<std::ptrdiff_t>(offset));
    offset += frame.size();
    ++version.value;
  };
  append({});
  header.snapshot_bytes = offset - kManifestHeaderBytes;
  for (const Edit& edit : edits_) {
    frame_offsets_.push_back(offset);
    append(std::span(&edit, 1));
  }
  frame_offsets_.push_back(offset);
  std::ranges::copy(encode_manifest_header(header), file.begin());
  return file;
}

void StoreBuilder::write(const std::string& directory) {
  Superblock superblock;
  superblock.store_uuid = uuid_;
  const auto path = [&](std::string_view name) { return directory + "/" + std::string(name); };
  write_file(path(kSuperblockName), encode_superblock(superblock));
  write_file(path(kLockName), {});
  write_file(path(manifest_name(0)), manifest());
  write_file(path(manifest_name(1)), std::vector<std::byte>(kManifestFileBytesMin));
  for (const JournalImage& journal : journals_) write_file(path(journal.name), journal.bytes);
  for (const SegmentImage& segment : segments_) write_file(path(segment.name()), segment.bytes);
}

}  // namespace vectolith::testing
