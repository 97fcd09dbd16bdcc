/// @file
/// The verb `inspect`: shows what a file of a store holds.
#include <array>
#include <filesystem>

#include <vectolith/format/file_name.h>
#include <vectolith/format/journal.h>
#include <vectolith/format/manifest.h>
#include <vectolith/format/segment.h>
#include <vectolith/format/superblock.h>

#include "command.h"
#include "input_file.h"
#include "inspection.h"
#include "output.h"

namespace vectolith::tools {

namespace {

using Magic = std::array<char, 8>;

struct InspectArguments {
  CommonOptions common;
  std::string file;
  std::uint64_t rows_max = 10;
};

std::unexpected<Error> foreign_file(const InputFile& file, const Magic& magic, std::size_t magic_bytes) {
  const auto name = std::filesystem::path(file.path()).filename().string();
  const auto parsed = format::parse_name(name);
  Error error(ErrorCode::kCorruption, "this is no file of vectolith, or its first bytes are damaged");
  if (parsed.has_value() && parsed->kind == format::ParsedName::Kind::kPool) {
    error = Error(ErrorCode::kNotFound, "a pool file holds nothing yet");
  } else if (parsed.has_value() && parsed->kind == format::ParsedName::Kind::kLock) {
    error = Error(ErrorCode::kNotFound, "the lock file holds nothing");
  } else if (parsed.has_value() && parsed->kind == format::ParsedName::Kind::kManifest && magic == Magic{}) {
    error =
        Error(ErrorCode::kNotFound, "this manifest file was never used; the other one holds the manifest");
  }
  return std::unexpected(std::move(error)
                             .with_file(file.path())
                             .with_offset(0)
                             .with_expected("VLITHSTO, VLITHMAN, VLITHSEG or VLITHJRN")
                             .with_found(hex_bytes(std::as_bytes(std::span(magic)).first(magic_bytes))));
}

Result<Inspection> inspect(const InputFile& file, std::uint64_t rows_max) {
  Magic magic{};
  VECTOLITH_TRY_ASSIGN(const std::size_t got, file.read_at(0, std::as_writable_bytes(std::span(magic))));
  if (magic == format::kSuperblockMagic) return inspect_superblock(file);
  if (magic == format::kManifestMagic) return inspect_manifest(file);
  if (magic == format::kSegmentMagic) return inspect_segment(file, rows_max);
  if (magic == format::kJournalMagic) return inspect_journal(file, rows_max);
  return foreign_file(file, magic, got);
}

Result<int> run_inspect(const InspectArguments& arguments) {
  VECTOLITH_TRY_ASSIGN(const auto file, InputFile::open(arguments.file));
  VECTOLITH_TRY_ASSIGN(const auto inspection, inspect(file, arguments.rows_max));
  return inspection.print(arguments.common.json);
}

}  // namespace

void add_inspect(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<InspectArguments>();
  CLI::App* verb =
      add_verb(app, "inspect", "Shows what a file of a store holds: STORE, MANIFEST-n, .vls, .vlj",
               "vectolith inspect /data/store/MANIFEST-0");
  verb->add_option("FILE", arguments->file, "A file in a store's directory")->required();
  verb->add_option("--rows", arguments->rows_max, "How many rows to list one by one")->capture_default_str();
  add_json(*verb, arguments->common, "Print one JSON object");
  on_run<InspectArguments>(verb, session, arguments, run_inspect);
}

}  // namespace vectolith::tools
