/// @file
/// Loads, single puts, mixtures, overwriting, and the end of a family.
#include <algorithm>
#include <atomic>
#include <memory>

#include "compare/row_data.h"
#include "compare/workloads/workload.h"
#include "support/machine_counters.h"
#include "support/vector_touch.h"

namespace vectolith::bench::compare {
namespace {

/// Of rows that were overwritten; the mixed workload counts from 1 and stays below.
constexpr std::uint64_t kOverwritten = 4'000;
constexpr std::uint64_t kMixedVersionMax = kOverwritten - 1;
constexpr std::uint64_t kMixedPutEvery = 20;
constexpr std::size_t kQueries = 1 << 20;

double per_row(std::uint64_t bytes, const Cell& cell) {
  return static_cast<double>(bytes) / static_cast<double>(cell.options().rows);
}

Json load(Cell& cell) {
  std::filesystem::remove_all(cell.options().directory);
  (void)cell.source();
  const auto rows = static_cast<double>(cell.options().rows);
  auto store = cell.open(Purpose::kLoad);
  const WriteMeter meter(*store, cell.options().directory);
  const auto start = Clock::now();
  load_all(*store, cell.source(), cell.options().rows);
  Json figures{{"per_s", rows / seconds_since(start)}};
  store->settle();
  figures["settled_per_s"] = rows / seconds_since(start);
  meter.report(figures, cell.payload_bytes());
  store.reset();
  figures["disk_bytes_per_row"] = per_row(allocated_bytes(cell.options().directory), cell);
  return figures;
}

/// New rows behind those that were loaded; all of them are looked for in a store that was opened again.
Json put_durable(Cell& cell, unsigned threads) {
  const auto& options = cell.options();
  const std::uint64_t first = options.first_put(threads);
  const std::uint64_t calls_max = options.puts / threads;
  (void)cell.source();
  auto store = cell.open(Purpose::kServe, Durability::kDurable, 2 * options.puts);
  const WriteMeter meter(*store, options.directory);
  std::atomic<std::uint64_t> next{first};
  const auto timed = timed_threads(threads, [&](unsigned) {
    return [&, client = std::shared_ptr(store->client()),
            vector = std::vector<std::byte>(cell.vector_bytes())]() mutable {
      return timed_loop({.seconds = options.seconds, .calls_max = calls_max}, [&] {
        const auto row = next.fetch_add(1, std::memory_order_relaxed);
        cell.source().fill(row, vector);
        client->put(key_of(row), vector);
      });
    };
  });
  auto figures = timed.figures();
  meter.report(figures, timed.calls * cell.vector_bytes());
  store.reset();
  store = cell.open(Purpose::kServe, Durability::kBuffered, 2 * options.puts);
  const auto client = store->client();
  for (auto row = first; row < next; ++row) cell.verify_row(*client, row, 0);
  return figures;
}

/// 95 gets and 5 buffered overwrites of popular rows, one thread, each get against the version last put.
Json mixed(Cell& cell) {
  const auto client = cell.warm().client();
  const auto rows = zipf_rows(cell.options().rows, kQueries, 1'000'003 * cell.options().seed);
  const auto keys = keys_of(rows);
  std::vector<std::uint16_t> versions(cell.options().rows);
  std::vector<std::byte> vector(cell.vector_bytes());
  std::uint64_t sum = 0;
  std::size_t at = 0;
  const auto timed = timed_loop({.seconds = cell.options().seconds, .sample_every = kMixedPutEvery - 1}, [&] {
    const auto row = rows[at % rows.size()];
    const auto& key = keys[at % rows.size()];
    if (at++ % kMixedPutEvery == 0 && versions[row] < kMixedVersionMax) {
      cell.source().fill(number_of(row, ++versions[row]), vector);
      client->put(key, vector);
    } else {
      const auto found = client->get(key);
      must_be(bears_number(found, number_of(row, versions[row])), "a get returns what was put last");
      sum += touch(found);
    }
  });
  must_be(sum != 0, "the vectors were read");
  return timed.figures();
}

/// Every row once more in another order; then what that cost, what it left, and what giving it back costs.
Json overwrite(Cell& cell) {
  const auto& options = cell.options();
  const auto order = shuffled_rows(options.rows, options.seed + 1);
  (void)cell.source();
  auto store = cell.open(Purpose::kLoad);
  const WriteMeter meter(*store, options.directory);
  const auto start = Clock::now();
  {
    const auto client = store->client();
    Batches batches(cell.source());
    for (std::uint64_t at = 0; at < order.size(); at += kBatchRows) {
      const auto count = std::min<std::uint64_t>(kBatchRows, order.size() - at);
      client->overwrite(batches.make(std::span(order).subspan(at, count), kOverwritten));
    }
  }
  store->sync();
  Json figures{{"per_s", static_cast<double>(options.rows) / seconds_since(start)},
               {"disk_bytes_per_row", per_row(allocated_bytes(options.directory), cell)}};
  const bool compacts = !cell.entry().lack_of(Ability::kCompact).has_value();
  if (compacts) {
    const auto compaction = Clock::now();
    store->compact();
    figures["compact_s"] = seconds_since(compaction);
  }
  meter.report(figures, cell.payload_bytes());
  store.reset();
  if (compacts) figures["compacted_disk_bytes_per_row"] = per_row(allocated_bytes(options.directory), cell);
  store = cell.open(Purpose::kServe);
  cell.verify_all(*store, kOverwritten);
  return figures;
}

Json drop(Cell& cell) {
  auto store = cell.open(Purpose::kServe, Durability::kDurable);
  const auto start = Clock::now();
  store->drop();
  Json figures{{"ms", seconds_since(start) * 1e3}};
  store.reset();
  figures["disk_bytes_per_row"] = per_row(allocated_bytes(cell.options().directory), cell);
  return figures;
}

}  // namespace

std::span<const Workload> write_workloads() {
  using enum Ability;
  static const std::vector<Workload> kAll{
      {"load", load},
      {"put_durable", [](Cell& cell) { return put_durable(cell, 1); }, {kPuts}},
      {"put_durable_8_threads", [](Cell& cell) { return put_durable(cell, 8); }, {kPuts}},
      {"mixed_95_5", mixed, {kWarmReads, kPuts}},
      {"overwrite", overwrite},
      {"drop", drop, {kDrop}},
  };
  return kAll;
}

}  // namespace vectolith::bench::compare
