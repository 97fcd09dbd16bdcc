/// @file
/// Lists the stores, or runs one cell: one store under some workloads, one JSON object a line for each.
#include <algorithm>
#include <array>
#include <cstdio>
#include <exception>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <unistd.h>

#include "compare/workloads/workload.h"

namespace vectolith::bench::compare {
namespace {

constexpr std::array kAbilities{std::pair{Ability::kWarmReads, "warm_reads"},
                                std::pair{Ability::kColdReads, "cold_reads"},
                                std::pair{Ability::kPuts, "puts"},
                                std::pair{Ability::kReadsBesideWrites, "reads_beside_writes"},
                                std::pair{Ability::kCompact, "compact"},
                                std::pair{Ability::kDrop, "drop"},
                                std::pair{Ability::kMetasApart, "metas_apart"}};

void print(const Json& json) {
  std::printf("%s\n", json.dump().c_str());
  std::fflush(stdout);
}

std::vector<Workload> all_workloads() {
  std::vector<Workload> all;
  for (const auto group : {write_workloads(), warm_workloads(), cold_workloads(), reopen_workloads()})
    all.insert(all.end(), group.begin(), group.end());
  return all;
}

Json describe(const StoreEntry& entry) {
  Json json{{"name", entry.name},
            {"title", entry.title},
            {"version", entry.version()},
            {"settings", entry.settings},
            {"limit", entry.is_limit},
            {"zero_copy", entry.zero_copy},
            {"obstacle", entry.obstacle == nullptr ? "" : entry.obstacle()},
            {"lacks", Json::object()}};
  for (const auto& [ability, name] : kAbilities) {
    if (const auto reason = entry.lack_of(ability)) json["lacks"][name] = *reason;
  }
  return json;
}

void list() {
  Json stores = Json::array();
  for (const auto& entry : store_entries()) stores.push_back(describe(entry));
  print({{"stores", stores}, {"left_out", Json::parse(VECTOLITH_BENCH_LEFT_OUT)}});
}

struct RunArguments {
  std::string store;
  std::vector<std::string> workloads;
  std::string cgroup;
  CellOptions options;
};

/// A process counts against a group's limit from when it joins on, so this comes first.
void join_cgroup(const std::string& directory) {
  std::ofstream file(directory + "/cgroup.procs");
  must_be(static_cast<bool>(file << ::getpid() << std::flush), "the process joins " + directory);
}

void run(RunArguments arguments) {
  const auto* entry = find_store(arguments.store);
  if (entry == nullptr) die(arguments.store, "is no store of this build");
  const auto known = all_workloads();
  arguments.options.limited = !arguments.cgroup.empty();
  if (arguments.options.limited) join_cgroup(arguments.cgroup);
  Cell cell(*entry, arguments.options);
  for (const auto& name : arguments.workloads) {
    const auto workload = std::ranges::find(known, name, &Workload::name);
    if (workload == known.end()) die(name, "is no workload");
    Json result{{"workload", name}};
    for (const auto ability : workload->needs) {
      if (const auto reason = entry->lack_of(ability)) result["skipped"] = *reason;
    }
    if (!result.contains("skipped")) result["figures"] = workload->run(cell);
    print(result);
  }
}

void add_run(CLI::App& app, RunArguments& arguments) {
  auto* verb = app.add_subcommand("run", "Run workloads on one store");
  auto& options = arguments.options;
  verb->add_option("--store", arguments.store, "Its name in the list")->required();
  verb->add_option("--workload", arguments.workloads, "Names, in their order")->required();
  verb->add_option("--directory", options.directory, "Where the store lies")->required();
  verb->add_option("--rows", options.rows, "Rows that are loaded")->required()->check(CLI::PositiveNumber);
  // The loops that read vectors take 32 elements a step.
  verb->add_option("--dim", options.dim, "Elements of a vector, a multiple of 32")
      ->check(CLI::Range(32U, 65'536U) & CLI::Validator(
                                             [](const std::string& text) {
                                               return std::stoul(text) % 32 == 0 ? std::string()
                                                                                 : "must be a multiple of 32";
                                             },
                                             "MULTIPLE_OF_32"));
  verb->add_option("--seconds", options.seconds, "Length of a timed loop")->check(CLI::PositiveNumber);
  verb->add_option("--cold-reads", options.cold_reads, "Rows to read at most after caches were dropped");
  verb->add_option("--puts", options.puts, "Single puts at most");
  verb->add_option("--memory", options.memory_bytes, "Bytes for caches of the store's own");
  verb->add_option("--seed", options.seed, "Number of the round");
  verb->add_option("--cgroup", arguments.cgroup,
                   "Directory of a control group that limits memory, to be joined");
  verb->add_flag("--system-caches", options.system_caches,
                 "Drop the caches of the whole machine where caches are");
  verb->callback([&] { run(arguments); });
}

}  // namespace
}  // namespace vectolith::bench::compare

int main(int argument_count, char** arguments) {
  using namespace vectolith::bench::compare;
  try {
    CLI::App app("One store of the comparison; bench/compare.sh runs them all");
    app.require_subcommand(1);
    app.add_subcommand("list", "The stores of this build, as JSON")->callback(list);
    RunArguments run_arguments;
    add_run(app, run_arguments);
    CLI11_PARSE(app, argument_count, arguments);
    return EXIT_SUCCESS;
  } catch (const std::exception& exception) {
    vectolith::bench::die("compare", exception.what());
  }
}
