/// @file
/// Batches, and checks of answers.
#include "compare/row_data.h"

#include <algorithm>
#include <limits>

#include "support/vector_touch.h"

namespace vectolith::bench::compare {
namespace {

constexpr float kWorst = std::numeric_limits<float>::lowest();

}  // namespace

void Batches::begin(std::uint64_t count) {
  rows_.clear();
  // Ahead of all rows, as they point into it.
  matrix_.resize(count * source_.vector_bytes());
}

void Batches::add(std::uint64_t row, std::uint64_t version) {
  const auto place =
      std::span(matrix_).subspan(rows_.size() * source_.vector_bytes(), source_.vector_bytes());
  source_.fill(number_of(row, version), place);
  rows_.push_back({.key = key_of(row), .vector = place});
}

std::span<const BatchRow> Batches::make(std::uint64_t first, std::uint64_t count) {
  begin(count);
  for (std::uint64_t row = first; row < first + count; ++row) add(row, 0);
  return rows_;
}

std::span<const BatchRow> Batches::make(std::span<const std::uint32_t> rows, std::uint64_t version) {
  begin(rows.size());
  for (const auto row : rows) add(row, version);
  return rows_;
}

void load_all(ComparedStore& store, const VectorSource& source, std::uint64_t rows) {
  Batches batches(source);
  {
    const auto client = store.client();
    for (std::uint64_t row = 0; row < rows; row += kBatchRows)
      client->insert(batches.make(row, std::min(kBatchRows, rows - row)));
  }
  store.sync();
}

void must_bear(std::span<const std::byte> matrix, std::span<const std::uint32_t> rows) {
  const std::size_t bytes = matrix.size() / rows.size();
  for (std::size_t i = 0; i < rows.size(); ++i)
    must_be(bears_number(matrix.subspan(i * bytes, bytes), rows[i]), "row i of a multi_get answers key i");
}

DotScan::DotScan(Cell& cell) : cell_(cell), query_(cell.options().dim) {
  cell.source().fill(cell.options().rows, std::as_writable_bytes(std::span(query_)));
}

void DotScan::visit(std::span<const std::byte> rows) {
  const std::size_t bytes = cell_.vector_bytes();
  for (std::size_t at = 0; at < rows.size(); at += bytes) {
    best_ =
        std::max(best_, dot(reinterpret_cast<const float*>(rows.data() + at), query_.data(), query_.size()));
    ++rows_;
  }
}

void DotScan::run(Client& client) {
  rows_ = 0;
  best_ = kWorst;
  client.scan([this](std::span<const std::byte> rows) { visit(rows); });
}

void DotScan::verify() const {
  std::vector<float> vector(query_.size());
  float best = kWorst;
  for (std::uint64_t row = 0; row < cell_.options().rows; ++row) {
    cell_.source().fill(row, std::as_writable_bytes(std::span(vector)));
    best = std::max(best, dot(vector.data(), query_.data(), query_.size()));
  }
  must_be(rows_ == cell_.options().rows, "a scan shows every row once");
  must_be(best_ == best, "a scan shows the bytes that were put");
}

}  // namespace vectolith::bench::compare
