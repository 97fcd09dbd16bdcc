/// @file
/// Any bytes as a file to import: the first byte says which kind, the second for what family.
#include <array>
#include <cmath>
#include <string>

#include <fcntl.h>
#include <unistd.h>

#include "element_text.h"
#include "fuzz_support.h"
#include "vector_file.h"

namespace vectolith::fuzz {
namespace {

constexpr std::array<const char*, 4> kExtensions = {".npy", ".fvecs", ".fbin", ".jsonl"};
constexpr std::size_t kRowsAtOnce = 3;

/// A file in memory for each kind, since the importer goes by the extension.
class Scratch {
 public:
  Scratch() : path_("/dev/shm/vectolith-fuzz-XXXXXX") {
    VECTOLITH_FUZZ_CHECK(::mkdtemp(path_.data()) != nullptr);
  }
  ~Scratch() {
    for (const char* extension : kExtensions) ::unlink((path_ + "/input" + extension).c_str());
    ::rmdir(path_.c_str());
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  std::string write(const char* extension, std::span<const std::byte> bytes) {
    std::string path = path_ + "/input" + extension;
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    VECTOLITH_FUZZ_CHECK(file >= 0);
    VECTOLITH_FUZZ_CHECK(::write(file, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    ::close(file);
    return path;
  }

 private:
  std::string path_;
};

ModelSpec spec_of(std::uint8_t choice) {
  ModelSpec spec;
  spec.dtype = static_cast<Dtype>(1 + choice % 6);
  spec.dim = 8 * (1U + choice / 6 % 3);
  return spec;
}

bool is_finite(const tools::VectorJson& array) {
  return std::ranges::all_of(array, [](const auto& element) {
    return !element.is_number_float() || std::isfinite(element.template get<float>());
  });
}

/// What is printed of a vector reads back as the same bits.
void check_text(const ModelSpec& spec, std::span<const std::byte> vector) {
  std::string text;
  tools::append_vector_text(text, spec.dtype, vector);
  const auto json = tools::parse_vector_json(text);
  if (!json.has_value() || !is_finite(*json)) return;  // NaN and infinity are no JSON.
  std::vector<std::byte> again;
  VECTOLITH_FUZZ_CHECK(tools::append_vector_bytes(*json, spec, again).has_value());
  VECTOLITH_FUZZ_CHECK(std::ranges::equal(again, vector));
}

void check_batch(const ModelSpec& spec, const tools::VectorFile& file, const tools::RowBatch& batch) {
  const std::size_t vector_bytes = spec.vector_bytes();
  VECTOLITH_FUZZ_CHECK(batch.rows <= kRowsAtOnce && batch.matrix.size() >= batch.rows * vector_bytes);
  VECTOLITH_FUZZ_CHECK(batch.digests.size() == batch.rows);
  for (std::size_t row = 0; row < batch.rows; ++row) {
    VECTOLITH_FUZZ_CHECK(!file.place_of(batch, row).empty());
    check_text(spec, std::span(batch.matrix).subspan(row * vector_bytes, vector_bytes));
  }
}

void check(const std::string& path, const ModelSpec& spec) {
  auto file = tools::open_vector_file(path, spec);
  if (!file.has_value()) return;
  std::uint64_t rows = 0;
  for (;;) {
    tools::RowBatch batch;
    if (!(*file)->read(kRowsAtOnce, batch).has_value()) {
      VECTOLITH_FUZZ_CHECK(!(*file)->read(kRowsAtOnce, batch).has_value());
      return;
    }
    VECTOLITH_FUZZ_CHECK(batch.first_row == rows);
    check_batch(spec, **file, batch);
    if (batch.rows == 0) break;
    rows += batch.rows;
  }
  VECTOLITH_FUZZ_CHECK((*file)->rows().value_or(rows) == rows);
  VECTOLITH_FUZZ_CHECK((*file)->work_done() == (*file)->work_total());
}

}  // namespace

void repair(std::span<std::byte>) {}  // There are no sums here.

}  // namespace vectolith::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vectolith::fuzz;
  static Scratch scratch;
  if (size < 2) return 0;
  const char* extension = kExtensions[data[0] % kExtensions.size()];
  const auto path = scratch.write(extension, copy_of(data + 2, size - 2));
  check(path, spec_of(data[1]));
  return 0;
}
