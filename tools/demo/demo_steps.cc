/// @file
/// The steps of the demo: train, import, reopen, read, search, import again, kill, check.
#include "demo/demo_steps.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include <vectolith/verify.h>

#include "demo/gloss_corpus.h"
#include "demo/gloss_embedder.h"
#include "demo/gloss_importer.h"
#include "demo/gloss_reader.h"
#include "demo/import_kill.h"
#include "output.h"
#include "progress.h"

namespace vectolith::demo {
namespace {

using tools::fixed;
using tools::human_bytes;
using tools::with_commas;
using Clock = std::chrono::steady_clock;

constexpr int kWarmPasses = 5;
constexpr std::size_t kNeighbours = 3;
constexpr const char* kQuestions[] = {"music played on the piano", "a small boat moved by oars",
                                      "a doctor who treats children", "frozen water falling from the sky"};

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Everything the steps share.
struct Demo {
  Console& console;
  const DemoPlaces& places;
  std::vector<Gloss> glosses;
  GlossEmbedder embedder;
  std::uint64_t distinct = 0;  ///< Rows the store must hold after a full import.

  [[nodiscard]] std::string main_path() const { return places.store.string(); }
  [[nodiscard]] std::string killed_path() const { return (places.scratch / "killed").string(); }
};

std::uint64_t count_distinct(const std::vector<Gloss>& glosses) {
  std::vector<std::string_view> texts;
  texts.reserve(glosses.size());
  for (const auto& gloss : glosses) texts.push_back(gloss.text);
  std::ranges::sort(texts);
  const auto repeats = std::ranges::unique(texts);
  return texts.size() - repeats.size();
}

Result<GlossEmbedder> train_model(Console& console, const std::vector<Gloss>& glosses,
                                  const std::filesystem::path& directory) {
  console.step("Train a model");
  console.fact("texts", with_commas(glosses.size()) + " glosses of WordNet");
  const auto start = Clock::now();
  VECTOLITH_TRY_ASSIGN(auto embedder, GlossEmbedder::train(glosses, directory));
  console.fact("model",
               "fastText skip-gram, " + std::to_string(kDim) + " dimensions, one thread, fixed seed");
  console.fact("trained in", fixed(seconds_since(start), 1) + " s");
  return embedder;
}

Result<ImportReport> run_import(Demo& demo, GlossStore& store, const std::string& label) {
  tools::Progress progress(label, "rows", demo.glosses.size());
  const ImportHooks hooks{.on_progress = [&](std::uint64_t seen) { progress.update(seen, seen); },
                          .on_acknowledged = {}};
  auto report = import_glosses(store, demo.embedder, demo.glosses, hooks);
  progress.finish();
  return report;
}

Result<void> import_step(Demo& demo) {
  auto& console = demo.console;
  console.step("Import");
  VECTOLITH_TRY_ASSIGN(auto store, GlossStore::open(demo.main_path()));
  const auto before = store.glosses.size();
  if (before != 0) console.line("an earlier run left " + with_commas(before) + " vectors here");
  VECTOLITH_TRY_ASSIGN(const auto report, run_import(demo, store, "import"));
  const auto rows = static_cast<double>(report.stored);
  console.fact("stored", with_commas(report.stored) + " vectors and their texts");
  console.fact("repeated", with_commas(report.seen - demo.distinct) +
                               " glosses have the text of another: the first write wins");
  console.fact("embedding", fixed(report.embedding.count(), 2) + " s");
  if (report.stored > 0) {
    console.fact("storing", fixed(report.storing.count(), 2) + " s, synced: " +
                                with_commas(static_cast<std::uint64_t>(rows / report.storing.count())) +
                                " rows/s in");
  }
  console.check(report.embedded == demo.distinct - before && store.glosses.size() == demo.distinct &&
                    store.texts.size() == demo.distinct,
                "each distinct gloss was embedded once and is in the store: " + with_commas(demo.distinct));
  return store.store->close();
}

const FamilyStats* family_stats(const StoreStats& stats, std::string_view name) {
  const auto found = std::ranges::find(stats.families, name, &FamilyStats::name);
  return found == stats.families.end() ? nullptr : &*found;
}

Result<GlossStore> reopen_step(Demo& demo) {
  auto& console = demo.console;
  console.step("Close and reopen");
  const auto start = Clock::now();
  VECTOLITH_TRY_ASSIGN(auto store, GlossStore::open(demo.main_path()));
  console.fact("open", fixed(seconds_since(start) * 1e3, 1) + " ms");
  const auto stats = store.store->stats();
  const auto* glosses = family_stats(stats, "glosses");
  const auto* texts = family_stats(stats, "texts");
  if (glosses == nullptr || texts == nullptr)
    return fail(ErrorCode::kInternal, "stats() does not know a family of the demo");
  const auto rows = static_cast<double>(std::max<std::uint64_t>(glosses->live_rows, 1));
  console.fact("on disk", fixed(static_cast<double>(glosses->allocated_bytes) / rows, 1) +
                              " bytes a vector of " + std::to_string(GlossEmbedder::spec().vector_bytes()) +
                              " bytes and its 64 of meta; texts " + human_bytes(texts->allocated_bytes));
  console.fact("in memory",
               fixed(static_cast<double>(glosses->index_bytes) / rows, 1) + " bytes a row for the index");
  console.fact("I/O", stats.io_backend + (stats.io_fallback.empty() ? "" : " (" + stats.io_fallback + ")"));
  console.check(glosses->live_rows == demo.distinct, with_commas(glosses->live_rows) + " vectors are there");
  return store;
}

Result<void> read_step(Demo& demo, const GlossStore& store) {
  auto& console = demo.console;
  console.step("Read back by random key, zero-copy");
  std::vector<std::uint32_t> order(demo.glosses.size());
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::shuffle(order, std::mt19937_64(1));
  Comparison comparison;
  {
    tools::Progress progress("compare", "rows", order.size());
    VECTOLITH_TRY_ASSIGN(comparison,
                         compare_glosses(store, demo.embedder, demo.glosses, order,
                                         [&](std::uint64_t done) { progress.update(done, done); }));
    progress.finish();
  }
  console.check(comparison.clean(), "embedded again, " + with_commas(comparison.compared) +
                                        " glosses: " + with_commas(comparison.missing) + " missing, " +
                                        with_commas(comparison.different) + " with another byte");

  std::vector<Key> keys;
  keys.reserve(order.size());
  for (const auto number : order) keys.push_back(key_of(demo.glosses[number].text));
  std::ranges::sort(keys);
  const auto repeats = std::ranges::unique(keys);
  keys.erase(repeats.begin(), repeats.end());
  std::ranges::shuffle(keys, std::mt19937_64(2));
  double best_ns = 0;
  ReadTiming timing;
  for (int pass = 0; pass < kWarmPasses; ++pass) {
    VECTOLITH_TRY_ASSIGN(timing, read_by_key(store, keys));
    best_ns = pass == 0 ? timing.ns_per_get : std::min(best_ns, timing.ns_per_get);
  }
  console.fact("get", fixed(best_ns, 0) + " ns a read: key compared in full, vector read where it lies");

  VECTOLITH_TRY_ASSIGN(const auto matrix, summarise_matrix(store));
  console.check(matrix.rows == demo.distinct && matrix.words_sum == timing.words_sum,
                "as matrices: the same " + with_commas(matrix.rows) + " vectors in " +
                    with_commas(matrix.segments) + " contiguous segments");
  return {};
}

Result<void> search_step(Demo& demo, const GlossStore& store) {
  auto& console = demo.console;
  console.step("Find the nearest glosses by a scan of the matrices");
  double total_ms = 0;
  bool complete = true;
  for (const auto* question : kQuestions) {
    VECTOLITH_TRY_ASSIGN(const auto found, find_nearest(store, demo.embedder, question, kNeighbours));
    console.line("\"" + std::string(question) + "\"");
    for (const auto& neighbour : found.nearest) {
      console.line("  " + fixed(double{neighbour.score}, 2) + "  " + neighbour.text.substr(0, 90));
    }
    total_ms += found.scan_ms;
    complete = complete && found.nearest.size() == kNeighbours;
  }
  console.fact("scan", fixed(total_ms / static_cast<double>(std::size(kQuestions)), 2) + " ms for all " +
                           with_commas(store.glosses.size()) + " vectors, one thread");
  console.check(complete, "each question found its nearest texts");
  return {};
}

Result<void> second_run_step(Demo& demo, GlossStore& store) {
  demo.console.step("Import the same glosses again");
  VECTOLITH_TRY_ASSIGN(const auto report, run_import(demo, store, "import"));
  demo.console.check(
      report.seen == demo.glosses.size() && report.embedded == 0 && report.stored == 0,
      with_commas(report.seen) + " glosses seen, " + with_commas(report.embedded) + " embedded");
  return {};
}

Result<void> fsck_check(Demo& demo, const std::string& path, const std::string& name) {
  VECTOLITH_TRY_ASSIGN(const auto report, fsck(path));
  for (const auto& finding : report.findings) {
    if (finding.severity == Finding::Severity::kInfo) continue;
    demo.console.line(finding.file + " at " + std::to_string(finding.offset) + ": " + finding.what +
                      ", expected " + finding.expected + ", found " + finding.found);
  }
  demo.console.check(report.clean(), "fsck " + name + ": " + (report.clean() ? "clean" : "DAMAGED") + ", " +
                                         with_commas(report.rows) + " rows, " + human_bytes(report.bytes) +
                                         " checked");
  return {};
}

Result<void> kill_step(Demo& demo) {
  auto& console = demo.console;
  console.step("Kill an importing process half way");
  VECTOLITH_TRY_ASSIGN(const auto killed, import_and_kill(demo.killed_path(), demo.embedder, demo.glosses));
  console.check(killed.killed,
                "kill -9 after " + with_commas(killed.acknowledged.size()) + " acknowledged vectors");
  VECTOLITH_TRY(fsck_check(demo, demo.killed_path(), "as it died"));

  const auto start = Clock::now();
  VECTOLITH_TRY_ASSIGN(auto store, GlossStore::open(demo.killed_path()));
  console.fact("recovery", fixed(seconds_since(start) * 1e3, 1) + " ms, " +
                               with_commas(store.glosses.size()) + " vectors found");
  VECTOLITH_TRY_ASSIGN(const auto comparison,
                       compare_glosses(store, demo.embedder, demo.glosses, killed.acknowledged));
  console.check(comparison.clean() && comparison.compared == killed.acknowledged.size(),
                "of " + with_commas(comparison.compared) +
                    " acknowledged: " + with_commas(comparison.missing) + " missing, " +
                    with_commas(comparison.different) + " with another byte");
  VECTOLITH_TRY_ASSIGN(const auto report, run_import(demo, store, "resume"));
  console.check(store.glosses.size() == demo.distinct,
                "the import goes on where it was: " + with_commas(report.embedded) + " more embedded");
  return store.store->close();
}

Result<void> run_steps(Demo& demo) {
  VECTOLITH_TRY(import_step(demo));
  {
    VECTOLITH_TRY_ASSIGN(auto store, reopen_step(demo));
    VECTOLITH_TRY(read_step(demo, store));
    VECTOLITH_TRY(search_step(demo, store));
    VECTOLITH_TRY(second_run_step(demo, store));
    VECTOLITH_TRY(store.store->close());
  }
  VECTOLITH_TRY(kill_step(demo));
  demo.console.step("Check every byte");
  VECTOLITH_TRY(fsck_check(demo, demo.main_path(), "of the first store"));
  return fsck_check(demo, demo.killed_path(), "of the killed store");
}

}  // namespace

Result<void> run_demo(Console& console, const DemoPlaces& places) {
  const auto start = Clock::now();
  console.line("vectolith demo, store in " + places.store.string());
  VECTOLITH_TRY_ASSIGN(auto glosses, read_glosses(places.wordnet));
  VECTOLITH_TRY_ASSIGN(auto embedder, train_model(console, glosses, places.scratch));
  const auto distinct = count_distinct(glosses);
  Demo demo{console, places, std::move(glosses), std::move(embedder), distinct};
  VECTOLITH_TRY(run_steps(demo));
  console.line("");
  console.line((console.failed() ? "FAILED after " : "all checks passed in ") +
               fixed(seconds_since(start), 0) + " s");
  return {};
}

}  // namespace vectolith::demo
