/// @file
/// Renders structs, facts and lists, and reads superblocks and journals.
#include "inspection.h"

#include <algorithm>
#include <cstring>

#include <vectolith/format/describe.h>
#include <vectolith/format/journal.h>
#include <vectolith/format/superblock.h>

namespace vectolith::tools {

namespace {

const format::StructInfo* find_struct(std::string_view name) noexcept {
  const auto table = format::struct_table();
  const auto found = std::ranges::find(table, name, &format::StructInfo::name);
  return found == table.end() ? nullptr : &*found;
}

Json field_json(const format::FieldInfo& field, std::span<const std::byte> bytes) {
  if (field.type.starts_with("char")) {
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  if (field.type.find('[') == std::string_view::npos) {
    std::uint64_t value = 0;
    std::memcpy(&value, bytes.data(), std::min(bytes.size(), sizeof(value)));
    return value;
  }
  const bool zero = std::ranges::all_of(bytes, [](std::byte byte) { return byte == std::byte{0}; });
  if (zero && bytes.size() > 32) return std::to_string(bytes.size()) + " zero bytes";
  return hex_bytes(bytes);
}

std::string value_text(const Json& value) {
  return value.is_string() ? value.get<std::string>()
                           : value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string line_of(const Json& object) {
  std::string line;
  for (const auto& [name, value] : object.items()) {
    line.append(line.empty() ? "" : "  ").append(name).append("=").append(value_text(value));
  }
  return line;
}

std::string_view journal_kind_name(format::JournalKind kind) noexcept {
  switch (kind) {
    case format::JournalKind::kErase: return "erase";
    case format::JournalKind::kWatermark: return "watermark";
  }
  return "unknown";
}

Json journal_row_json(std::uint32_t index, const format::JournalRow& row) {
  Json json = {{"row", index}, {"kind", journal_kind_name(row.kind())}, {"sequence", row.sequence().value}};
  if (row.kind() == format::JournalKind::kWatermark) {
    json["segment"] = row.watermark_segment().value;
    json["rows_durable"] = row.watermark_rows();
  } else {
    json["family"] = row.family.value;
    json["digest"] = row.key.digest.to_hex();
  }
  return json;
}

/// The first `bytes` bytes of the file, or as many as it has.
Result<std::vector<std::byte>> read_head(const InputFile& file, std::size_t bytes) {
  std::vector<std::byte> head(bytes);
  VECTOLITH_TRY_ASSIGN(const std::size_t got, file.read_at(0, head));
  head.resize(got);
  return head;
}

struct JournalCounts {
  std::uint64_t valid = 0;
  std::uint64_t invalid = 0;
};

Result<void> add_journal_rows(const InputFile& file, const format::JournalHeader& header,
                              std::uint64_t rows_max, Inspection& inspection) {
  constexpr std::uint64_t kRowBytes = sizeof(format::JournalRow);
  // The header's count was not written by this process: the file's own size bounds what is read.
  const std::uint64_t rows =
      std::min<std::uint64_t>(header.row_capacity, (file.size() - format::kJournalHeaderBytes) / kRowBytes);
  JournalCounts counts;
  Json list = Json::array();
  format::JournalRow row;
  for (std::uint32_t index = 0; index < rows; ++index) {
    VECTOLITH_TRY(file.read_exact(format::kJournalHeaderBytes + index * kRowBytes,
                                  std::as_writable_bytes(std::span(&row, 1))));
    const auto state = format::classify_journal_row(row, header.journal_uuid, index);
    counts.valid += state == format::JournalRowState::kValid ? 1 : 0;
    counts.invalid += state == format::JournalRowState::kInvalid ? 1 : 0;
    if (state == format::JournalRowState::kValid && list.size() < rows_max) {
      list.push_back(journal_row_json(index, row));
    }
  }
  inspection.add_facts("rows", {{"capacity", header.row_capacity},
                                {"valid", counts.valid},
                                {"invalid", counts.invalid},
                                {"never_written", rows - counts.valid - counts.invalid}});
  inspection.add_list("valid_rows", std::move(list));
  return {};
}

}  // namespace

Inspection::Inspection(const std::string& file, std::string_view kind)
    : json_({{"file", file}, {"kind", kind}}), text_(file + ": " + std::string(kind) + "\n") {}

void Inspection::add_struct(const std::string& title, std::string_view struct_name, std::uint64_t offset,
                            std::span<const std::byte> bytes) {
  const auto* info = find_struct(struct_name);
  if (info == nullptr) return;
  text_ += "\n[" + title + "] " + std::string(struct_name) + " at byte " + std::to_string(offset) + "\n";
  text_ += format::describe(*info, bytes);
  Json fields = Json::object();
  for (const auto& field : info->fields) {
    if (field.offset + field.bytes > bytes.size()) break;
    fields[std::string(field.name)] = field_json(field, bytes.subspan(field.offset, field.bytes));
  }
  json_[title] = std::move(fields);
}

void Inspection::add_facts(const std::string& title, Json facts) {
  text_ += "\n[" + title + "]\n";
  for (const auto& [name, value] : facts.items()) text_ += name + " = " + value_text(value) + "\n";
  json_[title] = std::move(facts);
}

void Inspection::add_list(const std::string& title, Json list) {
  if (!list.empty()) text_ += "\n[" + title + "]\n";
  for (const auto& item : list) text_ += line_of(item) + "\n";
  json_[title] = std::move(list);
}

void Inspection::add_error(const Error& error) {
  json_["error"] = error.to_string();
  if (!error_.has_value()) error_ = error;
}

int Inspection::print(bool as_json) const {
  if (as_json) {
    print_json(json_);
  } else {
    print_line(std::string_view(text_).substr(0, text_.size() - 1));
  }
  return error_.has_value() ? report_error(*error_) : static_cast<int>(kExitOk);
}

Result<Inspection> inspect_superblock(const InputFile& file) {
  Inspection inspection(file.path(), "superblock");
  VECTOLITH_TRY_ASSIGN(const auto bytes, read_head(file, format::kSuperblockFileBytes));
  const auto superblock = format::decode_superblock(bytes);
  const auto head = std::span(bytes).first(std::min(bytes.size(), format::kSuperblockBytes));
  inspection.add_struct("superblock", "Superblock", 0, head);
  const bool copies_equal = bytes.size() == format::kSuperblockFileBytes &&
                            std::ranges::equal(head, std::span(bytes).subspan(format::kSuperblockBytes));
  inspection.add_facts("copies", {{"second_copy_equal", copies_equal}});
  if (!superblock.has_value()) inspection.add_error(Error(superblock.error()).with_file(file.path()));
  return inspection;
}

Result<Inspection> inspect_journal(const InputFile& file, std::uint64_t rows_max) {
  Inspection inspection(file.path(), "journal");
  VECTOLITH_TRY_ASSIGN(const auto bytes, read_head(file, format::kJournalHeaderBytes));
  inspection.add_struct("header", "JournalHeader", 0, bytes);
  const auto header = format::decode_journal_header(bytes);
  if (!header.has_value()) {
    inspection.add_error(Error(header.error()).with_file(file.path()));
    return inspection;
  }
  VECTOLITH_TRY(add_journal_rows(file, *header, rows_max, inspection));
  return inspection;
}

}  // namespace vectolith::tools
