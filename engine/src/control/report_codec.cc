/// @file
/// Encodes and decodes statistics, family listings and fsck reports for the control socket.
#include "control/report_codec.h"

#include <array>
#include <cstdint>
#include <string>
#include <utility>

#include "control/protocol.h"

namespace vectolith::engine {
namespace {

/// The u64 fields of StoreStats in the order of the bytes; docs/control.md lists them.
constexpr std::array kStatsCounters = {
    &StoreStats::next_sequence,
    &StoreStats::manifest_version,
    &StoreStats::puts,
    &StoreStats::puts_existing,
    &StoreStats::replaces,
    &StoreStats::erases,
    &StoreStats::gets,
    &StoreStats::hits,
    &StoreStats::misses,
    &StoreStats::commits,
    &StoreStats::commit_rows,
    &StoreStats::corruptions,
    &StoreStats::rows_lost,
    &StoreStats::segments_poisoned,
    &StoreStats::vector_bytes_written,
    &StoreStats::bytes_written,
    &StoreStats::bytes_read,
    &StoreStats::writes,
    &StoreStats::reads,
    &StoreStats::data_syncs,
    &StoreStats::data_sync_ns,
    &StoreStats::short_transfers,
    &StoreStats::io_retries,
    &StoreStats::io_fallbacks,
    &StoreStats::pinned_bytes,
    &StoreStats::read_buffer_bytes,
    &StoreStats::disk_bytes,
    &StoreStats::pool_bytes,
    &StoreStats::open_ns,
    &StoreStats::recovered_rows,
    &StoreStats::damaged_rows,
};
constexpr std::array kFamilyCounters = {
    &FamilyStats::live_rows,     &FamilyStats::dead_rows,       &FamilyStats::segments,
    &FamilyStats::payload_bytes, &FamilyStats::allocated_bytes, &FamilyStats::index_bytes,
};
constexpr std::array kFsckCounters = {
    &FsckReport::files, &FsckReport::segments, &FsckReport::rows,
    &FsckReport::bytes, &FsckReport::damage,   &FsckReport::warnings,
};
/// A struct with the other fields of StoreStats: its size shows when a counter is missing above.
struct StatsWithoutCounters {
  std::string io_backend, io_fallback;
  bool read_only;
  std::array<std::uint64_t, static_cast<std::size_t>(RejectReason::kCount)> rejected;
  std::vector<FamilyStats> families;
};
static_assert(sizeof(StoreStats) ==
                  sizeof(StatsWithoutCounters) + sizeof(std::uint64_t) * kStatsCounters.size(),
              "a counter of StoreStats is not sent");
static_assert(sizeof(FamilyStats) ==
                  16 + sizeof(std::string) + sizeof(std::uint64_t) * kFamilyCounters.size(),
              "a counter of FamilyStats is not sent");
static_assert(sizeof(FsckReport) ==
                  sizeof(std::vector<Finding>) + sizeof(std::uint64_t) * kFsckCounters.size(),
              "a counter of FsckReport is not sent");

// The fewest bytes that one entry of a list takes; they bound what a stated count can make us reserve.
constexpr std::size_t kFamilyStatsBytesMin = 4 + 4 + 2 + 8 * kFamilyCounters.size();
constexpr std::size_t kFamilyInfoBytesMin = 4 + 4 + 8 + 2 + 4;
constexpr std::size_t kFindingBytesMin = 1 + 1 + 8 + 4 * 2;

template <class T, std::size_t N>
void write_counters(format::Writer& writer, const T& from, const std::array<std::uint64_t T::*, N>& fields) {
  for (const auto field : fields) writer.write(from.*field);
}

template <class T, std::size_t N>
Result<void> read_counters(format::Reader& reader, T& into, const std::array<std::uint64_t T::*, N>& fields) {
  for (const auto field : fields) {
    VECTOLITH_TRY_ASSIGN(into.*field, reader.read<std::uint64_t>());
  }
  return {};
}

/// Reads a count that the bytes left can hold.
Result<std::uint32_t> read_count(format::Reader& reader, std::size_t entry_bytes_min) {
  const auto offset = reader.offset();
  VECTOLITH_TRY_ASSIGN(const auto count, reader.read<std::uint32_t>());
  const auto count_max = reader.remaining() / entry_bytes_min;
  if (count > count_max)
    return bad_control_value("count", offset, "at most " + std::to_string(count_max), count);
  return count;
}

Result<format::SegmentKind> read_kind(format::Reader& reader) {
  const auto offset = reader.offset();
  VECTOLITH_TRY_ASSIGN(const auto value, reader.read<std::uint32_t>());
  const auto kind = static_cast<format::SegmentKind>(value);
  if (kind != format::SegmentKind::kVector && kind != format::SegmentKind::kRecord) {
    return bad_control_value("family kind", offset, "1 or 2", value);
  }
  return kind;
}

Result<FamilyStats> read_family_stats(format::Reader& reader) {
  FamilyStats family;
  VECTOLITH_TRY_ASSIGN(family.id.value, reader.read<std::uint32_t>());
  VECTOLITH_TRY_ASSIGN(family.kind, read_kind(reader));
  VECTOLITH_TRY_ASSIGN(family.name, reader.read_string());
  VECTOLITH_TRY(read_counters(reader, family, kFamilyCounters));
  return family;
}

Result<FamilyInfo> read_family_info(format::Reader& reader) {
  FamilyInfo family;
  VECTOLITH_TRY_ASSIGN(family.id.value, reader.read<std::uint32_t>());
  VECTOLITH_TRY_ASSIGN(family.kind, read_kind(reader));
  VECTOLITH_TRY_ASSIGN(family.rows, reader.read<std::uint64_t>());
  VECTOLITH_TRY_ASSIGN(family.name, reader.read_string());
  VECTOLITH_TRY_ASSIGN(const auto spec_bytes, reader.read<std::uint32_t>());
  VECTOLITH_TRY_ASSIGN(const auto spec, reader.take(spec_bytes));
  if (family.kind == format::SegmentKind::kVector) {
    VECTOLITH_TRY_ASSIGN(family.spec, format::decode_model_spec(spec));
  } else if (!spec.empty()) {
    return bad_control_value("spec length of a record family", reader.offset(), "0", spec.size());
  }
  return family;
}

Result<Finding> read_finding(format::Reader& reader) {
  Finding finding;
  const auto offset = reader.offset();
  VECTOLITH_TRY_ASSIGN(const auto severity, reader.read<std::uint8_t>());
  if (severity > std::to_underlying(Finding::Severity::kDamage)) {
    return bad_control_value("severity", offset, "0 to 2", severity);
  }
  finding.severity = static_cast<Finding::Severity>(severity);
  const auto kind_offset = reader.offset();
  VECTOLITH_TRY_ASSIGN(const auto kind, reader.read<std::uint8_t>());
  if (kind > std::to_underlying(Finding::Kind::kOrphan)) {
    return bad_control_value("kind of finding", kind_offset, "0 to 10", kind);
  }
  finding.kind = static_cast<Finding::Kind>(kind);
  VECTOLITH_TRY_ASSIGN(finding.offset, reader.read<std::uint64_t>());
  VECTOLITH_TRY_ASSIGN(finding.file, reader.read_string());
  VECTOLITH_TRY_ASSIGN(finding.what, reader.read_string());
  VECTOLITH_TRY_ASSIGN(finding.expected, reader.read_string());
  VECTOLITH_TRY_ASSIGN(finding.found, reader.read_string());
  return finding;
}

/// Reads a count and that many entries.
template <class Entry>
Result<std::vector<Entry>> read_list(format::Reader& reader, std::size_t entry_bytes_min,
                                     Result<Entry> (*read)(format::Reader&)) {
  VECTOLITH_TRY_ASSIGN(const auto count, read_count(reader, entry_bytes_min));
  std::vector<Entry> entries;
  for (std::uint32_t i = 0; i < count; ++i) {
    VECTOLITH_TRY_ASSIGN(auto entry, read(reader));
    entries.push_back(std::move(entry));
  }
  return entries;
}

Result<StoreStats> read_stats(format::Reader& reader) {
  StoreStats stats;
  VECTOLITH_TRY_ASSIGN(stats.io_backend, reader.read_string());
  VECTOLITH_TRY_ASSIGN(stats.io_fallback, reader.read_string());
  VECTOLITH_TRY_ASSIGN(stats.read_only, read_control_bool(reader));
  VECTOLITH_TRY(read_counters(reader, stats, kStatsCounters));
  const auto offset = reader.offset();
  VECTOLITH_TRY_ASSIGN(const auto reasons, reader.read<std::uint32_t>());
  if (reasons != stats.rejected.size()) {
    return bad_control_value("number of reject reasons", offset, std::to_string(stats.rejected.size()),
                             reasons);
  }
  for (auto& count : stats.rejected) {
    VECTOLITH_TRY_ASSIGN(count, reader.read<std::uint64_t>());
  }
  VECTOLITH_TRY_ASSIGN(stats.families, read_list(reader, kFamilyStatsBytesMin, read_family_stats));
  return stats;
}

Result<std::vector<FamilyInfo>> read_family_list(format::Reader& reader) {
  return read_list(reader, kFamilyInfoBytesMin, read_family_info);
}

Result<FsckReport> read_fsck_report(format::Reader& reader) {
  FsckReport report;
  VECTOLITH_TRY(read_counters(reader, report, kFsckCounters));
  VECTOLITH_TRY_ASSIGN(report.findings, read_list(reader, kFindingBytesMin, read_finding));
  return report;
}

void write_position(format::Writer& writer, const ScrubPosition& position) {
  writer.write(position.segment.value);
  writer.write(position.row);
}

Result<ScrubPosition> read_position(format::Reader& reader) {
  ScrubPosition position;
  VECTOLITH_TRY_ASSIGN(position.segment.value, reader.read<std::uint64_t>());
  VECTOLITH_TRY_ASSIGN(position.row, reader.read<std::uint32_t>());
  return position;
}

Result<ScrubRequest> read_scrub_request(format::Reader& reader) {
  ScrubRequest request;
  VECTOLITH_TRY_ASSIGN(request.from, read_position(reader));
  VECTOLITH_TRY_ASSIGN(request.bytes_max, reader.read<std::uint64_t>());
  return request;
}

Result<ScrubReport> read_scrub_report(format::Reader& reader) {
  ScrubReport report;
  VECTOLITH_TRY_ASSIGN(report.next, read_position(reader));
  VECTOLITH_TRY_ASSIGN(report.is_complete, read_control_bool(reader));
  VECTOLITH_TRY_ASSIGN(report.found, read_fsck_report(reader));
  return report;
}

}  // namespace

void encode_control(format::Writer& writer, const StoreStats& stats) {
  writer.write_string(clip_control_text(stats.io_backend));
  writer.write_string(clip_control_text(stats.io_fallback));
  writer.write(static_cast<std::uint8_t>(stats.read_only));
  write_counters(writer, stats, kStatsCounters);
  writer.write(static_cast<std::uint32_t>(stats.rejected.size()));
  for (const auto count : stats.rejected) writer.write(count);
  writer.write(static_cast<std::uint32_t>(stats.families.size()));
  for (const auto& family : stats.families) {
    writer.write(family.id.value);
    writer.write(std::to_underlying(family.kind));
    writer.write_string(clip_control_text(family.name));
    write_counters(writer, family, kFamilyCounters);
  }
}

void encode_control(format::Writer& writer, std::span<const FamilyInfo> families) {
  writer.write(static_cast<std::uint32_t>(families.size()));
  for (const auto& family : families) {
    writer.write(family.id.value);
    writer.write(std::to_underlying(family.kind));
    writer.write(family.rows);
    writer.write_string(clip_control_text(family.name));
    const auto spec = family.kind == format::SegmentKind::kVector ? format::encode_model_spec(family.spec)
                                                                  : std::vector<std::byte>();
    writer.write(static_cast<std::uint32_t>(spec.size()));
    writer.write(std::span<const std::byte>(spec));
  }
}

void encode_control(format::Writer& writer, const FsckReport& report) {
  write_counters(writer, report, kFsckCounters);
  writer.write(static_cast<std::uint32_t>(report.findings.size()));
  for (const auto& finding : report.findings) {
    writer.write(std::to_underlying(finding.severity));
    writer.write(std::to_underlying(finding.kind));
    writer.write(finding.offset);
    for (const std::string* text : {&finding.file, &finding.what, &finding.expected, &finding.found}) {
      writer.write_string(clip_control_text(*text));
    }
  }
}

void encode_control(format::Writer& writer, const ScrubRequest& request) {
  write_position(writer, request.from);
  writer.write(request.bytes_max);
}

void encode_control(format::Writer& writer, const ScrubReport& report) {
  write_position(writer, report.next);
  writer.write(static_cast<std::uint8_t>(report.is_complete));
  encode_control(writer, report.found);
}

Result<StoreStats> decode_stats_answer(std::span<const std::byte> payload) {
  return decode_all(payload, read_stats);
}
Result<std::vector<FamilyInfo>> decode_families_answer(std::span<const std::byte> payload) {
  return decode_all(payload, read_family_list);
}
Result<FsckReport> decode_fsck_answer(std::span<const std::byte> payload) {
  return decode_all(payload, read_fsck_report);
}
Result<ScrubRequest> decode_scrub_request(std::span<const std::byte> payload) {
  return decode_all(payload, read_scrub_request);
}
Result<ScrubReport> decode_scrub_answer(std::span<const std::byte> payload) {
  return decode_all(payload, read_scrub_report);
}

}  // namespace vectolith::engine
