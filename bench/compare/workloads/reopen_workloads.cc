/// @file
/// From nothing to the first answer: after a clean close, after kill -9, and with caches dropped.
#include <vector>

#include "compare/workloads/workload.h"
#include "support/machine_counters.h"

namespace vectolith::bench::compare {
namespace {

Json reopen(Cell& cell) {
  (void)cell.source();
  const auto start = Clock::now();
  const auto store = cell.open(Purpose::kServe);
  cell.verify_row(*store->client(), cell.options().rows / 2, 0);
  return {{"ms", seconds_since(start) * 1e3}};
}

Json reopen_cold(Cell& cell) {
  cell.drop_caches();
  return reopen(cell);
}

/// The puts were acknowledged, so every row must be there.
Json reopen_killed(Cell& cell) {
  const auto first = cell.options().first_tail();
  in_killed_child([&] {
    // Nothing is closed, so nothing may be destroyed.
    auto& client =
        *cell.open(Purpose::kServe, Durability::kBuffered, kTailRows).release()->client().release();
    std::vector<std::byte> vector(cell.vector_bytes());
    for (auto row = first; row < first + kTailRows; ++row) {
      cell.source().fill(row, vector);
      client.put(key_of(row), vector);
    }
  });
  auto figures = reopen(cell);
  const auto store = cell.open(Purpose::kServe);
  const auto client = store->client();
  for (auto row = first; row < first + kTailRows; ++row) cell.verify_row(*client, row, 0);
  return figures;
}

}  // namespace

std::span<const Workload> reopen_workloads() {
  static const std::vector<Workload> kAll{{"reopen", reopen},
                                          {"reopen_killed", reopen_killed},
                                          {"reopen_cold", reopen_cold, {Ability::kColdReads}}};
  return kAll;
}

}  // namespace vectolith::bench::compare
