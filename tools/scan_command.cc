/// @file
/// The verb `scan`: one line a live row.
#include <vectolith/format/checksum.h>

#include "command.h"
#include "output.h"
#include "store_access.h"

namespace vectolith::tools {

namespace {

struct ScanArguments {
  CommonOptions common;
  std::string family;
  bool vectors = false;
};

/// The fixed form of a row: docs/tool.md, "scan".
Json row_json(const RowView& row, bool with_family, bool with_vector) {
  Json json = {{"digest", row.key.digest.to_hex()},
               {"sequence", row.sequence.value},
               {"created_at", row.created_at_s},
               {"xxh3", hex(format::checksum64(row.bytes))}};
  if (with_family) json["family"] = row.family.name;
  if (row.key.scope.value != 0) json["scope"] = row.key.scope.value;
  if (row.key.chunker.value != 0) json["chunker"] = row.key.chunker.value;
  if (with_vector) json["vector_base64"] = base64(row.bytes);
  return json;
}

std::string row_text(const RowView& row, bool with_family, bool with_vector) {
  std::string text = row.key.digest.to_hex() + "  " + std::to_string(row.sequence.value) + "  " +
                     std::to_string(row.created_at_s) + "  " + hex(format::checksum64(row.bytes));
  if (with_family) text += "  " + row.family.name;
  if (with_vector) text += "  " + base64(row.bytes);
  return text;
}

Result<int> scan_store(ReachedStore& reached, const ScanArguments& arguments) {
  std::vector<FamilyInfo> families;
  if (arguments.family.empty()) {
    VECTOLITH_TRY_ASSIGN(families, families_of(reached));
  } else {
    VECTOLITH_TRY_ASSIGN(auto family, find_family(reached, arguments.family));
    families.push_back(std::move(family));
  }
  const bool several = families.size() > 1;
  for (const auto& family : families) {
    VECTOLITH_TRY(visit_rows(reached, family, [&](const RowView& row) {
      if (arguments.common.json) {
        print_json(row_json(row, several, arguments.vectors));
      } else {
        print_line(row_text(row, several, arguments.vectors));
      }
      return true;
    }));
  }
  return kExitOk;
}

Result<int> run_scan(const ScanArguments& arguments) {
  VECTOLITH_TRY_ASSIGN(auto reached, reach_store(arguments.common, Purpose::kRead));
  return close_after(reached, scan_store(reached, arguments));
}

}  // namespace

void add_scan(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<ScanArguments>();
  CLI::App* verb =
      add_verb(app, "scan", "Prints one line a live row: digest, sequence, created_at, xxh3 of the bytes",
               "vectolith scan /data/store docs --json --vectors");
  add_directory(*verb, arguments->common);
  verb->add_option("NAME", arguments->family, "Name of the family; without it all families");
  verb->add_flag("--vectors", arguments->vectors, "Add the raw little-endian bytes in base64");
  add_io(*verb, arguments->common);
  add_json(*verb, arguments->common, "Print one JSON object a line");
  on_run<ScanArguments>(verb, session, arguments, run_scan);
}

}  // namespace vectolith::tools
