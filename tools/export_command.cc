/// @file
/// The verb `export`: writes the live rows of a vector family to a .npy or JSONL file.
#include <filesystem>
#include <optional>

#include "command.h"
#include "element_text.h"
#include "npy_header.h"
#include "output.h"
#include "output_file.h"
#include "progress.h"
#include "store_access.h"

namespace vectolith::tools {

namespace {

struct ExportArguments {
  CommonOptions common;
  std::string family;
  std::string file;
  std::string keys_file;
};

/// Writes one row after the other in the form that the file's extension names.
class RowWriter {
 public:
  static Result<RowWriter> create(const ExportArguments& arguments, const ModelSpec& spec,
                                  std::uint64_t rows) {
    const std::string extension = std::filesystem::path(arguments.file).extension().string();
    if (extension != ".npy" && extension != ".jsonl") {
      return std::unexpected(Error(ErrorCode::kInvalidArgument, "unknown kind of vector file")
                                 .with_file(arguments.file)
                                 .with_expected(".npy or .jsonl")
                                 .with_found(extension.empty() ? "no extension" : extension));
    }
    VECTOLITH_TRY_ASSIGN(auto file, OutputFile::create(arguments.file));
    RowWriter writer(std::move(file), spec, extension == ".npy");
    if (writer.npy_) VECTOLITH_TRY(writer.file_.write(npy_header_text(spec, rows)));
    if (!arguments.keys_file.empty()) {
      VECTOLITH_TRY_ASSIGN(auto keys, OutputFile::create(arguments.keys_file));
      writer.keys_.emplace(std::move(keys));
    }
    return writer;
  }

  Result<void> write(const VectorView& row) {
    if (keys_.has_value()) VECTOLITH_TRY(keys_->write(row.key().digest.to_hex() + "\n"));
    if (npy_) return file_.write(row.bytes());
    std::string line = "{\"digest\":\"" + row.key().digest.to_hex() + "\",\"vector\":";
    append_vector_text(line, spec_.dtype, row.bytes());
    return file_.write(line + "}\n");
  }
  Result<void> finish() {
    if (keys_.has_value()) VECTOLITH_TRY(keys_->finish());
    return file_.finish();
  }

 private:
  RowWriter(OutputFile file, const ModelSpec& spec, bool npy)
      : file_(std::move(file)), spec_(spec), npy_(npy) {}

  OutputFile file_;
  ModelSpec spec_;
  bool npy_;
  std::optional<OutputFile> keys_;
};

Result<std::uint64_t> write_rows(const Family& family, RowWriter& writer) {
  const std::uint64_t expected = family.size();
  Progress progress("export " + family.name(), "rows", expected);
  std::uint64_t rows = 0;
  Result<void> written;
  VECTOLITH_TRY(family.for_each([&](const VectorView& row) {
    written = writer.write(row);
    if (!written.has_value()) return false;
    ++rows;
    progress.update(rows, rows);
    return true;
  }));
  VECTOLITH_TRY(written);
  progress.finish();
  // The .npy header is written before the rows are counted.
  if (rows == expected) return rows;
  return std::unexpected(Error(ErrorCode::kInternal, "a scan gave another number of rows than the family has")
                             .with_expected(std::to_string(expected))
                             .with_found(std::to_string(rows)));
}

Result<int> export_from(Store& store, const ExportArguments& arguments) {
  VECTOLITH_TRY_ASSIGN(const auto family, store.family(arguments.family));
  VECTOLITH_TRY_ASSIGN(auto writer, RowWriter::create(arguments, family.spec(), family.size()));
  VECTOLITH_TRY_ASSIGN(const auto rows, write_rows(family, writer));
  VECTOLITH_TRY(writer.finish());
  if (arguments.common.json) {
    print_json({{"rows", rows}, {"file", arguments.file}});
  } else {
    print_line("exported " + with_commas(rows) + " rows to " + arguments.file);
  }
  return kExitOk;
}

Result<int> run_export(const ExportArguments& arguments) {
  VECTOLITH_TRY_ASSIGN(auto reached, open_store(arguments.common, Purpose::kRead));
  return close_after(reached, export_from(*reached.store, arguments));
}

}  // namespace

void add_export(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<ExportArguments>();
  CLI::App* verb = add_verb(app, "export", "Writes the live rows of a vector family to a file",
                            "vectolith export /data/store docs vectors.npy --keys digests.txt");
  add_directory(*verb, arguments->common);
  verb->add_option("NAME", arguments->family, "Name of the family")->required();
  verb->add_option("FILE", arguments->file, "Output: .npy or .jsonl")->required();
  verb->add_option("--keys", arguments->keys_file, "Also write the digests in hex, one a row, to this file");
  add_io(*verb, arguments->common);
  add_json(*verb, arguments->common, "Print the count as JSON");
  on_run<ExportArguments>(verb, session, arguments, run_export);
}

}  // namespace vectolith::tools
