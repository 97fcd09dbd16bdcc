/// @file
/// Reads a manifest file for `inspect`: header, snapshot, and every frame of edits behind it.
#include <algorithm>
#include <variant>

#include <vectolith/format/manifest.h>

#include "inspection.h"

namespace vectolith::tools {

namespace {

/// Longer manifests are shown up to here; they compact far below it.
constexpr std::uint64_t kManifestBytesShownMax = std::uint64_t{256} << 20;

template <class... Functions>
struct Overloaded : Functions... {
  using Functions::operator()...;
};

std::string_view table_name(format::InternedEntry::Table table) noexcept {
  switch (table) {
    case format::InternedEntry::Table::kScope: return "scope";
    case format::InternedEntry::Table::kChunker: return "chunker";
    case format::InternedEntry::Table::kBuild: return "build";
  }
  return "unknown";
}

Json ranges_json(const std::vector<format::RowRange>& ranges) {
  Json json = Json::array();
  for (const auto& range : ranges) json.push_back({range.first, range.last});
  return json;
}

Json create_family_json(const format::CreateFamily& edit) {
  Json json = {{"edit", "CreateFamily"}, {"family", edit.family.value}, {"name", edit.name}};
  json["kind"] = edit.kind == format::SegmentKind::kVector ? "vector" : "record";
  if (const auto spec = format::decode_model_spec(edit.spec); spec.has_value()) {
    json["dim"] = spec->dim;
    json["dtype"] = to_string(spec->dtype);
    json["metric"] = to_string(spec->metric);
    json["unit_norm"] = spec->unit_norm;
    json["model"] = spec->model;
  }
  json["segment_bytes_target"] = edit.segment_bytes_target;
  return json;
}

Json edit_json(const format::Edit& edit) {
  using namespace format;
  return std::visit(
      Overloaded{
          [](const ReserveSequences& e) -> Json {
            return {{"edit", "ReserveSequences"}, {"until", e.until.value}};
          },
          [](const DefineInterned& e) -> Json {
            return {{"edit", "DefineInterned"},
                    {"table", table_name(e.entry.table)},
                    {"id", e.entry.id},
                    {"chunker_version", e.entry.version},
                    {"name", e.entry.name}};
          },
          [](const CreateFamily& e) -> Json { return create_family_json(e); },
          [](const DropFamily& e) -> Json { return {{"edit", "DropFamily"}, {"family", e.family.value}}; },
          [](const AddSegment& e) -> Json {
            return {{"edit", "AddSegment"},
                    {"segment", e.segment.value},
                    {"family", e.family.value},
                    {"uuid", hex_bytes(e.uuid.bytes)},
                    {"file_bytes", e.file_bytes}};
          },
          [](const SuspendSegment& e) -> Json {
            return {{"edit", "SuspendSegment"}, {"segment", e.segment.value}, {"row_count", e.row_count}};
          },
          [](const FreezeSegment& e) -> Json {
            return {{"edit", "FreezeSegment"},
                    {"segment", e.segment.value},
                    {"row_count", e.row_count},
                    {"rows_durable", e.rows_durable},
                    {"invalid", ranges_json(e.invalid)}};
          },
          [](const SealSegment& e) -> Json {
            return {{"edit", "SealSegment"},
                    {"segment", e.segment.value},
                    {"row_count", e.row_count},
                    {"first_sequence", e.first_sequence.value},
                    {"last_sequence", e.last_sequence.value},
                    {"invalid", ranges_json(e.invalid)}};
          },
          [](const RemoveSegment& e) -> Json {
            return {{"edit", "RemoveSegment"}, {"segment", e.segment.value}};
          },
          [](const AddJournal& e) -> Json {
            return {{"edit", "AddJournal"},
                    {"journal", e.journal.value},
                    {"uuid", hex_bytes(e.uuid.bytes)},
                    {"file_bytes", e.file_bytes}};
          },
          [](const RemoveJournal& e) -> Json {
            return {{"edit", "RemoveJournal"}, {"journal", e.journal.value}};
          },
          [](const CleanClose& e) -> Json {
            return {{"edit", "CleanClose"},
                    {"next_sequence", e.next_sequence.value},
                    {"journal_rows", e.journal_rows}};
          },
          [](const NextIds& e) -> Json {
            return {{"edit", "NextIds"},
                    {"segment", e.segment.value},
                    {"family", e.family.value},
                    {"journal", e.journal.value}};
          },
      },
      edit);
}

/// Lists every edit of every frame, and says where and why the list ends.
void add_frames(std::span<const std::byte> bytes, const Uuid& life, Inspection& inspection) {
  Json list = Json::array();
  std::uint64_t offset = format::kManifestHeaderBytes;
  std::uint64_t frames = 0;
  std::string end = "end of the file";
  while (offset < bytes.size()) {
    const auto frame = format::decode_frame(bytes.subspan(offset), life, offset);
    if (!frame.has_value()) {
      end = frame.error().code() == ErrorCode::kNotFound ? "no frame was written here"
                                                         : frame.error().to_string();
      break;
    }
    for (const auto& edit : frame->edits) {
      Json json = {{"version", frame->version.value}, {"offset", offset}};
      json.update(edit_json(edit));
      list.push_back(std::move(json));
    }
    ++frames;
    offset += frame->frame_bytes;
  }
  inspection.add_list("edits", std::move(list));
  // An unfinished last frame is normal after a kill: whether it is damage, fsck decides.
  inspection.add_facts("frames", {{"count", frames}, {"end_offset", offset}, {"end", end}});
}

}  // namespace

Result<Inspection> inspect_manifest(const InputFile& file) {
  Inspection inspection(file.path(), "manifest");
  std::vector<std::byte> bytes(static_cast<std::size_t>(std::min(file.size(), kManifestBytesShownMax)));
  VECTOLITH_TRY_ASSIGN(const std::size_t got, file.read_at(0, bytes));
  bytes.resize(got);
  const auto head = std::span(bytes).first(std::min(bytes.size(), format::kManifestHeaderBytes));
  inspection.add_struct("header", "ManifestHeader", 0, head);
  const auto header = format::decode_manifest_header(head);
  if (!header.has_value()) {
    inspection.add_error(Error(header.error()).with_file(file.path()));
    return inspection;
  }
  add_frames(bytes, header->life, inspection);
  return inspection;
}

}  // namespace vectolith::tools
