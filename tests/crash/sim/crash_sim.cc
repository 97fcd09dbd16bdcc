/// @file
/// Runs the crash campaign: many seeds, or one with its story. usage: crash_sim --help
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <optional>
#include <random>
#include <string_view>

#include "planted_bug.h"
#include "support/sim/crash_simulation.h"

namespace {

constexpr const char* kUsage =
    "usage: crash_sim [--states N] [--seed S] [--one] [--bug B]\n"
    "  --states N  simulate until N crashes were checked (20,000)\n"
    "  --seed S    the first seed; one run takes one (random, printed)\n"
    "  --one       run seed S alone and tell its story\n"
    "  --bug B     switch planted bug number B on, if they are compiled in\n";

std::optional<std::uint64_t> number(const char* text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text, text + std::strlen(text), value);
  if (error != std::errc() || *end != '\0') return std::nullopt;
  return value;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace vectolith::testing::sim;
  std::uint64_t states = 20'000;
  std::uint64_t seed = std::random_device()();
  std::uint64_t bug = 0;
  bool one = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view option = argv[i];
    std::uint64_t* target = option == "--states" ? &states
                            : option == "--seed" ? &seed
                            : option == "--bug"  ? &bug
                                                 : nullptr;
    if (option == "--one") {
      one = true;
      continue;
    }
    const auto value = target != nullptr && i + 1 < argc ? number(argv[++i]) : std::nullopt;
    if (!value) {
      std::fputs(kUsage, option == "--help" ? stdout : stderr);
      return option == "--help" ? 0 : 2;
    }
    *target = *value;
  }
#ifdef VECTOLITH_PLANTED_BUGS
  vectolith::planted_bug = static_cast<vectolith::PlantedBug>(bug);
#else
  if (bug != 0) return std::fputs("crash_sim: no planted bugs in this build\n", stderr), 2;
#endif
  if (one) {
    const auto result = simulate(seed, true);
    std::printf("%s%s\n", result.story.c_str(),
                result.violation.empty() ? "the contract held" : result.violation.c_str());
    return result.violation.empty() ? 0 : 1;
  }
  std::printf("first seed %llu\n", static_cast<unsigned long long>(seed));
  SimCounts total;
  std::uint64_t violations = 0;
  std::uint64_t next_report = states / 10;
  while (total.states < states) {
    const auto result = simulate(seed);
    total += result.counts;
    if (!result.violation.empty()) {
      std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), result.violation.c_str());
      if (++violations == 20) break;
    }
    ++seed;
    if (total.states >= next_report) {
      std::fprintf(stderr, "%llu states\n", static_cast<unsigned long long>(total.states));
      next_report += states / 10;
    }
  }
  std::printf(
      "%llu states: %llu power cuts, %llu inside recoveries, %llu in a write; %llu operations, %llu opens, "
      "%llu injected faults, %llu damaged sectors; %llu violations\n",
      static_cast<unsigned long long>(total.states), static_cast<unsigned long long>(total.power_cuts),
      static_cast<unsigned long long>(total.double_crashes),
      static_cast<unsigned long long>(total.torn_writes), static_cast<unsigned long long>(total.operations),
      static_cast<unsigned long long>(total.opens), static_cast<unsigned long long>(total.io_errors),
      static_cast<unsigned long long>(total.damages), static_cast<unsigned long long>(violations));
  return violations == 0 ? 0 : 1;
}
