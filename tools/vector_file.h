/// @file
/// Files of vectors that `import` reads: .npy, .fvecs, .fbin and JSONL, a batch of rows at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <vectolith/format/key.h>
#include <vectolith/format/model_spec.h>
#include <vectolith/format/result.h>

namespace vectolith::tools {

/// Where a row of a text file stands.
struct LinePlace {
  std::uint64_t line = 0;  ///< From 1.
  std::uint64_t offset = 0;
};

/// Rows that were read, in the order of the file.
struct RowBatch {
  std::uint64_t first_row = 0;  ///< Number of the first row in the file, from 0.
  std::size_t rows = 0;
  std::vector<std::byte> matrix;  ///< rows x spec.vector_bytes().
  /// rows entries; set where the file itself names the row's digest (JSONL).
  std::vector<std::optional<Digest>> digests;
  std::vector<LinePlace> places;  ///< rows entries where rows are lines (JSONL), else none.
};

/// A file of vectors of one spec.
class VectorFile {
 public:
  virtual ~VectorFile() = default;
  /// Replaces `batch` by the next rows, at most `rows_max`; batch.rows is 0 at the end of the file.
  /// Errors: kCorruption, kInvalidArgument naming row and byte. Every row before the bad one was given
  ///         out by earlier calls.
  virtual Result<void> read(std::size_t rows_max, RowBatch& batch) = 0;
  /// Rows of the whole file, where it says so.
  [[nodiscard]] virtual std::optional<std::uint64_t> rows() const noexcept = 0;
  /// How far reading has come, in units of `work_total`: rows or bytes.
  [[nodiscard]] virtual std::uint64_t work_done() const noexcept = 0;
  [[nodiscard]] virtual std::uint64_t work_total() const noexcept = 0;
  /// "row 12 (byte 3456)" for row `index` of `batch`.
  [[nodiscard]] virtual std::string place_of(const RowBatch& batch, std::size_t index) const = 0;
};

/// Opens the file by its extension: .npy, .fvecs, .fbin, .jsonl.
/// Errors: kNotFound, kIo; kInvalidArgument (another extension, or a file of another dtype, order or dim
///         than `spec`), kCorruption (truncated, foreign), kUnsupported (.npy version).
Result<std::unique_ptr<VectorFile>> open_vector_file(const std::string& path, const ModelSpec& spec);
/// A JSONL file: one vector a line, as an array or as {"digest": hex, "vector": array}.
Result<std::unique_ptr<VectorFile>> open_jsonl_file(const std::string& path, const ModelSpec& spec);

}  // namespace vectolith::tools
