/// @file
/// Fixed-width vector files: .npy, .fvecs and .fbin are rows at a stride behind an optional header.
#include "vector_file.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>

#include "input_file.h"
#include "npy_header.h"

namespace vectolith::tools {

namespace {

/// Where the rows lie: row i starts at data_offset + i * (prefix_bytes + vector bytes).
struct RowLayout {
  std::uint64_t data_offset = 0;
  std::uint64_t rows = 0;
  std::uint32_t prefix_bytes = 0;  ///< 4 for .fvecs: the dim stands before each vector.
};

std::unexpected<Error> input_error(ErrorCode code, const InputFile& file, std::uint64_t offset,
                                   std::string_view what, std::string_view expected, std::string_view found) {
  return std::unexpected(
      Error(code, what).with_file(file.path()).with_offset(offset).with_expected(expected).with_found(found));
}

std::string count_of(std::uint64_t number, std::string_view unit) {
  return std::to_string(number).append(" ").append(unit);
}

class FixedVectorFile final : public VectorFile {
 public:
  FixedVectorFile(InputFile file, const ModelSpec& spec, const RowLayout& layout)
      : file_(std::move(file)), layout_(layout), dim_(spec.dim), vector_bytes_(spec.vector_bytes()) {}

  Result<void> read(std::size_t rows_max, RowBatch& batch) override {
    batch = {};
    batch.first_row = next_row_;
    if (pending_error_.has_value()) return std::unexpected(*pending_error_);
    const auto rows = static_cast<std::size_t>(std::min<std::uint64_t>(rows_max, layout_.rows - next_row_));
    raw_.resize(rows * stride());
    VECTOLITH_TRY_ASSIGN(const std::size_t got, file_.read_at(offset_of(next_row_), raw_));
    raw_.resize(got);
    // Rows before a bad one are given out first; the next call then reports it.
    batch.rows = good_rows(rows);
    next_row_ += batch.rows;
    if (batch.rows == 0 && pending_error_.has_value()) return std::unexpected(*pending_error_);
    copy_vectors(batch);
    batch.digests.resize(batch.rows);
    return {};
  }
  [[nodiscard]] std::optional<std::uint64_t> rows() const noexcept override { return layout_.rows; }
  [[nodiscard]] std::uint64_t work_done() const noexcept override { return next_row_; }
  [[nodiscard]] std::uint64_t work_total() const noexcept override { return layout_.rows; }
  [[nodiscard]] std::string place_of(const RowBatch& batch, std::size_t index) const override {
    const std::uint64_t row = batch.first_row + index;
    return "row " + std::to_string(row) + " (byte " + std::to_string(offset_of(row)) + ")";
  }

 private:
  [[nodiscard]] std::uint64_t stride() const noexcept { return layout_.prefix_bytes + vector_bytes_; }
  [[nodiscard]] std::uint64_t offset_of(std::uint64_t row) const noexcept {
    return layout_.data_offset + row * stride();
  }

  /// How many of the rows in raw_ are whole and have the right dim; remembers what is wrong with the next.
  std::size_t good_rows(std::size_t wanted) {
    for (std::size_t i = 0; i < wanted; ++i) {
      const std::size_t start = i * stride();
      const std::size_t present = raw_.size() - std::min(raw_.size(), start);
      std::uint32_t dim = dim_;
      if (layout_.prefix_bytes > 0 && present >= sizeof(dim))
        std::memcpy(&dim, raw_.data() + start, sizeof(dim));
      if (dim == dim_ && present >= stride()) continue;
      pending_error_ = dim != dim_ ? changed_dim(next_row_ + i, dim) : truncated(next_row_ + i, present);
      return i;
    }
    return wanted;
  }
  [[nodiscard]] Error changed_dim(std::uint64_t row, std::uint32_t dim) const {
    return input_error(ErrorCode::kCorruption, file_, offset_of(row),
                       "row " + std::to_string(row) + " has another dim than the rows before it",
                       std::to_string(dim_), std::to_string(dim))
        .error();
  }
  [[nodiscard]] Error truncated(std::uint64_t row, std::size_t present) const {
    return input_error(ErrorCode::kCorruption, file_, offset_of(row) + present,
                       "the file is truncated in row " + std::to_string(row),
                       count_of(stride(), "bytes in the row"), std::to_string(present))
        .error();
  }

  void copy_vectors(RowBatch& batch) {
    if (layout_.prefix_bytes == 0) {
      batch.matrix.swap(raw_);
      return;
    }
    batch.matrix.resize(batch.rows * vector_bytes_);
    for (std::size_t i = 0; i < batch.rows; ++i) {
      std::memcpy(batch.matrix.data() + i * vector_bytes_, raw_.data() + i * stride() + layout_.prefix_bytes,
                  vector_bytes_);
    }
  }

  InputFile file_;
  RowLayout layout_;
  std::uint32_t dim_;
  std::uint32_t vector_bytes_;
  std::uint64_t next_row_ = 0;
  std::vector<std::byte> raw_;
  std::optional<Error> pending_error_;
};

/// Errors: kInvalidArgument unless file and family agree on `what`.
Result<void> expect_equal(const InputFile& file, std::string_view what, const std::string& family,
                          const std::string& here) {
  if (family == here) return {};
  return input_error(ErrorCode::kInvalidArgument, file, 0,
                     "the file has another " + std::string(what) + " than the family", family, here);
}

/// Errors: kCorruption unless `rows` rows fill the file exactly.
Result<void> expect_size(const InputFile& file, const RowLayout& layout, std::uint64_t vector_bytes) {
  const std::uint64_t data_bytes = file.size() - layout.data_offset;
  if (layout.rows <= data_bytes && layout.rows * vector_bytes == data_bytes &&
      data_bytes / vector_bytes == layout.rows) {
    return {};
  }
  const bool shorter = data_bytes / vector_bytes < layout.rows;
  return input_error(ErrorCode::kCorruption, file,
                     shorter ? file.size() : layout.data_offset + layout.rows * vector_bytes,
                     shorter ? "the file is truncated in row " + std::to_string(data_bytes / vector_bytes)
                             : "there are bytes behind the last row",
                     count_of(layout.rows, "rows of ") + count_of(vector_bytes, "bytes behind byte ") +
                         std::to_string(layout.data_offset),
                     count_of(data_bytes, "bytes"));
}

/// Errors: kInvalidArgument for a family of another type than f32.
Result<void> expect_floats(const InputFile& file, const ModelSpec& spec) {
  return expect_equal(file, "dtype", std::string(to_string(spec.dtype)), "f32");
}

Result<RowLayout> npy_layout(const InputFile& file, const ModelSpec& spec) {
  VECTOLITH_TRY_ASSIGN(const auto header, read_npy_header(file));
  if (!npy_descr_fits(header.descr, spec.dtype)) {
    return input_error(
        ErrorCode::kInvalidArgument, file, 0, "the .npy matrix has another dtype than the family",
        std::string(npy_descr(spec.dtype)).append(" (").append(to_string(spec.dtype)).append(")"),
        header.descr);
  }
  VECTOLITH_TRY(expect_equal(file, "number of columns", std::to_string(npy_columns(spec)),
                             std::to_string(header.columns)));
  const RowLayout layout{.data_offset = header.data_offset, .rows = header.rows, .prefix_bytes = 0};
  VECTOLITH_TRY(expect_size(file, layout, spec.vector_bytes()));
  return layout;
}

Result<RowLayout> fbin_layout(const InputFile& file, const ModelSpec& spec) {
  VECTOLITH_TRY(expect_floats(file, spec));
  std::array<std::uint32_t, 2> head{};  // rows, dim
  VECTOLITH_TRY(file.read_exact(0, std::as_writable_bytes(std::span(head))));
  VECTOLITH_TRY(expect_equal(file, "dim", std::to_string(spec.dim), std::to_string(head[1])));
  const RowLayout layout{.data_offset = sizeof(head), .rows = head[0], .prefix_bytes = 0};
  VECTOLITH_TRY(expect_size(file, layout, spec.vector_bytes()));
  return layout;
}

Result<RowLayout> fvecs_layout(const InputFile& file, const ModelSpec& spec) {
  VECTOLITH_TRY(expect_floats(file, spec));
  std::uint32_t dim = 0;
  VECTOLITH_TRY(file.read_exact(0, std::as_writable_bytes(std::span(&dim, 1))));
  VECTOLITH_TRY(expect_equal(file, "dim", std::to_string(spec.dim), std::to_string(dim)));
  const std::uint64_t stride = sizeof(dim) + spec.vector_bytes();
  // A file of changing dims may have any length: the last row that is whole or not is looked at in its turn.
  return RowLayout{
      .data_offset = 0, .rows = (file.size() + stride - 1) / stride, .prefix_bytes = sizeof(dim)};
}

}  // namespace

Result<std::unique_ptr<VectorFile>> open_vector_file(const std::string& path, const ModelSpec& spec) {
  const std::string extension = std::filesystem::path(path).extension().string();
  if (extension == ".jsonl") return open_jsonl_file(path, spec);
  Result<RowLayout> (*layout_of)(const InputFile&, const ModelSpec&) = extension == ".npy"     ? npy_layout
                                                                       : extension == ".fbin"  ? fbin_layout
                                                                       : extension == ".fvecs" ? fvecs_layout
                                                                                               : nullptr;
  if (layout_of == nullptr) {
    return std::unexpected(Error(ErrorCode::kInvalidArgument, "unknown kind of vector file")
                               .with_file(path)
                               .with_expected(".npy, .fvecs, .fbin or .jsonl")
                               .with_found(extension.empty() ? "no extension" : extension));
  }
  VECTOLITH_TRY_ASSIGN(auto file, InputFile::open(path));
  VECTOLITH_TRY_ASSIGN(const auto layout, layout_of(file, spec));
  return std::make_unique<FixedVectorFile>(std::move(file), spec, layout);
}

}  // namespace vectolith::tools
