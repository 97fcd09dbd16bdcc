/// @file
/// Reads of what is in memory: single, zero-copy and copied, by the hundred, all of it; and what memory that
/// takes.
#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>

#include "compare/row_data.h"
#include "compare/workloads/workload.h"
#include "support/vector_touch.h"

namespace vectolith::bench::compare {
namespace {

/// Gets between two refreshes, as in a caller's loop.
constexpr std::size_t kRefreshGets = 64;
/// Reading the clock for one of so many gets adds about 1 % to them.
constexpr unsigned kSampleEvery = 32;
constexpr std::size_t kQueries = 1 << 20;

/// Rows to ask for in a loop, with their keys, as a caller holds them in its hands.
struct Queries {
  std::vector<std::uint32_t> rows;
  std::vector<Key> keys;

  explicit Queries(std::vector<std::uint32_t> picks) : rows(std::move(picks)), keys(keys_of(rows)) {}
};

Queries uniform(const CellOptions& options) {
  return Queries(uniform_rows(options.rows, kQueries, 1'000'003 * options.seed));
}
Queries zipf(const CellOptions& options) {
  return Queries(zipf_rows(options.rows, kQueries, 1'000'003 * options.seed));
}

/// Walks round and round, from another place in each thread.
class Walk {
 public:
  Walk(std::size_t size, unsigned thread, unsigned threads) : size_(size), at_(size / threads * thread) {}
  /// The first of `step` places that lie one after the other.
  std::size_t next(std::size_t step = 1) {
    if (at_ + step > size_) at_ = 0;
    const auto first = at_;
    at_ += step;
    return first;
  }

 private:
  std::size_t size_;
  std::size_t at_;
};

/// Gets that read the whole vector where it lies, or in the store's own copy of it.
Json get(Cell& cell, const Queries& queries, unsigned threads) {
  auto& store = cell.warm();
  const auto prepare = [&](unsigned thread) {
    return [&, client = std::shared_ptr(store.client()), walk = Walk(queries.keys.size(), thread, threads),
            sum = std::uint64_t{0}, calls = std::size_t{0}]() mutable {
      auto timed = timed_loop({.seconds = cell.options().seconds, .sample_every = kSampleEvery}, [&] {
        if (calls++ % kRefreshGets == 0) client->refresh();
        const auto at = walk.next();
        const auto vector = client->get(queries.keys[at]);
        must_be(bears_number(vector, queries.rows[at]), "a get returns the vector of its key");
        sum += touch(vector);
      });
      must_be(sum != 0, "the vectors were read");
      return timed;
    };
  };
  return timed_threads(threads, prepare).figures();
}

Json get_copy(Cell& cell, const Queries& queries) {
  const auto client = cell.warm().client();
  std::vector<std::byte> out(cell.vector_bytes());
  Walk walk(queries.keys.size(), 0, 1);
  return timed_loop({.seconds = cell.options().seconds, .sample_every = kSampleEvery},
                    [&] {
                      const auto at = walk.next();
                      must_be(client->get_copy(queries.keys[at], out) && bears_number(out, queries.rows[at]),
                              "a copy is the vector of its key");
                    })
      .figures();
}

Json multi_get(Cell& cell, const Queries& queries) {
  const auto client = cell.warm().client();
  std::vector<std::byte> matrix(kMultiGetKeys * cell.vector_bytes());
  Walk walk(queries.keys.size(), 0, 1);
  return timed_loop({.seconds = cell.options().seconds},
                    [&] {
                      client->refresh();
                      const auto at = walk.next(kMultiGetKeys);
                      const auto keys = std::span(queries.keys).subspan(at, kMultiGetKeys);
                      must_be(client->multi_get(keys, matrix) == kMultiGetKeys, "a multi_get finds all keys");
                      must_bear(matrix, std::span(queries.rows).subspan(at, kMultiGetKeys));
                    })
      .figures(kMultiGetKeys);
}

Json scan(Cell& cell) {
  const auto client = cell.warm().client();
  DotScan rows(cell);
  const auto timed = timed_loop({.seconds = cell.options().seconds}, [&] { rows.run(*client); });
  rows.verify();
  return timed.figures(cell.options().rows);
}

Json ram(Cell& cell) {
  const auto rows = static_cast<double>(cell.options().rows);
  const auto memory = cell.warm_memory();
  return {{"open_bytes_per_row", memory.open_bytes / rows}, {"warm_bytes_per_row", memory.warm_bytes / rows}};
}

/// Single reads while another thread writes batches as fast as it can: first new rows, then those again.
Json get_beside_writer(Cell& cell) {
  auto& store = cell.warm(cell.options().rows);
  const auto rows = cell.options().rows;
  const auto batch_rows = std::min(kBatchRows, rows);
  std::atomic<bool> stop{false};
  std::uint64_t written = 0;
  double seconds = 0;
  std::jthread writer([&] {
    const auto client = store.client();
    Batches batches(cell.source());
    const auto start = Clock::now();
    for (; !stop; written += batch_rows) {
      const auto batch = batches.make(
          cell.options().first_beside() + written % (rows / batch_rows * batch_rows), batch_rows);
      written < rows / batch_rows* batch_rows ? client->insert(batch) : client->overwrite(batch);
    }
    seconds = seconds_since(start);
  });
  auto figures = get(cell, uniform(cell.options()), 1);
  stop = true;
  writer.join();
  figures["written_per_s"] = static_cast<double>(written) / seconds;
  return figures;
}

}  // namespace

std::span<const Workload> warm_workloads() {
  using enum Ability;
  static const std::vector<Workload> kAll{
      {"ram", ram, {kWarmReads}},
      {"get_uniform", [](Cell& cell) { return get(cell, uniform(cell.options()), 1); }, {kWarmReads}},
      {"get_uniform_2_threads",
       [](Cell& cell) { return get(cell, uniform(cell.options()), 2); },
       {kWarmReads}},
      {"get_zipf", [](Cell& cell) { return get(cell, zipf(cell.options()), 1); }, {kWarmReads}},
      {"get_zipf_2_threads", [](Cell& cell) { return get(cell, zipf(cell.options()), 2); }, {kWarmReads}},
      {"get_copy_uniform", [](Cell& cell) { return get_copy(cell, uniform(cell.options())); }, {kWarmReads}},
      {"get_copy_zipf", [](Cell& cell) { return get_copy(cell, zipf(cell.options())); }, {kWarmReads}},
      {"multi_get_100", [](Cell& cell) { return multi_get(cell, uniform(cell.options())); }, {kWarmReads}},
      {"scan", scan, {kWarmReads}},
      {"get_beside_writer", get_beside_writer, {kWarmReads, kReadsBesideWrites}},
  };
  return kAll;
}

}  // namespace vectolith::bench::compare
