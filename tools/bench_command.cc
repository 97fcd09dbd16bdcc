/// @file
/// The verb `bench`: how fast this machine puts, gets and scans vectors. bench/ has the full benches.
#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <numeric>

#include "command.h"
#include "output.h"
#include "store_access.h"
#include "stress_model.h"

namespace vectolith::tools {

namespace {

constexpr const char* kBenchFamily = "bench";
constexpr std::size_t kBatchBytes = std::size_t{256} << 10;
constexpr std::uint64_t kDurablePutsMax = 1'000;

struct BenchArguments {
  CommonOptions common;
  std::uint64_t rows = 100'000;
  std::uint32_t dim = 768;
  std::uint64_t seed = 1;
};

struct BenchFigures {
  double bulk_s = 0;
  std::uint64_t durable_puts = 0;
  double durable_s = 0;
  double get_s = 0;
  double get_copy_s = 0;
  double scan_s = 0;
  double checksum = 0;  ///< Keeps the reads from being optimised away, and repeats for a seed.
  StoreStats stats;
};

class Stopwatch {
 public:
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

float sum_of(std::span<const float> vector) { return std::accumulate(vector.begin(), vector.end(), 0.0F); }

float dot(std::span<const float> left, std::span<const float> right) {
  // Eight sums side by side, so that the compiler may use vector registers without reordering any one.
  std::array<float, 8> lanes{};
  std::size_t i = 0;
  for (; i + lanes.size() <= left.size(); i += lanes.size()) {
    for (std::size_t lane = 0; lane < lanes.size(); ++lane) lanes[lane] += left[i + lane] * right[i + lane];
  }
  float sum = std::accumulate(lanes.begin(), lanes.end(), 0.0F);
  for (; i < left.size(); ++i) sum += left[i] * right[i];
  return sum;
}

/// Bulk load in batches, durable at the end. The time to make the vectors is not counted.
Result<void> bench_bulk(Store& store, Family& family, const BenchArguments& arguments,
                        BenchFigures& figures) {
  const std::uint64_t batch_rows = std::max<std::uint64_t>(1, kBatchBytes / family.spec().vector_bytes());
  std::vector<float> matrix(static_cast<std::size_t>(batch_rows) * arguments.dim);
  std::vector<BatchRow> rows;
  for (std::uint64_t first = 0; first < arguments.rows; first += batch_rows) {
    rows.clear();
    for (std::uint64_t i = 0; i < std::min(batch_rows, arguments.rows - first); ++i) {
      const auto vector =
          std::span(matrix).subspan(static_cast<std::size_t>(i) * arguments.dim, arguments.dim);
      fill_version(arguments.seed, first + i, 0, vector);
      rows.push_back({.key = stress_key(first + i), .vector = std::as_bytes(vector)});
    }
    const Stopwatch watch;
    VECTOLITH_TRY(family.put_batch(rows));
    figures.bulk_s += watch.seconds();
  }
  const Stopwatch watch;
  VECTOLITH_TRY(store.sync());
  figures.bulk_s += watch.seconds();
  return {};
}

/// One durable put at a time, one thread.
Result<void> bench_durable(Family& family, const BenchArguments& arguments, BenchFigures& figures) {
  figures.durable_puts = std::min(kDurablePutsMax, arguments.rows);
  WriteOptions options;
  options.durability = Durability::kDurable;
  std::vector<float> vector(arguments.dim);
  for (std::uint64_t i = 0; i < figures.durable_puts; ++i) {
    fill_version(arguments.seed, arguments.rows + i, 0, vector);
    const Stopwatch watch;
    VECTOLITH_TRY(family.put(stress_key(arguments.rows + i), std::span<const float>(vector), options));
    figures.durable_s += watch.seconds();
  }
  return {};
}

/// As many uniform random reads as there are rows; each whole vector is summed.
Result<void> bench_get(Store& store, const Family& family, const BenchArguments& arguments,
                       BenchFigures& figures) {
  SplitMix random(arguments.seed);
  const Stopwatch watch;
  for (std::uint64_t i = 0; i < arguments.rows; ++i) {
    const auto scope = store.read_scope();
    VECTOLITH_TRY_ASSIGN(const auto view, family.get(scope, stress_key(random.next() % arguments.rows)));
    if (!view.has_value()) return fail(ErrorCode::kInternal, "a row that was put is a miss");
    figures.checksum += static_cast<double>(sum_of(view->as<float>()));
  }
  figures.get_s = watch.seconds();
  return {};
}

Result<void> bench_get_copy(const Family& family, const BenchArguments& arguments, BenchFigures& figures) {
  SplitMix random(arguments.seed + 1);
  std::vector<float> vector(arguments.dim);
  const Stopwatch watch;
  for (std::uint64_t i = 0; i < arguments.rows; ++i) {
    const Key key = stress_key(random.next() % arguments.rows);
    VECTOLITH_TRY_ASSIGN(const bool found, family.get_copy(key, std::as_writable_bytes(std::span(vector))));
    if (!found) return fail(ErrorCode::kInternal, "a row that was put is a miss");
    figures.checksum += static_cast<double>(vector[0]);
  }
  figures.get_copy_s = watch.seconds();
  return {};
}

/// Dot products of one query with every row of every segment.
Result<void> bench_scan(const Family& family, const BenchArguments& arguments, BenchFigures& figures) {
  std::vector<float> query(arguments.dim);
  fill_version(arguments.seed, 0, 1, query);
  const Stopwatch watch;
  VECTOLITH_TRY_ASSIGN(const auto segments, family.segments());
  for (const auto& segment : segments) {
    for (std::uint32_t row = 0; row < segment.rows; ++row) {
      if (!segment.is_live(row)) continue;
      const auto* vector = reinterpret_cast<const float*>(segment.vector(row).data());
      figures.checksum += static_cast<double>(dot(query, {vector, segment.dim}));
    }
  }
  figures.scan_s = watch.seconds();
  return {};
}

void print_figures(const BenchArguments& arguments, const BenchFigures& figures) {
  const auto rows = static_cast<double>(arguments.rows);
  const double bytes = rows * arguments.dim * 4;
  const auto& family = figures.stats.families.back();
  const auto live_rows = static_cast<double>(std::max<std::uint64_t>(1, family.live_rows));
  const double disk_per_vector = static_cast<double>(family.allocated_bytes) / live_rows;
  const double ram_per_row = static_cast<double>(family.index_bytes) / live_rows;
  const double durable_per_s = static_cast<double>(figures.durable_puts) / figures.durable_s;
  if (arguments.common.json) {
    return print_json({{"rows", arguments.rows},
                       {"dim", arguments.dim},
                       {"io_backend", figures.stats.io_backend},
                       {"bulk_rows_per_s", rows / figures.bulk_s},
                       {"bulk_bytes_per_s", bytes / figures.bulk_s},
                       {"durable_puts_per_s", durable_per_s},
                       {"get_ns", 1e9 * figures.get_s / rows},
                       {"get_copy_ns", 1e9 * figures.get_copy_s / rows},
                       {"scan_rows_per_s", rows / figures.scan_s},
                       {"scan_bytes_per_s", bytes / figures.scan_s},
                       {"disk_bytes_per_vector", disk_per_vector},
                       {"index_bytes_per_row", ram_per_row},
                       {"result_hash", figures.checksum}});
  }
  const auto per_s = [](double value) { return with_commas(static_cast<std::uint64_t>(value)); };
  print_line(with_commas(arguments.rows) + " rows of " + std::to_string(arguments.dim) + " x f32, " +
             figures.stats.io_backend + " (raw comparisons: bench/README.md)");
  print_line("bulk load, durable at the end   " + per_s(rows / figures.bulk_s) + " rows/s, " +
             human_bytes(static_cast<std::uint64_t>(bytes / figures.bulk_s)) + "/s");
  print_line("single durable puts, 1 thread   " + per_s(durable_per_s) + " puts/s");
  print_line("get, zero-copy, whole vector    " + fixed(1e9 * figures.get_s / rows, 0) + " ns");
  print_line("get, copied                     " + fixed(1e9 * figures.get_copy_s / rows, 0) + " ns");
  print_line("scan with dot product           " + per_s(rows / figures.scan_s) + " rows/s, " +
             human_bytes(static_cast<std::uint64_t>(bytes / figures.scan_s)) + "/s");
  print_line("disk                            " + fixed(disk_per_vector, 0) + " bytes/vector");
  print_line("index                           " + fixed(ram_per_row, 1) + " bytes of RAM/row");
}

Result<int> bench_store(Store& store, const BenchArguments& arguments) {
  for (const auto& info : store.families()) {
    if (info.name == kBenchFamily) {
      return fail(ErrorCode::kExists, "the store has a family 'bench'; drop it, or bench another directory");
    }
  }
  ModelSpec spec;
  spec.dim = arguments.dim;
  VECTOLITH_TRY_ASSIGN(auto family, store.family(kBenchFamily, spec));
  BenchFigures figures;
  VECTOLITH_TRY(bench_bulk(store, family, arguments, figures));
  VECTOLITH_TRY(bench_durable(family, arguments, figures));
  VECTOLITH_TRY(bench_get(store, family, arguments, figures));
  VECTOLITH_TRY(bench_get_copy(family, arguments, figures));
  VECTOLITH_TRY(bench_scan(family, arguments, figures));
  figures.stats = store.stats();
  VECTOLITH_TRY(store.drop_family(kBenchFamily));
  print_figures(arguments, figures);
  return kExitOk;
}

/// A new directory for one bench, removed at the end.
class TemporaryDirectory {
 public:
  static Result<std::string> create() {
    std::error_code error;
    const auto parent = std::filesystem::temp_directory_path(error);
    std::string path = (error ? std::filesystem::path("/tmp") : parent) / "vectolith-bench-XXXXXX";
    if (::mkdtemp(path.data()) != nullptr) return path;
    return std::unexpected(
        Error(ErrorCode::kIo, "cannot make a temporary directory").with_file(path).with_errno(errno));
  }
  explicit TemporaryDirectory(std::string path) : path_(std::move(path)) {}
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

 private:
  std::string path_;
};

Result<int> run_in(const BenchArguments& arguments) {
  Options options = make_options(arguments.common, Purpose::kServe);
  options.create_if_missing = true;
  ReachedStore reached;
  VECTOLITH_TRY_ASSIGN(reached.store, Store::open(arguments.common.directory, options));
  return close_after(reached, bench_store(*reached.store, arguments));
}

Result<int> run_bench(const BenchArguments& arguments) {
  if (!arguments.common.directory.empty()) return run_in(arguments);
  BenchArguments in_temporary = arguments;
  VECTOLITH_TRY_ASSIGN(in_temporary.common.directory, TemporaryDirectory::create());
  const TemporaryDirectory remover(in_temporary.common.directory);
  return run_in(in_temporary);
}

}  // namespace

void add_bench(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<BenchArguments>();
  CLI::App* verb = add_verb(app, "bench", "Measures puts, gets and scans in a store of its own",
                            "vectolith bench --rows 100000 --dim 768");
  verb->add_option("DIR", arguments->common.directory,
                   "Store to use, created if missing; default: a temporary one");
  verb->add_option("--rows", arguments->rows, "Rows to load")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000'000}))
      ->capture_default_str();
  verb->add_option("--dim", arguments->dim, "Elements of a vector")
      ->check(CLI::Range(2U, kDimMax))
      ->capture_default_str();
  verb->add_option("--seed", arguments->seed, "Seed of the vectors")->capture_default_str();
  add_io(*verb, arguments->common);
  add_json(*verb, arguments->common, "Print one JSON object");
  on_run<BenchArguments>(verb, session, arguments, run_bench);
}

}  // namespace vectolith::tools
