/// @file
/// JSONL vector files: one row a line, an array of numbers or an object with digest and vector.
#include <utility>

#include "element_text.h"
#include "input_file.h"
#include "vector_file.h"

namespace vectolith::tools {

namespace {

class JsonlFile final : public VectorFile {
 public:
  JsonlFile(InputFile file, ModelSpec spec) : lines_(std::move(file)), spec_(std::move(spec)) {}

  Result<void> read(std::size_t rows_max, RowBatch& batch) override {
    batch = {};
    batch.first_row = next_row_;
    while (!pending_error_.has_value() && batch.rows < rows_max) {
      const auto more = read_row(batch);
      if (!more.has_value()) pending_error_ = more.error();
      if (!more.value_or(false)) break;
    }
    next_row_ += batch.rows;
    // Rows before a bad line are given out first; the next call then reports it.
    if (batch.rows == 0 && pending_error_.has_value()) return std::unexpected(*pending_error_);
    return {};
  }
  [[nodiscard]] std::optional<std::uint64_t> rows() const noexcept override { return std::nullopt; }
  [[nodiscard]] std::uint64_t work_done() const noexcept override { return lines_.offset(); }
  [[nodiscard]] std::uint64_t work_total() const noexcept override { return lines_.file().size(); }
  [[nodiscard]] std::string place_of(const RowBatch& batch, std::size_t index) const override {
    return place(batch.places.at(index));
  }

 private:
  static std::string place(const LinePlace& place) {
    return "line " + std::to_string(place.line) + " (byte " + std::to_string(place.offset) + ")";
  }

  /// `cause` with the place of the line that was read last.
  [[nodiscard]] std::unexpected<Error> line_error(const Error& cause) const {
    const LinePlace here{lines_.line_number(), lines_.line_offset()};
    Error error(cause.code(), place(here) + ": " + cause.message());
    // An error of the JSON parser counts from 1 within the line.
    const std::uint64_t within = cause.offset().value_or(1) - 1;
    return std::unexpected(std::move(error)
                               .with_file(lines_.file().path())
                               .with_offset(here.offset + within)
                               .with_expected(cause.expected())
                               .with_found(cause.found()));
  }

  /// Adds the next line that is not empty; false at the end of the file.
  Result<bool> read_row(RowBatch& batch) {
    std::string line;
    do {
      VECTOLITH_TRY_ASSIGN(const bool more, lines_.next(line));
      if (!more) return false;
    } while (line.find_first_not_of(" \t") == std::string::npos);
    auto json = parse_vector_json(line);
    if (!json.has_value()) return line_error(json.error());
    const auto added = add_row(*json, batch);
    if (!added.has_value()) return line_error(added.error());
    return true;
  }

  Result<void> add_row(const VectorJson& json, RowBatch& batch) {
    std::optional<Digest> digest;
    const VectorJson* vector = &json;
    if (json.is_object()) {
      const auto vector_at = json.find("vector");
      if (vector_at == json.end()) return fail(ErrorCode::kCorruption, "the object has no key \"vector\"");
      vector = &*vector_at;
      if (const auto digest_at = json.find("digest"); digest_at != json.end()) {
        if (!digest_at->is_string()) return fail(ErrorCode::kInvalidArgument, "\"digest\" is no string");
        VECTOLITH_TRY_ASSIGN(digest, Digest::from_hex(digest_at->get_ref<const std::string&>()));
      }
    }
    VECTOLITH_TRY(append_vector_bytes(*vector, spec_, batch.matrix));
    batch.digests.push_back(digest);
    batch.places.push_back({lines_.line_number(), lines_.line_offset()});
    ++batch.rows;
    return {};
  }

  LineReader lines_;
  ModelSpec spec_;
  std::uint64_t next_row_ = 0;
  std::optional<Error> pending_error_;
};

}  // namespace

Result<std::unique_ptr<VectorFile>> open_jsonl_file(const std::string& path, const ModelSpec& spec) {
  VECTOLITH_TRY_ASSIGN(auto file, InputFile::open(path));
  return std::make_unique<JsonlFile>(std::move(file), spec);
}

}  // namespace vectolith::tools
