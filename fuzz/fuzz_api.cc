/// @file
/// Any bytes as the choices of a run of the crash campaign: which calls the store gets, which faults they
/// meet, where the process dies. The campaign's oracle judges.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>

#include "fuzz_support.h"
#include "support/sim/crash_simulation.h"
#include "support/sim/sim_choices.h"

void vectolith::fuzz::repair(std::span<std::byte>) {}  // There are no sums here.

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vectolith::testing::sim;
  const Choices choices(std::as_bytes(std::span(data, size)));
  if (simulate(choices).violation.empty()) return 0;
  const auto told = simulate(choices, true);
  std::fprintf(stderr, "%s%s\n", told.story.c_str(), told.violation.c_str());
  std::abort();
}
