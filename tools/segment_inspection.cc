/// @file
/// Reads a segment file for `inspect`: header, spec, rows or records, footer.
#include <algorithm>

#include <vectolith/format/record.h>
#include <vectolith/format/segment.h>

#include "inspection.h"

namespace vectolith::tools {

namespace {

/// A footer has 8 bytes a MiB of the matrix and the interned names.
constexpr std::uint64_t kFooterBytesShownMax = std::uint64_t{64} << 20;
constexpr std::uint32_t kRowsPerRead = 4'096;

struct RowCounts {
  std::uint64_t valid = 0;
  std::uint64_t never_written = 0;
  std::uint64_t stale = 0;
  std::uint64_t invalid = 0;

  [[nodiscard]] Json json() const {
    return {{"valid", valid}, {"never_written", never_written}, {"stale", stale}, {"invalid", invalid}};
  }
};

std::string_view kind_name(format::SegmentKind kind) noexcept {
  return kind == format::SegmentKind::kRecord ? "record" : "vector";
}

Json meta_json(std::uint32_t index, const format::MetaRow& row) {
  return {{"row", index},
          {"digest", row.key.digest.to_hex()},
          {"scope", row.key.scope.value},
          {"chunker", row.key.chunker.value},
          {"sequence", row.sequence().value},
          {"build", row.build().value},
          {"created_at", row.created_at_s},
          {"flags", row.flags},
          {"lag_or_count", row.lag_or_count}};
}

Json record_json(std::uint32_t unit, const format::RecordView& record) {
  return {{"unit", unit},
          {"digest", record.header.key.digest.to_hex()},
          {"sequence", record.header.sequence().value},
          {"created_at_ms", record.header.created_at_ms},
          {"stored_bytes", record.header.stored_bytes},
          {"raw_bytes", record.prefix.raw_bytes}};
}

void add_spec(const format::SegmentHeader& header, Inspection& inspection) {
  const auto spec = format::segment_spec(header);
  if (!spec.has_value()) return;
  inspection.add_facts("spec", {{"model", spec->model},
                                {"revision", spec->revision},
                                {"parameters", spec->parameters},
                                {"role", to_string(spec->role)},
                                {"dim", spec->dim},
                                {"dtype", to_string(spec->dtype)},
                                {"metric", to_string(spec->metric)},
                                {"unit_norm", spec->unit_norm}});
}

void count_row(const format::MetaRow& row, const format::SegmentHeader& header, std::uint32_t index,
               std::uint64_t rows_max, RowCounts& counts, Json& list) {
  switch (format::classify_row(row, header.segment_uuid, header.previous_uuid, RowIndex(index))) {
    case format::RowState::kValid:
      ++counts.valid;
      if (list.size() < rows_max) list.push_back(meta_json(index, row));
      return;
    case format::RowState::kZero: ++counts.never_written; return;
    case format::RowState::kStale: ++counts.stale; return;
    case format::RowState::kInvalid: ++counts.invalid; return;
  }
}

Result<void> add_rows(const InputFile& file, const format::SegmentHeader& header, std::uint64_t rows_max,
                      Inspection& inspection) {
  RowCounts counts;
  Json list = Json::array();
  std::vector<format::MetaRow> rows;
  for (std::uint32_t first = 0; first < header.row_capacity; first += kRowsPerRead) {
    rows.resize(std::min(kRowsPerRead, header.row_capacity - first));
    VECTOLITH_TRY(file.read_exact(header.meta_offset + std::uint64_t{first} * sizeof(format::MetaRow),
                                  std::as_writable_bytes(std::span(rows))));
    for (std::uint32_t i = 0; i < rows.size(); ++i)
      count_row(rows[i], header, first + i, rows_max, counts, list);
  }
  inspection.add_facts("rows", counts.json());
  inspection.add_list("valid_rows", std::move(list));
  return {};
}

Result<void> add_records(const InputFile& file, const format::SegmentHeader& header, std::uint64_t rows_max,
                         Inspection& inspection) {
  // At most 2^20 units of 64 bytes: format::kSegmentRowsMax.
  std::vector<std::byte> data(std::size_t{header.row_capacity} * format::kRecordAlignment);
  VECTOLITH_TRY(file.read_exact(header.matrix_offset, data));
  RowCounts counts;
  Json list = Json::array();
  for (std::uint32_t unit = 0; unit < header.row_capacity;) {
    const auto bytes = std::span(data).subspan(std::size_t{unit} * format::kRecordAlignment);
    const auto record = format::decode_record(bytes, header.segment_uuid, RowIndex(unit));
    if (record.has_value()) {
      ++counts.valid;
      if (list.size() < rows_max) list.push_back(record_json(unit, *record));
      unit += record->units();
      continue;
    }
    // Without a valid header nothing says how long the record is: look at the next unit.
    ++(record.error().code() == ErrorCode::kNotFound ? counts.never_written : counts.invalid);
    ++unit;
  }
  inspection.add_facts("records", {{"valid", counts.valid},
                                   {"units_never_written", counts.never_written},
                                   {"units_invalid", counts.invalid}});
  inspection.add_list("valid_records", std::move(list));
  return {};
}

Json footer_json(const format::SegmentFooter& footer) {
  Json invalid = Json::array();
  for (const auto& range : footer.invalid) invalid.push_back({range.first, range.last});
  return {{"sealed", true},
          {"segment_uuid", hex_bytes(footer.segment_uuid.bytes)},
          {"row_count", footer.row_count},
          {"first_sequence", footer.first_sequence.value},
          {"last_sequence", footer.last_sequence.value},
          {"meta_sum", hex(footer.meta_sum)},
          {"matrix_blocks", footer.block_sums.size()},
          {"invalid", std::move(invalid)},
          {"interned", footer.interned.size()},
          {"interned_complete", footer.interned_complete}};
}

Result<void> add_footer(const InputFile& file, const format::SegmentHeader& header, Inspection& inspection) {
  std::vector<std::byte> region(
      static_cast<std::size_t>(std::min(header.footer_bytes, kFooterBytesShownMax)));
  VECTOLITH_TRY(file.read_exact(header.footer_offset, region));
  const auto footer = format::decode_segment_footer(region, header);
  if (footer.has_value()) {
    inspection.add_facts("footer", footer_json(*footer));
    return {};
  }
  inspection.add_facts("footer", {{"sealed", false}, {"why", footer.error().to_string()}});
  // A file that is not sealed has no footer: only bytes that are there and wrong are damage.
  if (footer.error().code() != ErrorCode::kNotFound) {
    inspection.add_error(Error(footer.error()).with_file(file.path()));
  }
  return {};
}

}  // namespace

Result<Inspection> inspect_segment(const InputFile& file, std::uint64_t rows_max) {
  std::vector<std::byte> bytes(format::kSegmentHeaderBytes);
  VECTOLITH_TRY_ASSIGN(const std::size_t got, file.read_at(0, bytes));
  bytes.resize(got);
  const auto header = format::decode_segment_header(bytes);
  Inspection inspection(file.path(),
                        header.has_value() ? std::string(kind_name(header->kind)) + " segment" : "segment");
  inspection.add_struct("header", "SegmentHeader", 0, bytes);
  if (!header.has_value()) {
    inspection.add_error(Error(header.error()).with_file(file.path()));
    return inspection;
  }
  add_spec(*header, inspection);
  const bool vectors = header->kind == format::SegmentKind::kVector;
  // What a truncated file still holds is shown before the error.
  auto body = vectors ? add_rows(file, *header, rows_max, inspection)
                      : add_records(file, *header, rows_max, inspection);
  if (body.has_value()) body = add_footer(file, *header, inspection);
  if (!body.has_value()) inspection.add_error(body.error());
  return inspection;
}

}  // namespace vectolith::tools
