/// @file
/// Segment headers and footers against the manifest, and the gaps between regions.
#include "verify/fsck_segment.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include <vectolith/format/file_name.h>

#include "verify/fsck_rows.h"

namespace vectolith::engine {
namespace {

using Severity = Finding::Severity;
using Kind = Finding::Kind;
using format::SegmentHeader;

class SegmentCheck {
 public:
  SegmentCheck(FsckContext& context, const File& file)
      : context_(context), findings_(context.findings), file_(file) {}

  /// False, and damage, if the header cannot be used.
  bool read_header() {
    std::array<std::byte, format::kSegmentHeaderBytes> bytes{};
    if (!findings_.read(file_, 0, bytes)) return false;
    auto header = format::decode_segment_header(bytes);
    if (!header) {
      findings_.add(Severity::kDamage, Kind::kAcknowledgedDamage, at(0), header.error());
      return false;
    }
    header_ = *header;
    context_.check_version(at(0), header_.manifest_version);
    return true;
  }
  [[nodiscard]] const SegmentHeader& header() const noexcept { return header_; }

  /// False if the file is another one than the manifest means: then its rows say nothing.
  bool check_identity(const SegmentEntry& entry) {
    const bool same = header_.segment_id == entry.id && header_.segment_uuid == entry.uuid &&
                      header_.family_id == entry.family && header_.file_bytes == entry.file_bytes &&
                      (!context_.store_uuid || header_.store_uuid == *context_.store_uuid);
    if (!same) {
      findings_.damage(
          header_.segment_uuid == entry.uuid ? Kind::kContradiction : Kind::kStaleEpoch, at(0),
          "the segment's header disagrees with the manifest",
          identity(entry.id, entry.family, entry.uuid, entry.file_bytes),
          identity(header_.segment_id, header_.family_id, header_.segment_uuid, header_.file_bytes));
      return false;
    }
    return true;
  }

  /// False if rows would be read with the wrong shape.
  bool check_family() {
    const auto family = context_.state->families().find(header_.family_id);
    if (family == context_.state->families().end()) return true;  // The manifest's own rules forbid it.
    const bool same_kind = family->second.kind == header_.kind;
    std::string found = same_kind ? "" : "another kind";
    if (same_kind && family->second.spec) {
      const auto spec = format::segment_spec(header_);
      found = spec ? format::difference(*family->second.spec, *spec) : spec.error().message();
    }
    if (found.empty()) return true;
    findings_.damage(Kind::kContradiction, at(offsetof(SegmentHeader, spec)),
                     "the segment's model spec is not its family's",
                     "the spec of family '" + family->second.name + "'", found);
    return false;
  }

  void check_size() {
    const std::uint64_t size = findings_.size_of(file_);
    if (size == header_.file_bytes) return;
    findings_.damage(size < header_.file_bytes ? Kind::kMissing : Kind::kContradiction,
                     at(std::min(size, header_.file_bytes)), "the file has another size than its header says",
                     std::to_string(header_.file_bytes) + " bytes", std::to_string(size) + " bytes");
  }

  /// What lies between regions was never written in the first life of a file.
  void check_gaps() {
    if (!header_.previous_uuid.is_nil()) return;
    std::uint64_t end = format::kSegmentHeaderBytes;
    const auto check_until = [&](std::uint64_t offset, std::uint64_t bytes) {
      if (offset > end) findings_.expect_zeros(file_, end, offset - end, "padding between regions");
      end = offset + bytes;
    };
    if (header_.meta_bytes != 0) check_until(header_.meta_offset, header_.meta_bytes);
    check_until(header_.matrix_offset, header_.matrix_bytes);
    check_until(header_.footer_offset, header_.footer_bytes);
    check_until(header_.file_bytes, 0);
  }

  Result<format::SegmentFooter> read_footer() {
    std::vector<std::byte> region(header_.footer_bytes);
    if (!findings_.read(file_, header_.footer_offset, region))
      return fail(ErrorCode::kIo, "the footer cannot be read");
    return format::decode_segment_footer(region, header_);
  }

  std::optional<format::SegmentFooter> check_footer(const SegmentEntry& entry) {
    auto footer = read_footer();
    const Place place = at(header_.footer_offset);
    if (entry.phase != SegmentPhase::kSealed) {
      if (footer)
        context_.add_unfinished(place, "a valid footer of a segment that the manifest does not call sealed",
                                "no footer", std::to_string(footer->row_count) + " rows");
      return std::nullopt;
    }
    if (!footer) {
      findings_.add(Severity::kDamage, Kind::kAcknowledgedDamage, place, footer.error());
      return std::nullopt;
    }
    const bool same = footer->row_count == entry.row_count &&
                      footer->first_sequence == entry.first_sequence &&
                      footer->last_sequence == entry.last_sequence && footer->invalid == entry.invalid;
    if (!same) {
      findings_.damage(
          Kind::kContradiction, place, "the footer disagrees with the manifest",
          contents(entry.row_count, entry.first_sequence, entry.last_sequence, entry.invalid.size()),
          contents(footer->row_count, footer->first_sequence, footer->last_sequence, footer->invalid.size()));
    }
    check_interned(*footer);
    return *std::move(footer);
  }

 private:
  [[nodiscard]] Place at(std::uint64_t offset) const { return {file_.path(), offset}; }

  static std::string identity(SegmentId id, FamilyId family, const Uuid& uuid, std::uint64_t bytes) {
    return "segment " + std::to_string(id.value) + " of family " + std::to_string(family.value) + ", life " +
           to_text(uuid) + ", " + std::to_string(bytes) + " bytes";
  }
  static std::string contents(std::uint32_t rows, Sequence first, Sequence last, std::size_t ranges) {
    return std::to_string(rows) + " rows, sequences " + std::to_string(first.value) + ".." +
           std::to_string(last.value) + ", " + std::to_string(ranges) + " invalid ranges";
  }

  void check_interned(const format::SegmentFooter& footer) {
    if (!context_.state) return;
    for (const format::InternedEntry& entry : footer.interned) {
      const auto* known = context_.state->find_interned(entry.table, entry.id);
      if (known != nullptr && *known == entry) continue;
      findings_.damage(
          Kind::kContradiction, at(header_.footer_offset),
          "the footer gives an interned id another meaning than the manifest",
          known == nullptr ? "not defined" : known->name + ", version " + std::to_string(known->version),
          entry.name + ", version " + std::to_string(entry.version));
    }
  }

  FsckContext& context_;
  FsckFindings& findings_;
  const File& file_;
  SegmentHeader header_;
};

void check_rows(FsckContext& context, const File& file, const SegmentEntry& entry,
                const SegmentHeader& header, const std::optional<format::SegmentFooter>& footer) {
  // A hostile manifest may promise rows beyond the file's shape.
  if (entry.row_count > header.row_capacity) {
    context.findings.damage(
        Kind::kContradiction, {file.path(), 0}, "the manifest counts more rows than the segment holds",
        "at most " + std::to_string(header.row_capacity), std::to_string(entry.row_count));
    return;
  }
  const SegmentUnderCheck segment{context, file, entry, header, footer};
  if (header.kind == format::SegmentKind::kVector) {
    check_vector_rows(segment);
  } else {
    check_record_rows(segment);
  }
}

}  // namespace

void check_segment(FsckContext& context, const SegmentEntry& named) {
  SegmentEntry entry = named;
  if (context.online && entry.phase == SegmentPhase::kSuspended) {
    // The writer resumes it with its next put: rows may follow those that the clean close counted.
    entry.phase = SegmentPhase::kActive;
    auto& watermark = context.watermarks[entry.id];
    watermark = std::max(watermark, entry.row_count);
  }
  const auto file = context.open(format::segment_name(entry.id));
  if (file == nullptr) return;
  const bool is_begun = context.window.first_row(entry.id) != 0;
  if (!is_begun) context.findings.count_segment();
  SegmentCheck check(context, *file);
  if (check.read_header() && check.check_identity(entry) && check.check_family()) {
    check.check_size();
    if (!is_begun) check.check_gaps();
    const auto footer = check.check_footer(entry);
    check_rows(context, *file, entry, check.header(), footer);
  }
  context.findings.finish_file(context.findings.size_of(*file));
}

void check_segment_alone(FsckContext& context, const std::string& name, SegmentId id) {
  const auto file = context.findings.open(context.directory, name);
  if (file == nullptr) return;
  if (context.window.first_row(id) == 0) context.findings.count_segment();
  SegmentCheck check(context, *file);
  if (check.read_header()) {
    const auto& header = check.header();
    SegmentEntry entry;
    entry.id = id;
    entry.family = header.family_id;
    entry.uuid = header.segment_uuid;
    entry.file_bytes = header.file_bytes;
    std::optional<format::SegmentFooter> footer;
    if (auto read = check.read_footer()) footer = *std::move(read);
    if (footer) {
      entry.phase = SegmentPhase::kSealed;
      entry.row_count = footer->row_count;
      entry.invalid = footer->invalid;
    }
    if (check.check_identity(entry)) {
      check.check_size();
      check_rows(context, *file, entry, header, footer);
    }
  }
  context.findings.finish_file(context.findings.size_of(*file));
}

}  // namespace vectolith::engine
