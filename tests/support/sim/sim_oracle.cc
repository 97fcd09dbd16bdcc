/// @file
/// Draws families, opens them, and knows which of them must be there.
#include "support/sim/sim_oracle.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace vectolith::testing::sim {

SimOracle::SimOracle(SimRun& run, SimLife& life) : run_(run), life_(life) {
  auto& choices = run.choices;
  const std::uint64_t count = 1 + choices.below(3);
  for (std::uint64_t i = 0; i < count; ++i) {
    FamilyModel family;
    family.name = "f" + std::to_string(i);
    family.holds_records = choices.one_in(4);
    family.spec.model = "sim";
    constexpr std::array kTypes = {Dtype::kF32, Dtype::kF32, Dtype::kF16, Dtype::kBf16,
                                   Dtype::kI8,  Dtype::kU8,  Dtype::kB1};
    family.spec.dtype = kTypes[choices.below(kTypes.size())];
    const bool is_small = family.spec.dtype == Dtype::kF32;
    family.spec.dim =
        static_cast<std::uint32_t>(is_small ? 4 + choices.below(200) : 64 + 8 * choices.below(100));
    families_.push_back(std::move(family));
  }
}

FamilyModel& SimOracle::draw_family() { return families_[run_.choices.below(families_.size())]; }

std::size_t SimOracle::index_of(const FamilyModel& family) const {
  return static_cast<std::size_t>(&family - families_.data());
}

bool SimOracle::is_listed(const FamilyModel& family) {
  const auto listed = life_.store().families();
  return std::ranges::any_of(listed, [&](const auto& info) { return info.name == family.name; });
}

void SimOracle::expect_absent(const FamilyModel& family) {
  if (is_listed(family)) throw Violation("family " + family.name + " is back");
}

bool SimOracle::open_family(FamilyModel& family) {
  if (family.vectors || family.records) return true;
  if (!family.exists && !family.is_in_doubt) expect_absent(family);
  if (!is_listed(family)) {
    if (family.exists && !family.is_in_doubt) throw Violation("family " + family.name + " is gone");
    family.keys.clear();
    family.number = ++numbers_;
    family.exists = false;
    family.is_in_doubt = true;
  }
  const auto keep = [&](auto made, auto& handle) {
    if (!made) return life_.demand_cause(made.error()), false;
    handle.emplace(*std::move(made));
    return !life_.is_dead();
  };
  const bool is_open = family.holds_records
                           ? keep(life_.store().record_family(family.name), family.records)
                           : keep(life_.store().family(family.name, family.spec), family.vectors);
  if (!is_open) return false;
  family.exists = true;
  family.is_in_doubt = false;
  return true;
}

void SimOracle::forget_handles() {
  for (auto& family : families_) {
    family.vectors.reset();
    family.records.reset();
  }
}

}  // namespace vectolith::testing::sim
