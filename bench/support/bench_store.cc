/// @file
/// Loads stores as a caller would: batches, then a clean close.
#include "support/bench_store.h"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "support/bench_setup.h"
#include "support/machine_counters.h"

namespace vectolith::bench {
namespace {

IoChoice io_choice() {
  const char* name = std::getenv("VECTOLITH_IO");
  const std::string_view choice = name == nullptr ? "" : name;
  if (choice == "uring") return IoChoice::kUring;
  if (choice == "sync") return IoChoice::kSync;
  return IoChoice::kAuto;
}

}  // namespace

std::unique_ptr<Store> open_store(const std::filesystem::path& path, bool control) {
  Options options;
  options.create_if_missing = true;
  options.io = io_choice();
  options.control = control;
  return must(Store::open(path.string(), options), "open of the store");
}

Family open_family(Store& store, std::uint32_t dim, std::string_view name) {
  ModelSpec spec;
  spec.model = "bench";
  spec.dim = dim;
  return must(store.family(name, spec), "family");
}

void load_rows(Family& family, const VectorSource& source, std::uint64_t first, std::uint64_t rows) {
  const std::size_t bytes = source.vector_bytes();
  std::vector<std::byte> chunk(kBatchRows * bytes);
  std::vector<BatchRow> batch;
  for (std::uint64_t row = 0; row < rows; row += kBatchRows) {
    const auto count = std::min<std::uint64_t>(kBatchRows, rows - row);
    batch.clear();
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto place = std::span(chunk).subspan(i * bytes, bytes);
      source.fill(first + row + i, place);
      batch.push_back({key_of(first + row + i), place});
    }
    must(family.put_batch(batch, {.durability = Durability::kBuffered}), "put_batch");
  }
}

void build_store(const std::filesystem::path& path, const VectorSource& source, std::uint64_t rows) {
  in_child([&] {
    auto store = open_store(path);
    auto family = open_family(*store, static_cast<std::uint32_t>(source.vector_bytes() / sizeof(float)));
    load_rows(family, source, 0, rows);
    must(store->close(), "close after the load");
    return std::vector<double>{};
  });
}

}  // namespace vectolith::bench
