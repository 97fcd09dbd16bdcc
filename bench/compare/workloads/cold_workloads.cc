/// @file
/// Reads of what is not in memory: caches dropped, or memory limited to less than the data.
#include <algorithm>
#include <memory>

#include <sys/mman.h>
#include <unistd.h>

#include "compare/row_data.h"
#include "compare/workloads/workload.h"
#include "support/machine_counters.h"
#include "support/vector_touch.h"

namespace vectolith::bench::compare {
namespace {

/// A loop that finds little in the caches may take so many times the seconds of a warm one.
constexpr double kPatience = 4;

/// The rows to read. Dropped caches: each once, so that none is read twice. A limit: any, round and round, as
/// caches of whatever kind are part of the answer.
std::vector<std::uint32_t> rows_to_read(const CellOptions& options) {
  if (options.limited)
    return uniform_rows(options.rows, std::min<std::uint64_t>(options.rows, 1 << 20), options.seed);
  auto rows = shuffled_rows(options.rows, options.seed);
  rows.resize(std::min<std::uint64_t>(rows.size(), options.cold_reads) / kMultiGetKeys * kMultiGetKeys);
  return rows;
}

/// Reads all or the first of `rows` by `read(rows)`, `step` at a time, and counts what the device had to
/// give.
template <class Read>
Json read_cold(Cell& cell, ComparedStore& store, std::size_t step, Read&& read) {
  const auto rows = rows_to_read(cell.options());
  must_be(!rows.empty(), "there are rows for a multi_get");
  std::size_t at = 0;
  const auto next = [&] {
    if (at + step > rows.size()) at = 0;
    read(std::span(rows).subspan(at, step));
    at += step;
  };
  const double seconds = cell.options().seconds;
  // Fills whatever cache a limit leaves room for.
  if (cell.options().limited) timed_loop({.seconds = kPatience * seconds}, next);
  const auto read_before = bytes_read();
  const auto timed =
      cell.options().limited
          ? timed_loop({.seconds = seconds}, next)
          : timed_loop({.seconds = kPatience * seconds, .calls_max = rows.size() / step}, next);
  auto figures = timed.figures(step);
  figures["read_amplification"] = static_cast<double>(bytes_read() - read_before) /
                                  static_cast<double>(timed.calls * step * cell.vector_bytes());
  if (const auto metas = store.metas(); !metas.empty()) figures["metas_resident"] = resident_share(metas);
  return figures;
}

std::unique_ptr<ComparedStore> open_cold(Cell& cell, Purpose purpose = Purpose::kColdReads) {
  cell.drop_caches();
  return cell.open(purpose);
}

Json cold_get(Cell& cell) {
  const auto store = open_cold(cell);
  const auto client = store->client();
  std::uint64_t sum = 0;
  auto figures = read_cold(cell, *store, 1, [&](std::span<const std::uint32_t> rows) {
    client->refresh();
    const auto vector = client->get(key_of(rows.front()));
    must_be(bears_number(vector, rows.front()), "a get returns the vector of its key");
    sum += touch(vector);
  });
  must_be(sum != 0, "the vectors were read");
  return figures;
}

Json multi_get(Cell& cell, ComparedStore& store) {
  const auto client = store.client();
  std::vector<std::byte> matrix(kMultiGetKeys * cell.vector_bytes());
  return read_cold(cell, store, kMultiGetKeys, [&](std::span<const std::uint32_t> rows) {
    client->refresh();
    must_be(client->multi_get(keys_of(rows), matrix) == kMultiGetKeys, "a multi_get finds all keys");
    must_bear(matrix, rows);
  });
}

Json cold_multi_get(Cell& cell) { return multi_get(cell, *open_cold(cell)); }

/// As above, after the metas that the opening has read were put out again.
Json cold_multi_get_cold_metas(Cell& cell) {
  const auto store = open_cold(cell, Purpose::kColdMetas);
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto metas = store->metas();
  for (const auto range : metas) {
    const auto first = reinterpret_cast<std::uintptr_t>(range.data()) / page * page;
    ::madvise(reinterpret_cast<void*>(first),
              reinterpret_cast<std::uintptr_t>(range.data() + range.size()) - first, MADV_PAGEOUT);
  }
  const double before = resident_share(metas);
  auto figures = multi_get(cell, *store);
  figures["metas_resident_before"] = before;
  return figures;
}

Json cold_scan(Cell& cell) {
  DotScan rows(cell);
  const auto store = open_cold(cell);
  const auto client = store->client();
  const auto start = Clock::now();
  rows.run(*client);
  const double seconds = seconds_since(start);
  rows.verify();
  return {{"per_s", static_cast<double>(cell.options().rows) / seconds}};
}

}  // namespace

std::span<const Workload> cold_workloads() {
  using enum Ability;
  static const std::vector<Workload> kAll{
      {"cold_get", cold_get, {kColdReads}},
      {"cold_multi_get_100", cold_multi_get, {kColdReads}},
      {"cold_multi_get_100_cold_metas", cold_multi_get_cold_metas, {kColdReads, kMetasApart}},
      {"cold_scan", cold_scan, {kColdReads}},
  };
  return kAll;
}

}  // namespace vectolith::bench::compare
