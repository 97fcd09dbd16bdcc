/// @file
/// The verb `get`: prints the row of one key.
#include <cstdio>

#include <vectolith/format/checksum.h>

#include "command.h"
#include "element_text.h"
#include "output.h"
#include "store_access.h"

namespace vectolith::tools {

namespace {

struct GetArguments {
  CommonOptions common;
  std::string family;
  KeyArguments key;
  bool raw = false;
};

void print_row(const GetArguments& arguments, const FamilyInfo& family, const RemoteRow& row) {
  const bool is_vector = family.kind == format::SegmentKind::kVector;
  std::string vector;
  if (is_vector) append_vector_text(vector, family.spec.dtype, row.vector);
  if (arguments.common.json) {
    Json json = {{"digest", row.key.digest.to_hex()},
                 {"family", family.name},
                 {"sequence", row.sequence.value},
                 {"created_at", row.created_at_s},
                 {"xxh3", hex(format::checksum64(row.vector))}};
    if (is_vector) {
      json["dtype"] = to_string(family.spec.dtype);
      // The numbers keep their shortest float digits: they go into the line as text.
      std::string line = json.dump();
      line.insert(line.size() - 1, ",\"vector\":" + vector);
      return print_line(line);
    }
    json["payload_base64"] = base64(row.vector);
    return print_json(json);
  }
  print_line("digest      " + row.key.digest.to_hex());
  print_line("family      " + family.name);
  print_line("sequence    " + std::to_string(row.sequence.value));
  print_line("created_at  " + std::to_string(row.created_at_s));
  print_line("bytes       " + with_commas(row.vector.size()));
  print_line("xxh3        " + hex(format::checksum64(row.vector)));
  if (is_vector) print_line("vector      " + vector);
}

Result<int> get_from(ReachedStore& reached, const GetArguments& arguments) {
  VECTOLITH_TRY_ASSIGN(const auto key, arguments.key.key());
  VECTOLITH_TRY_ASSIGN(const auto family, find_family(reached, arguments.family));
  VECTOLITH_TRY_ASSIGN(const auto row, read_row(reached, family, key));
  if (!row.has_value()) {
    return fail(ErrorCode::kNotFound,
                "family '" + arguments.family + "' holds no row " + key.digest.to_hex());
  }
  if (arguments.raw) {
    (void)std::fwrite(row->vector.data(), 1, row->vector.size(), stdout);  // checked by finish_output
  } else {
    print_row(arguments, family, *row);
  }
  return kExitOk;
}

Result<int> run_get(const GetArguments& arguments) {
  VECTOLITH_TRY_ASSIGN(auto reached, reach_store(arguments.common, Purpose::kRead));
  return close_after(reached, get_from(reached, arguments));
}

}  // namespace

void add_get(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<GetArguments>();
  CLI::App* verb = add_verb(
      app, "get", "Prints the row of one key; exits 2 if there is none",
      "vectolith get /data/store docs 0100000000000000000000000000000000000000000000000000000000000000");
  add_directory(*verb, arguments->common);
  verb->add_option("NAME", arguments->family, "Name of the family")->required();
  add_key(*verb, arguments->key);
  CLI::Option* raw = verb->add_flag("--raw", arguments->raw, "Write the vector's bytes and nothing else");
  add_io(*verb, arguments->common);
  add_json(*verb, arguments->common, "Print one JSON object");
  raw->excludes("--json");
  on_run<GetArguments>(verb, session, arguments, run_get);
}

}  // namespace vectolith::tools
