/// @file
/// Vector files: what is read back, and that every malformed one is an error that names its place.
#include "vector_file.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <span>

#include <gtest/gtest.h>

#include "npy_header.h"
#include "support/temp_directory.h"

namespace vectolith::tools {
namespace {

using Bytes = std::vector<std::byte>;

constexpr std::uint32_t kDim = 4;

ModelSpec float_spec(std::uint32_t dim = kDim) {
  ModelSpec spec;
  spec.dim = dim;
  return spec;
}

Bytes as_bytes(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

template <class T>
void append(Bytes& bytes, T value) {
  const auto view = std::as_bytes(std::span(&value, 1));
  bytes.insert(bytes.end(), view.begin(), view.end());
}

std::vector<float> floats(std::size_t count) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), 1.0F);
  return values;
}

Bytes npy_file(std::string_view literal, std::span<const float> values, int version = 1) {
  Bytes bytes = as_bytes("\x93NUMPY");
  bytes.push_back(static_cast<std::byte>(version));
  bytes.push_back(std::byte{0});
  if (version == 1) {
    append(bytes, static_cast<std::uint16_t>(literal.size()));
  } else {
    append(bytes, static_cast<std::uint32_t>(literal.size()));
  }
  const Bytes text = as_bytes(literal);
  bytes.insert(bytes.end(), text.begin(), text.end());
  for (const float value : values) append(bytes, value);
  return bytes;
}

Bytes fvecs_file(std::size_t rows, std::uint32_t dim = kDim) {
  Bytes bytes;
  float value = 1;
  for (std::size_t row = 0; row < rows; ++row) {
    append(bytes, dim);
    for (std::uint32_t j = 0; j < dim; ++j) append(bytes, value++);
  }
  return bytes;
}

Bytes fbin_file(std::uint32_t rows) {
  Bytes bytes;
  append(bytes, rows);
  append(bytes, kDim);
  for (const float value : floats(rows * kDim)) append(bytes, value);
  return bytes;
}

constexpr std::string_view kGoodLiteral = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }  \n";

class VectorFileTest : public ::testing::Test {
 protected:
  Result<std::unique_ptr<VectorFile>> open(const std::string& name, const Bytes& bytes,
                                           const ModelSpec& spec = float_spec()) {
    testing::write_file(directory_.file(name), bytes);
    return open_vector_file(directory_.file(name), spec);
  }

  /// The code with which opening or reading ends, and the rows that were given out before.
  struct Outcome {
    std::optional<Error> error;
    Bytes matrix;
    std::size_t rows = 0;
  };
  Outcome read_all(const std::string& name, const Bytes& bytes, const ModelSpec& spec = float_spec(),
                   std::size_t rows_max = 2) {
    Outcome outcome;
    const auto file = open(name, bytes, spec);
    if (!file.has_value()) {
      outcome.error = file.error();
      return outcome;
    }
    RowBatch batch;
    for (;;) {
      const auto read = (*file)->read(rows_max, batch);
      if (!read.has_value()) {
        outcome.error = read.error();
        return outcome;
      }
      if (batch.rows == 0) return outcome;
      EXPECT_EQ(batch.first_row, outcome.rows);
      EXPECT_EQ(batch.digests.size(), batch.rows);
      outcome.rows += batch.rows;
      outcome.matrix.insert(outcome.matrix.end(), batch.matrix.begin(), batch.matrix.end());
    }
  }

  void expect_rows(const Outcome& outcome, std::size_t rows) {
    ASSERT_FALSE(outcome.error.has_value()) << outcome.error->to_string();
    EXPECT_EQ(outcome.rows, rows);
    const auto values = floats(rows * kDim);
    ASSERT_EQ(outcome.matrix.size(), values.size() * sizeof(float));
    EXPECT_TRUE(
        std::ranges::equal(std::as_bytes(std::span(outcome.matrix)), std::as_bytes(std::span(values))));
  }

  testing::TempDirectory directory_;
};

TEST_F(VectorFileTest, EveryKindOfFileGivesItsRowsInOrder) {
  expect_rows(read_all("a.npy", npy_file(kGoodLiteral, floats(12))), 3);
  expect_rows(read_all("b.npy", npy_file(kGoodLiteral, floats(12), 2)), 3);
  expect_rows(read_all("c.fvecs", fvecs_file(3)), 3);
  expect_rows(read_all("d.fbin", fbin_file(3)), 3);
  expect_rows(read_all("e.jsonl", as_bytes("[1,2,3,4]\n\n[5,6,7,8]\n{\"vector\":[9,10,11,12]}")), 3);
  expect_rows(read_all("f.fbin", fbin_file(0)), 0);
}

TEST_F(VectorFileTest, TheHeaderThatWeWriteIsReadBack) {
  for (const std::uint64_t rows : {0U, 3U, 1'000'000U}) {
    const std::string text = npy_header_text(float_spec(), rows);
    EXPECT_EQ(text.size() % 64, 0U);
    testing::write_file(directory_.file("header.npy"), as_bytes(text));
    const auto file = InputFile::open(directory_.file("header.npy"));
    ASSERT_TRUE(file.has_value());
    const auto header = read_npy_header(*file);
    ASSERT_TRUE(header.has_value()) << header.error().to_string();
    EXPECT_EQ(header->rows, rows);
    EXPECT_EQ(header->columns, kDim);
    EXPECT_EQ(header->descr, "<f4");
    EXPECT_EQ(header->data_offset, text.size());
  }
}

TEST_F(VectorFileTest, EveryTruncationOfAFileIsCorruptionAndTheRowsBeforeItAreGivenOut) {
  const std::vector<std::pair<std::string, Bytes>> files = {
      {"a.npy", npy_file(kGoodLiteral, floats(12))}, {"a.fbin", fbin_file(3)}, {"a.fvecs", fvecs_file(3)}};
  for (const auto& [name, whole] : files) {
    for (std::size_t length = 0; length < whole.size(); ++length) {
      const std::size_t row_bytes = 4 + kDim * sizeof(float);
      if (name == "a.fvecs" && length > 0 && length % row_bytes == 0) continue;  // a shorter whole file
      const auto outcome =
          read_all(name, {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)});
      ASSERT_TRUE(outcome.error.has_value()) << name << " cut to " << length;
      EXPECT_EQ(outcome.error->code(), ErrorCode::kCorruption) << name << " cut to " << length;
      EXPECT_FALSE(outcome.error->file().empty());
      if (name == "a.fvecs") {
        EXPECT_EQ(outcome.rows, length / row_bytes);
      }
    }
    Bytes longer = whole;
    longer.push_back(std::byte{1});
    EXPECT_TRUE(read_all(name, longer).error.has_value()) << name << " with a byte behind the last row";
  }
}

TEST_F(VectorFileTest, AnotherDtypeOrderOrShapeOfNpyIsRefused) {
  const std::vector<std::pair<std::string, ErrorCode>> cases = {
      {"{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2), }", ErrorCode::kInvalidArgument},
      {"{'descr': '>f4', 'fortran_order': False, 'shape': (3, 4), }", ErrorCode::kInvalidArgument},
      {"{'descr': '|O', 'fortran_order': False, 'shape': (3, 4), }", ErrorCode::kInvalidArgument},
      {"{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (3, 4), }", ErrorCode::kInvalidArgument},
      {"{'descr': '<f4', 'fortran_order': True, 'shape': (3, 4), }", ErrorCode::kInvalidArgument},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (12,), }", ErrorCode::kInvalidArgument},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3, 4), }", ErrorCode::kInvalidArgument},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (4, 3), }", ErrorCode::kInvalidArgument},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (4, 4), }", ErrorCode::kCorruption},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387907, 4), }",
       ErrorCode::kCorruption},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 4), }",
       ErrorCode::kCorruption},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), 'x': __import__('os')}",
       ErrorCode::kCorruption},
      {"{'descr': '<f4', 'fortran_order': False}", ErrorCode::kCorruption},
      {"", ErrorCode::kCorruption},
      {std::string(60'000, '('), ErrorCode::kInvalidArgument}};
  for (const auto& [literal, code] : cases) {
    const auto outcome = read_all("a.npy", npy_file(literal, floats(12)));
    ASSERT_TRUE(outcome.error.has_value()) << literal;
    EXPECT_EQ(outcome.error->code(), code) << literal << ": " << outcome.error->to_string();
    EXPECT_EQ(outcome.rows, 0U);
  }
  const auto newer = read_all("a.npy", npy_file(kGoodLiteral, floats(12), 3));
  ASSERT_TRUE(newer.error.has_value());
  EXPECT_EQ(newer.error->code(), ErrorCode::kUnsupported);
}

TEST_F(VectorFileTest, TheKeysOfANpyHeaderMayStandInAnyOrder) {
  expect_rows(
      read_all("a.npy", npy_file("{'shape': (3, 4), 'fortran_order': False, 'descr': '<f4'}", floats(12))),
      3);
}

TEST_F(VectorFileTest, AnFvecsWhoseDimChangesNamesTheRowAndKeepsThoseBefore) {
  Bytes bytes = fvecs_file(2);
  const Bytes other = fvecs_file(1, 3);
  bytes.insert(bytes.end(), other.begin(), other.end());
  const auto outcome = read_all("a.fvecs", bytes, float_spec(), 100);
  ASSERT_TRUE(outcome.error.has_value());
  EXPECT_EQ(outcome.error->code(), ErrorCode::kCorruption);
  EXPECT_NE(outcome.error->message().find("row 2"), std::string::npos) << outcome.error->to_string();
  EXPECT_EQ(outcome.error->offset(), 40U);
  EXPECT_EQ(outcome.rows, 2U);
}

TEST_F(VectorFileTest, AFileOfAnotherDimOrDtypeThanTheFamilyIsRefused) {
  ModelSpec bytes_spec = float_spec();
  bytes_spec.dtype = Dtype::kI8;
  for (const auto& [name, bytes] :
       std::vector<std::pair<std::string, Bytes>>{{"a.npy", npy_file(kGoodLiteral, floats(12))},
                                                  {"a.fbin", fbin_file(3)},
                                                  {"a.fvecs", fvecs_file(3)}}) {
    for (const auto& spec : {float_spec(5), bytes_spec}) {
      const auto outcome = read_all(name, bytes, spec);
      ASSERT_TRUE(outcome.error.has_value()) << name;
      EXPECT_EQ(outcome.error->code(), ErrorCode::kInvalidArgument) << name;
    }
  }
}

TEST_F(VectorFileTest, ABadJsonLineNamesLineAndByteAndKeepsTheRowsBefore) {
  const std::vector<std::pair<std::string, ErrorCode>> lines = {
      {"[5,6,7", ErrorCode::kCorruption},
      {"[5,6,7]", ErrorCode::kInvalidArgument},
      {"{\"digest\":\"00\",\"vector\":[5,6,7,8]}", ErrorCode::kInvalidArgument},
      {"{\"digest\":7,\"vector\":[5,6,7,8]}", ErrorCode::kInvalidArgument},
      {"{\"vectors\":[5,6,7,8]}", ErrorCode::kCorruption},
      {"7", ErrorCode::kInvalidArgument}};
  for (const auto& [line, code] : lines) {
    const auto outcome = read_all("a.jsonl", as_bytes("[1,2,3,4]\n" + line + "\n[1,2,3,4]\n"));
    ASSERT_TRUE(outcome.error.has_value()) << line;
    EXPECT_EQ(outcome.error->code(), code) << line;
    EXPECT_NE(outcome.error->message().find("line 2 (byte 10)"), std::string::npos)
        << outcome.error->to_string();
    EXPECT_EQ(outcome.rows, 1U) << line;
  }
}

TEST_F(VectorFileTest, JsonLinesMayNameTheirDigests) {
  const std::string hex = Digest::from_number(77).to_hex();
  const auto file =
      open("a.jsonl", as_bytes("{\"digest\":\"" + hex + "\",\"vector\":[1,2,3,4]}\r\n[5,6,7,8]\r\n"));
  ASSERT_TRUE(file.has_value());
  RowBatch batch;
  ASSERT_TRUE((*file)->read(10, batch).has_value());
  ASSERT_EQ(batch.rows, 2U);
  EXPECT_EQ(batch.digests[0], Digest::from_number(77));
  EXPECT_FALSE(batch.digests[1].has_value());
}

TEST_F(VectorFileTest, LinesLongerThanAReadAreReadWhole) {
  constexpr std::uint32_t kLongDim = 50'000;  // some 700 KiB a line, and reads of 1 MiB
  std::string text;
  for (int row = 0; row < 5; ++row) {
    text += '[';
    for (std::uint32_t j = 0; j < kLongDim; ++j)
      text += (j > 0 ? ", " : "") + std::to_string(1'000'000'000 + row);
    text += "]\n";
  }
  const auto outcome = read_all("a.jsonl", as_bytes(text), float_spec(kLongDim), 1);
  ASSERT_FALSE(outcome.error.has_value()) << outcome.error->to_string();
  EXPECT_EQ(outcome.rows, 5U);
}

TEST_F(VectorFileTest, AnUnknownExtensionAMissingFileAndADirectoryAreErrors) {
  EXPECT_EQ(open("a.csv", as_bytes("1,2")).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(open_vector_file(directory_.file("missing.npy"), float_spec()).error().code(),
            ErrorCode::kNotFound);
  EXPECT_EQ(InputFile::open(directory_.path()).error().code(), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace vectolith::tools
