/// @file
/// The verb `import`: puts the rows of a vector file into a family.
#include <algorithm>

#include "command.h"
#include "input_file.h"
#include "output.h"
#include "progress.h"
#include "store_access.h"
#include "vector_file.h"

namespace vectolith::tools {

namespace {

/// Large enough for the disk, small against the segments a batch must fit into.
constexpr std::size_t kBatchBytes = std::size_t{256} << 10;

struct ImportArguments {
  CommonOptions common;
  std::string family;
  std::string file;
  std::string keys_file;
  bool replace = false;
};

struct ImportCounts {
  std::uint64_t stored = 0;
  std::uint64_t existing = 0;
};

/// Errors: kInvalidArgument with the line of a digest that does not parse.
Result<std::vector<Digest>> read_keys(const std::string& path) {
  VECTOLITH_TRY_ASSIGN(auto file, InputFile::open(path));
  LineReader lines(std::move(file));
  std::vector<Digest> digests;
  std::string line;
  for (;;) {
    VECTOLITH_TRY_ASSIGN(const bool more, lines.next(line));
    if (!more) return digests;
    if (line.empty()) continue;
    const auto digest = Digest::from_hex(line);
    if (!digest.has_value()) {
      return std::unexpected(
          Error(ErrorCode::kInvalidArgument,
                "line " + std::to_string(lines.line_number()) + " of the keys file is no digest")
              .with_file(path)
              .with_offset(lines.line_offset())
              .with_expected("64 hexadecimal digits")
              .with_found(line.substr(0, 80)));
    }
    digests.push_back(*digest);
  }
}

std::unexpected<Error> key_count_error(const ImportArguments& arguments, std::size_t keys,
                                       const std::string& rows) {
  return std::unexpected(
      Error(ErrorCode::kInvalidArgument, "the keys file and the vector file differ in length")
          .with_file(arguments.keys_file)
          .with_expected(rows + " digests, one a row")
          .with_found(std::to_string(keys)));
}

/// Puts the batches of one file into one family and counts.
class Importer {
 public:
  Importer(Family family, VectorFile& file, const ImportArguments& arguments, std::vector<Digest> keys)
      : family_(std::move(family)), file_(file), arguments_(arguments), keys_(std::move(keys)) {
    write_.durability = Durability::kBuffered;
    write_.replace = arguments.replace;
  }

  Result<void> run(Progress& progress) {
    const std::size_t rows_max =
        std::clamp<std::size_t>(kBatchBytes / family_.spec().vector_bytes(), 1, 16'384);
    RowBatch batch;
    for (;;) {
      VECTOLITH_TRY(file_.read(rows_max, batch));
      if (batch.rows == 0) break;
      VECTOLITH_TRY_ASSIGN(const auto rows, batch_rows(batch));
      VECTOLITH_TRY(put(batch, rows));
      progress.update(file_.work_done(), counts_.stored + counts_.existing);
    }
    if (!arguments_.keys_file.empty() && batch.first_row != keys_.size()) {
      return key_count_error(arguments_, keys_.size(), std::to_string(batch.first_row));
    }
    return {};
  }
  [[nodiscard]] const ImportCounts& counts() const noexcept { return counts_; }

 private:
  Result<std::vector<BatchRow>> batch_rows(const RowBatch& batch) const {
    const std::size_t vector_bytes = family_.spec().vector_bytes();
    std::vector<BatchRow> rows;
    rows.reserve(batch.rows);
    for (std::size_t i = 0; i < batch.rows; ++i) {
      VECTOLITH_TRY_ASSIGN(const auto digest, digest_of(batch, i));
      rows.push_back({.key = {.digest = digest, .scope = {}, .chunker = {}},
                      .vector = std::span(batch.matrix).subspan(i * vector_bytes, vector_bytes)});
    }
    return rows;
  }

  Result<Digest> digest_of(const RowBatch& batch, std::size_t index) const {
    const std::uint64_t row = batch.first_row + index;
    const auto& own = batch.digests[index];
    if (arguments_.keys_file.empty()) return own.value_or(Digest::from_number(row + 1));
    if (own.has_value()) {
      return std::unexpected(Error(ErrorCode::kInvalidArgument,
                                   file_.place_of(batch, index) + " has a digest of its own; drop --keys")
                                 .with_file(arguments_.file));
    }
    if (row < keys_.size()) return keys_[row];
    return key_count_error(arguments_, keys_.size(), "more than " + std::to_string(row));
  }

  /// Puts the batch at once; if a row spoils it, row by row, so that every row before the bad one stays.
  Result<void> put(const RowBatch& batch, std::span<const BatchRow> rows) {
    auto results = family_.put_batch(rows, write_);
    if (results.has_value()) {
      for (const auto& result : *results) count(result);
      return {};
    }
    const auto code = results.error().code();
    // A rejected vector, or a key that stands twice in the batch (there the first row wins, as between
    // batches).
    if (code != ErrorCode::kRejected && code != ErrorCode::kInvalidArgument) {
      return std::unexpected(std::move(results).error());
    }
    for (std::size_t i = 0; i < rows.size(); ++i) {
      auto result = family_.put(rows[i].key, rows[i].vector, write_);
      if (!result.has_value()) return row_error(batch, i, result.error());
      count(*result);
    }
    return {};
  }

  [[nodiscard]] std::unexpected<Error> row_error(const RowBatch& batch, std::size_t index,
                                                 const Error& cause) const {
    return std::unexpected(Error(cause.code(), file_.place_of(batch, index) + ": " + cause.message())
                               .with_file(arguments_.file)
                               .with_expected(cause.expected())
                               .with_found(cause.found()));
  }

  void count(const PutResult& result) noexcept { ++(result.stored ? counts_.stored : counts_.existing); }

  Family family_;
  VectorFile& file_;
  const ImportArguments& arguments_;
  std::vector<Digest> keys_;
  WriteOptions write_;
  ImportCounts counts_;
};

void print_counts(const ImportArguments& arguments, const ImportCounts& counts, double seconds,
                  bool complete) {
  const auto rows = counts.stored + counts.existing;
  if (arguments.common.json) {
    print_json({{"rows", rows},
                {"stored", counts.stored},
                {"existing", counts.existing},
                {"seconds", seconds},
                {"complete", complete}});
    return;
  }
  std::string text = complete ? "imported " : "stopped by an error; imported before it and kept: ";
  text += with_commas(counts.stored) + " rows";
  if (counts.existing > 0) text += "; " + with_commas(counts.existing) + " existed and were kept";
  const double rate = seconds > 0 ? static_cast<double>(rows) / seconds : 0;
  text += "; " + fixed(seconds, 2) + " s, " + with_commas(static_cast<std::uint64_t>(rate)) + " rows/s";
  print_line(text + ", durable");
}

Result<int> import_into(Store& store, const ImportArguments& arguments) {
  VECTOLITH_TRY_ASSIGN(auto family, store.family(arguments.family));
  VECTOLITH_TRY_ASSIGN(const auto file, open_vector_file(arguments.file, family.spec()));
  std::vector<Digest> keys;
  if (!arguments.keys_file.empty()) {
    VECTOLITH_TRY_ASSIGN(keys, read_keys(arguments.keys_file));
    // Where the number of rows is known, a wrong keys file is refused before the first row is put.
    if (file->rows().value_or(keys.size()) != keys.size()) {
      return key_count_error(arguments, keys.size(), std::to_string(*file->rows()));
    }
  }
  Progress progress("import " + arguments.family, "rows", file->work_total());
  Importer importer(std::move(family), *file, arguments, std::move(keys));
  auto imported = importer.run(progress);
  auto synced = store.sync();
  const double seconds = progress.seconds();
  progress.finish();
  if (synced.has_value()) print_counts(arguments, importer.counts(), seconds, imported.has_value());
  if (!imported.has_value()) return std::unexpected(std::move(imported).error());
  if (!synced.has_value()) return std::unexpected(std::move(synced).error());
  return kExitOk;
}

Result<int> run_import(const ImportArguments& arguments) {
  VECTOLITH_TRY_ASSIGN(auto reached, open_store(arguments.common, Purpose::kServe));
  return close_after(reached, import_into(*reached.store, arguments));
}

}  // namespace

void add_import(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<ImportArguments>();
  CLI::App* verb = add_verb(app, "import", "Puts the rows of a vector file into a family",
                            "vectolith import /data/store docs vectors.npy --keys digests.txt");
  add_directory(*verb, arguments->common);
  verb->add_option("NAME", arguments->family, "Name of the family")->required();
  verb->add_option("FILE", arguments->file, "Vectors: .npy, .fvecs, .fbin or .jsonl")->required();
  verb->add_option("--keys", arguments->keys_file,
                   "Digests in hex, one a line; without it row i gets the little-endian number i + 1");
  verb->add_flag("--replace", arguments->replace,
                 "Overwrite rows that exist; without it the first write wins");
  add_io(*verb, arguments->common);
  add_json(*verb, arguments->common, "Print the counts as JSON");
  on_run<ImportArguments>(verb, session, arguments, run_import);
}

}  // namespace vectolith::tools
