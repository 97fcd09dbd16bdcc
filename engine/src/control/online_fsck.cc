/// @file
/// Checks the superblock, segment headers and live rows of a store that stays open.
#include "control/online_fsck.h"

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <vectolith/format/file_name.h>
#include <vectolith/format/superblock.h>

#include "segment/mapped_segment.h"
#include "store/snapshot_state.h"

namespace vectolith::engine {
namespace {

constexpr std::size_t kFindingsMax = 1'000;

class OnlineFsck {
 public:
  OnlineFsck(Store& store, Directory& directory) : store_(store), directory_(directory) {}

  Result<FsckReport> run() {
    check_superblock();
    for (const auto& family : store_.families()) {
      auto checked =
          family.kind == format::SegmentKind::kVector ? check_vectors(family) : check_records(family);
      // A family that was dropped meanwhile has nothing left to check.
      if (!checked.has_value() && !is_gone(checked.error()))
        return std::unexpected(std::move(checked).error());
    }
    return std::move(report_);
  }

 private:
  static bool is_gone(const Error& error) {
    return error.code() == ErrorCode::kNotFound || error.code() == ErrorCode::kWrongFamily;
  }

  void add(Finding finding) {
    ++(finding.severity == Finding::Severity::kDamage ? report_.damage : report_.warnings);
    if (report_.findings.size() < kFindingsMax) report_.findings.push_back(std::move(finding));
  }
  /// What was said of bytes that start at `start`: a decoder knows no file and counts from there.
  void damage(const Error& error, std::string_view file, std::uint64_t start) {
    const bool is_decoders = error.file().empty();
    const auto offset = is_decoders ? start + error.offset().value_or(0) : error.offset().value_or(start);
    add({Finding::Severity::kDamage, is_decoders ? std::string(file) : error.file(), offset, error.message(),
         error.expected(), error.found()});
  }
  [[nodiscard]] std::string path_of(std::string_view name) const {
    return directory_.path() + "/" + std::string(name);
  }

  Result<void> read_front(std::string_view name, std::span<std::byte> bytes) {
    VECTOLITH_TRY_ASSIGN(const auto file, directory_.open(name, OpenMode::kReadOnly));
    VECTOLITH_TRY(file->read_exact(0, bytes));
    ++report_.files;
    report_.bytes += bytes.size();
    return {};
  }

  void check_superblock() {
    const auto path = path_of(format::kSuperblockName);
    std::array<std::byte, format::kSuperblockFileBytes> bytes;
    if (const auto read = read_front(format::kSuperblockName, bytes); !read.has_value()) {
      return damage(read.error(), path, 0);
    }
    for (std::size_t offset = 0; offset < bytes.size(); offset += format::kSuperblockBytes) {
      const auto copy = format::decode_superblock(std::span(bytes).subspan(offset, format::kSuperblockBytes));
      if (!copy.has_value()) damage(copy.error(), path, offset);
    }
  }

  Result<void> check_vectors(const FamilyInfo& info) {
    VECTOLITH_TRY_ASSIGN(const auto family, store_.family(info.name));
    VECTOLITH_TRY_ASSIGN(const auto views, family.segments());
    for (const auto& view : views) {
      ++report_.segments;
      const auto& segment = *static_cast<const FrozenSegment*>(view.pin.get())->segment;
      check_header(family, segment);
      for (std::uint32_t row = 0; row < view.rows; ++row) {
        if (view.is_live(row)) check_row(segment, row);
      }
    }
    return {};
  }

  void check_header(const Family& family, const MappedSegment& segment) {
    std::array<std::byte, format::kSegmentHeaderBytes> bytes;
    const auto read = read_front(format::segment_name(segment.id()), bytes);
    if (!read.has_value()) {
      const bool removed_meanwhile =
          read.error().code() == ErrorCode::kNotFound && !has(family, segment.id());
      return removed_meanwhile ? void() : damage(read.error(), segment.path(), 0);
    }
    const auto header = format::decode_segment_header(bytes);
    if (!header.has_value()) return damage(header.error(), segment.path(), 0);
    if (header->segment_uuid == segment.header().segment_uuid) return;
    damage(Error(ErrorCode::kCorruption, "the header is of another life of the file"), segment.path(), 0);
  }

  static bool has(const Family& family, SegmentId id) {
    const auto views = family.segments();
    return views.has_value() && std::ranges::find(*views, id, &SegmentView::id) != views->end();
  }

  void check_row(const MappedSegment& segment, std::uint32_t row) {
    // Not verify_first_touch: what was whole when it was read last may be damaged by now.
    const auto verified = segment.verify_row(row);
    if (!verified.has_value()) return damage(verified.error(), segment.path(), segment.meta_offset(row));
    ++report_.rows;
    report_.bytes += sizeof(format::MetaRow) + segment.header().row_bytes;
  }

  Result<void> check_records(const FamilyInfo& info) {
    VECTOLITH_TRY_ASSIGN(const auto family, store_.existing_record_family(info.name));
    // Every record read is checked in full, every time.
    auto checked = family.for_each([this](const Record& record) {
      ++report_.rows;
      report_.bytes += sizeof(format::RecordHeader) + sizeof(format::RecordPrefix) + record.payload.size();
      return true;
    });
    if (checked.has_value()) return {};
    if (checked.error().code() != ErrorCode::kCorruption) return checked;
    damage(checked.error(), "", 0);
    add({Finding::Severity::kWarning, checked.error().file(), checked.error().offset().value_or(0),
         "records of family '" + info.name + "' behind this one were not checked", "", ""});
    return {};
  }

  Store& store_;
  Directory& directory_;
  FsckReport report_;
};

}  // namespace

Result<FsckReport> fsck_online(Store& store, Directory& directory) {
  return OnlineFsck(store, directory).run();
}

}  // namespace vectolith::engine
