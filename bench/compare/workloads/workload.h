/// @file
/// The list of workloads: what each needs of a store, and the function that runs it.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "compare/cell.h"

namespace vectolith::bench::compare {

/// One workload; it returns its figures by name. Every vector that it reads is compared with what was put.
struct Workload {
  std::string_view name;
  Json (*run)(Cell& cell) = nullptr;
  std::vector<Ability> needs{};
};

/// On a store in memory; they leave it as it was.
std::span<const Workload> warm_workloads();
/// After the caches were dropped, or in less memory than the data; they leave the store as it was.
std::span<const Workload> cold_workloads();
/// From an empty directory to an empty store.
std::span<const Workload> write_workloads();
/// Opening, after a clean close and after a kill.
std::span<const Workload> reopen_workloads();

}  // namespace vectolith::bench::compare
