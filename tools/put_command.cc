/// @file
/// The verb `put`: stores one vector or record.
#include <unistd.h>

#include "command.h"
#include "element_text.h"
#include "input_file.h"
#include "output.h"
#include "store_access.h"

namespace vectolith::tools {

namespace {

constexpr std::size_t kPayloadBytesMax = std::size_t{16} << 20;

struct PutArguments {
  CommonOptions common;
  std::string family;
  KeyArguments key;
  std::string vector_text;
  std::string file;
  bool durable = false;
  bool replace = false;
};

Result<std::vector<std::byte>> read_raw(const PutArguments& arguments) {
  if (!arguments.file.empty() && arguments.file != "-") {
    VECTOLITH_TRY_ASSIGN(const auto file, InputFile::open(arguments.file));
    return file.read_all(kPayloadBytesMax);
  }
  if (arguments.file.empty() && ::isatty(STDIN_FILENO) == 1) {
    return fail(ErrorCode::kInvalidArgument, "give the vector with --vector or --file, or pipe its bytes in");
  }
  return read_standard_input(kPayloadBytesMax);
}

Result<std::vector<std::byte>> value_of(const PutArguments& arguments, const FamilyInfo& family) {
  if (arguments.vector_text.empty()) return read_raw(arguments);
  if (family.kind != format::SegmentKind::kVector) {
    return fail(ErrorCode::kInvalidArgument,
                "a record has no --vector; give its bytes with --file or standard input");
  }
  auto json = parse_vector_json(arguments.vector_text);
  if (!json.has_value()) {
    return std::unexpected(
        Error(ErrorCode::kInvalidArgument, "--vector is no JSON array").with_found(json.error().found()));
  }
  std::vector<std::byte> bytes;
  VECTOLITH_TRY(append_vector_bytes(*json, family.spec, bytes));
  return bytes;
}

Result<PutResult> put_value(ReachedStore& reached, const FamilyInfo& info, const Key& key,
                            std::span<const std::byte> value, const PutArguments& arguments) {
  const auto durability = arguments.durable ? Durability::kDurable : Durability::kBuffered;
  if (reached.remote.has_value())
    return reached.remote->put(info.name, key, value, durability, arguments.replace);
  WriteOptions options;
  options.durability = durability;
  options.replace = arguments.replace;
  if (info.kind == format::SegmentKind::kRecord) {
    VECTOLITH_TRY_ASSIGN(auto family, reached.store->existing_record_family(info.name));
    return family.put(key, value, options);
  }
  VECTOLITH_TRY_ASSIGN(auto family, reached.store->family(info.name));
  return family.put(key, value, options);
}

Result<int> put_into(ReachedStore& reached, const PutArguments& arguments) {
  VECTOLITH_TRY_ASSIGN(const auto key, arguments.key.key());
  VECTOLITH_TRY_ASSIGN(const auto family, find_family(reached, arguments.family));
  VECTOLITH_TRY_ASSIGN(const auto value, value_of(arguments, family));
  VECTOLITH_TRY_ASSIGN(const auto result, put_value(reached, family, key, value, arguments));
  if (arguments.common.json) {
    print_json({{"stored", result.stored}, {"sequence", result.sequence.value}});
  } else if (result.stored) {
    print_line("stored with sequence " + std::to_string(result.sequence.value));
  } else {
    print_line("kept the row that exists, sequence " + std::to_string(result.sequence.value) +
               "; --replace overwrites it");
  }
  return kExitOk;
}

Result<int> run_put(const PutArguments& arguments) {
  VECTOLITH_TRY_ASSIGN(auto reached, reach_store(arguments.common, Purpose::kWrite));
  return close_after(reached, put_into(reached, arguments));
}

}  // namespace

void add_put(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<PutArguments>();
  CLI::App* verb =
      add_verb(app, "put", "Stores one vector or record",
               "vectolith put /data/store docs "
               "0100000000000000000000000000000000000000000000000000000000000000 --vector '[0.6, 0.8]'");
  add_directory(*verb, arguments->common);
  verb->add_option("NAME", arguments->family, "Name of the family")->required();
  add_key(*verb, arguments->key);
  CLI::Option* vector = verb->add_option("--vector", arguments->vector_text, "The vector as a JSON array");
  verb->add_option("--file", arguments->file,
                   "File with the raw little-endian bytes; '-' or neither option: standard input")
      ->excludes(vector);
  verb->add_flag("--durable", arguments->durable, "Return only when the row survives loss of power");
  verb->add_flag("--replace", arguments->replace,
                 "Overwrite a row that exists; without it the first write wins");
  add_io(*verb, arguments->common);
  add_json(*verb, arguments->common, "Print JSON");
  on_run<PutArguments>(verb, session, arguments, run_put);
}

}  // namespace vectolith::tools
