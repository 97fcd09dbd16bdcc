/// @file
/// Builds tiny stores byte by byte from the format's functions, for tests that look at or damage bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <vectolith/format/journal.h>
#include <vectolith/format/manifest.h>
#include <vectolith/format/model_spec.h>
#include <vectolith/format/segment.h>

namespace vectolith::testing {

/// What a row of a built segment says; its digest and vector follow from segment and row number.
struct BuiltRow {
  Sequence sequence{1};
  ScopeId scope{};
  ChunkerId chunker{};
  BuildId build{};
  std::uint16_t flags = 0;
  std::uint16_t lag_or_count = format::kLagUnknown;
};

/// The bytes of one segment file.
class SegmentImage {
 public:
  /// A vector segment of 64 KiB; a record segment if `spec` is null.
  SegmentImage(const Uuid& store, SegmentId id, FamilyId family, const ModelSpec* spec);

  void put_row(std::uint32_t row, const BuiltRow& fields);
  /// Returns the unit behind the record.
  std::uint32_t put_record(std::uint32_t unit, std::string_view payload, const BuiltRow& fields);
  /// Writes the footer over rows [0, rows). Sequences are those of the rows put so far.
  void seal(std::uint32_t rows, std::vector<format::RowRange> invalid,
            std::vector<format::InternedEntry> interned);
  /// Writes the header again after a change of `header`.
  void write_header();

  /// The edit that names this segment in the manifest, and the one that says it is sealed.
  [[nodiscard]] format::AddSegment add_edit() const;
  [[nodiscard]] format::SealSegment seal_edit() const;
  [[nodiscard]] std::string name() const;
  [[nodiscard]] std::uint64_t row_offset(std::uint32_t row) const;  ///< Of a meta row or a unit.
  [[nodiscard]] std::uint64_t vector_offset(std::uint32_t row) const;

  format::SegmentHeader header;
  format::SegmentFooter footer;
  std::uint64_t footer_used_bytes = 0;
  std::vector<std::byte> bytes;

 private:
  void note_sequence(Sequence sequence);
};

/// A store directory in the making.
class StoreBuilder {
 public:
  StoreBuilder();

  /// "f32, 8 elements": the spec of every vector family made here.
  static ModelSpec spec();
  [[nodiscard]] const Uuid& uuid() const noexcept { return uuid_; }
  FamilyId add_family(const std::string& name, format::SegmentKind kind);
  SegmentImage make_segment(FamilyId family);
  void add(SegmentImage segment, std::vector<format::Edit> phase);
  JournalId add_journal(const std::vector<format::JournalRow>& rows, std::uint32_t capacity = 64);
  void edit(format::Edit edit) { edits_.push_back(std::move(edit)); }

  /// Writes STORE, LOCK, both manifests (a snapshot of nothing, then one frame per edit), journals and
  /// segments into the existing directory. Aborts the process on an error.
  void write(const std::string& directory);
  /// Offsets of the manifest's edit frames, and of the end of the last one; after `write`.
  [[nodiscard]] const std::vector<std::uint64_t>& frame_offsets() const noexcept { return frame_offsets_; }

 private:
  struct Family {
    FamilyId id;
    format::SegmentKind kind;
  };
  struct JournalImage {
    std::string name;
    std::vector<std::byte> bytes;
  };
  std::vector<std::byte> manifest();

  Uuid uuid_;
  std::vector<Family> families_;
  std::vector<SegmentImage> segments_;
  std::vector<JournalImage> journals_;
  std::vector<format::Edit> edits_;
  std::vector<std::uint64_t> frame_offsets_;
  std::uint64_t next_segment_ = 1;
};

}  // namespace vectolith::testing
