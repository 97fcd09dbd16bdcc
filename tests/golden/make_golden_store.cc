/// @file
/// Writes one golden store with the public API: `make_golden_store clean|killed DIRECTORY`.
///
/// `clean` closes the store; `killed` ends the process without closing it, so that opening it means recovery.
/// tests/golden/README.md says when to run it and how the result is packed.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <unistd.h>

#include <vectolith/store.h>

#include "support/golden_store.h"

namespace vectolith::testing {
namespace {

struct Ids {
  ScopeId scope;
  ChunkerId chunker;
  BuildId build;
};

template <class T>
T value_of(Result<T> result) {
  if (result.has_value()) return *std::move(result);
  std::fprintf(stderr, "%s\n", result.error().to_string().c_str());
  std::exit(1);
}
void check(const Result<void>& result) {
  if (result.has_value()) return;
  std::fprintf(stderr, "%s\n", result.error().to_string().c_str());
  std::exit(1);
}
void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "unexpected: %s\n", what);
  std::exit(1);
}

Key key_of(std::uint64_t number, const Ids& ids) {
  Key key{.digest = Digest::from_number(number)};
  if (golden_has_scope(number)) {
    key.scope = ids.scope;
    key.chunker = ids.chunker;
  }
  return key;
}

WriteOptions options_of(const GoldenStep& step, const Ids& ids) {
  return {.replace = step.kind == GoldenStep::Kind::kReplace,
          .build = ids.build,
          .created_at_s = step.created_at_s()};
}

void put_batch(Family& family, const GoldenFamily& golden, const GoldenStep& step, const Ids& ids) {
  std::vector<std::vector<std::byte>> vectors;
  for (std::uint32_t i = 0; i < kGoldenBatchRows; ++i)
    vectors.push_back(golden_vector(golden, step.number + i, step.version));
  std::vector<BatchRow> rows;
  for (std::uint32_t i = 0; i < kGoldenBatchRows; ++i)
    rows.push_back({.key = key_of(step.number + i, ids), .vector = vectors[i]});
  value_of(family.put_batch(rows, options_of(step, ids)));
}

void write_family(Store& store, const GoldenFamily& golden, const Ids& ids) {
  auto family = value_of(store.family(golden.name, golden.spec()));
  for (const auto& step : golden_steps(golden.rows)) {
    if (step.kind == GoldenStep::Kind::kPutBatch) {
      put_batch(family, golden, step, ids);
      // Rows up to here are durable, those behind only buffered: a killed store has both in its tails.
      check(store.sync());
    } else if (step.kind == GoldenStep::Kind::kErase) {
      expect(value_of(family.erase(key_of(step.number, ids))).existed, "the key to erase is not there");
    } else {
      const auto vector = golden_vector(golden, step.number, step.version);
      const auto put = value_of(family.put(key_of(step.number, ids), vector, options_of(step, ids)));
      expect(put.stored == (step.kind != GoldenStep::Kind::kPutInVain), "first write wins");
    }
  }
}

void write_records(Store& store, const Ids& ids) {
  auto family = value_of(store.record_family(kGoldenRecords));
  for (const auto& step : golden_record_steps()) {
    if (step.kind == GoldenStep::Kind::kErase) {
      expect(value_of(family.erase(key_of(step.number, ids))).existed, "the record to erase is not there");
      continue;
    }
    const auto text = golden_text(step.number, step.version);
    const auto put =
        value_of(family.put(key_of(step.number, ids), std::string_view(text), options_of(step, ids)));
    expect(put.stored == (step.kind != GoldenStep::Kind::kPutInVain), "first write wins");
  }
}

void drop_a_family(Store& store, const Ids& ids) {
  const GoldenFamily golden{.name = kGoldenDropped, .dtype = Dtype::kI8, .dim = 8, .rows = 20};
  write_family(store, golden, ids);
  check(store.drop_family(kGoldenDropped));
}

int make(bool killed, const std::string& directory) {
  Options options;
  options.segment_bytes_initial = 64U << 10;
  options.segment_bytes_target = 64U << 10;
  auto store = value_of(Store::create(directory, options));
  const Ids ids{.scope = value_of(store->intern_scope(kGoldenScope)),
                .chunker = value_of(store->intern_chunker(kGoldenChunker, kGoldenChunkerVersion)),
                .build = value_of(store->intern_build(kGoldenBuild))};
  drop_a_family(*store, ids);
  for (const auto& family : golden_families()) write_family(*store, family, ids);
  write_records(*store, ids);
  // The background worker seals the full segment meanwhile.
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  if (killed) ::_exit(0);
  check(store->close());
  return 0;
}

}  // namespace
}  // namespace vectolith::testing

int main(int argc, char** argv) {
  const std::string_view how = argc == 3 ? argv[1] : "";
  if (how != "clean" && how != "killed") {
    std::fprintf(stderr, "usage: make_golden_store clean|killed DIRECTORY (must not exist)\n");
    return 2;
  }
  return vectolith::testing::make(how == "killed", argv[2]);
}
