/// @file
/// Keys, values and reads of the oracle.
#include "support/sim/sim_model.h"

#include <algorithm>

#include "support/sim/sim_values.h"

namespace vectolith::testing::sim {

Key sim_key(std::uint64_t number) { return {Digest::from_number(number), ScopeId(0), ChunkerId(0)}; }

std::vector<std::byte> sim_value(const FamilyModel& family, std::uint64_t key, std::uint64_t version) {
  return family.holds_records ? record_value(family.number, key, version)
                              : vector_value(family.spec, family.number, key, version);
}

std::string describe(const FamilyModel& family, std::uint64_t key) {
  std::string text = "family " + family.name + ", key " + std::to_string(key) + ", steps";
  const auto found = family.keys.find(key);
  if (found == family.keys.end()) return text + " none";
  const auto& history = found->second;
  for (std::size_t i = 0; i < history.steps().size(); ++i) {
    const auto& step = history.steps()[i];
    text += " " + std::to_string(step.version);
    if (step.batch != 0) text += "b" + std::to_string(step.batch);
    text += step.state == Step::State::kAcked ? "" : step.state == Step::State::kPending ? "?" : "!";
    if (i == history.durable()) text += "[durable]";
    if (i == history.acked()) text += "[acked]";
  }
  return text;
}

namespace {

/// The version whose value `bytes` are.
std::uint64_t version_of(const FamilyModel& family, std::uint64_t key, std::span<const std::byte> bytes) {
  const auto found = family.keys.find(key);
  if (found != family.keys.end()) {
    for (const auto& step : found->second.steps()) {
      if (step.version == 0) continue;
      if (std::ranges::equal(bytes, sim_value(family, key, step.version))) return step.version;
    }
  }
  throw Violation("a read returned bytes that were never put, or no longer may be found; " +
                  describe(family, key));
}

}  // namespace

std::optional<Found> find_key(const FamilyModel& family, std::uint64_t key, const ReadScope* scope,
                              Durability min_durability) {
  const auto failed = [](const Error& error) -> std::optional<Found> {
    if (error.code() == ErrorCode::kCorruption) return Found{.version = 0, .is_corrupt = true};
    return std::nullopt;
  };
  if (family.holds_records) {
    auto got = family.records->get(sim_key(key));
    if (!got) return failed(got.error());
    if (!got->has_value()) return Found{};
    return Found{.version = version_of(family, key, (*got)->payload)};
  }
  const ReadOptions options{.min_durability = min_durability};
  if (scope != nullptr) {
    auto got = family.vectors->get(*scope, sim_key(key), options);
    if (!got) return failed(got.error());
    if (!got->has_value()) return Found{};
    return Found{.version = version_of(family, key, (*got)->bytes())};
  }
  auto got = family.vectors->get(sim_key(key), options);
  if (!got) return failed(got.error());
  if (!got->has_value()) return Found{};
  return Found{.version = version_of(family, key, (**got)->bytes())};
}

}  // namespace vectolith::testing::sim
