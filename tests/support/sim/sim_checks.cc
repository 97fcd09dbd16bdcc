/// @file
/// Reads a whole store after a crash and compares it with the oracle, with fsck, or with another recovery.
#include "support/sim/sim_checks.h"

#include <cstring>
#include <utility>
#include <vector>

#include <vectolith/verify.h>

#include "support/sim/sim_model.h"

namespace vectolith::testing::sim {
namespace {

constexpr std::uint64_t kProbes = 24;  // Keys never put that a check asks for; now and then, many.
constexpr std::uint64_t kProbesMany = 4'000;
constexpr std::uint64_t kProbeBase = 1U << 30;  // Far from every key that is put.

/// What each key of each family holds.
using Contents = std::map<std::pair<std::string, std::uint64_t>, std::vector<std::byte>>;

std::uint64_t number_of(const Key& key) {
  std::uint64_t number = 0;
  std::memcpy(&number, key.digest.bytes.data(), sizeof number);
  return number;
}

Contents contents(SimDisk& disk, Random& random) {
  Contents rows;
  auto process = std::make_shared<SimEnvironment>(disk, random());
  auto opened = Store::open(kSimPath, {.create_if_missing = true, .environment = process});
  if (!opened) throw Violation("open failed: " + opened.error().to_string());
  for (const auto& info : (*opened)->families()) {
    if (info.kind == format::SegmentKind::kRecord) {
      auto family = (*opened)->existing_record_family(info.name);
      (void)family->for_each([&](const Record& record) {
        rows[{info.name, number_of(record.key)}] = record.payload;
        return true;
      });
    } else {
      auto family = (*opened)->family(info.name);
      (void)family->for_each([&](const VectorView& view) {
        rows[{info.name, number_of(view.key())}].assign(view.bytes().begin(), view.bytes().end());
        return true;
      });
    }
  }
  return rows;
}

}  // namespace

bool SimChecks::check_all() {
  for (auto& family : oracle_.families()) {
    if (!family.exists && !family.is_in_doubt) {
      oracle_.expect_absent(family);
      continue;
    }
    if (!oracle_.open_family(family)) {
      if (life_.is_dead()) return false;
      continue;
    }
    if (!check_family(family)) return false;
  }
  check_batches();
  settle_all();
  return !life_.is_dead();
}

bool SimChecks::check_family(FamilyModel& family) {
  auto& steps = found_[family.name];
  steps.clear();
  std::uint64_t present = 0;
  for (const auto& [key, history] : family.keys) {
    const auto found = find_key(family, key, nullptr);
    if (life_.is_dead()) return false;
    if (!found) {
      if (!life_.had_errors()) throw Violation("a read failed without a cause; " + describe(family, key));
      return false;
    }
    steps[key] = found_step(family, key, *found);
    if (found->version != 0 || found->is_corrupt) ++present;
  }
  probe(family);
  const std::uint64_t size = family.holds_records ? family.records->size() : family.vectors->size();
  if (size != present)
    throw Violation("family " + family.name + " says it holds " + std::to_string(size) + " rows and shows " +
                    std::to_string(present));
  return true;
}

std::size_t SimChecks::found_step(const FamilyModel& family, std::uint64_t key, const Found& found) {
  const auto& history = family.keys.at(key);
  const std::size_t step = history.last_with(found.version, history.acked());
  if (!found.is_corrupt && step != history.steps().size()) return step;
  const auto& excuse = run_.excuse;
  const bool is_told = life_.told_of_damage() || excuse.refusal;
  const bool is_excused = excuse.keys.contains(key) || excuse.all;
  if (!is_excused || (!found.is_corrupt && excuse.must_be_told && !is_told))
    throw Violation((found.is_corrupt ? "damage" : "version " + std::to_string(found.version)) +
                    " was found after a crash; " + describe(family, key));
  const std::size_t older = history.last_with(found.version, 0);
  return older == history.steps().size() ? history.acked() : older;
}

void SimChecks::probe(FamilyModel& family) {
  const std::uint64_t probes = run_.choices.one_in(8) ? kProbesMany : kProbes;
  auto& random = run_.choices.noise();
  for (std::uint64_t i = 0; i < probes; ++i) {
    const Key key = sim_key(kProbeBase + random() % (1U << 30));
    const auto there = family.holds_records ? family.records->contains(key) : family.vectors->contains(key);
    if (there && *there) throw Violation("a key never put is there");
  }
}

void SimChecks::check_batches() {
  for (const auto& batch : oracle_.batches()) {
    bool some = false;
    const BatchModel::Member* missing = nullptr;
    for (const auto& member : batch.members) {
      const auto& family = oracle_.families()[member.family];
      const auto found = found_.find(family.name);
      if (found == found_.end() || family.number != member.number || !found->second.contains(member.key) ||
          run_.excuse.keys.contains(member.key))
        continue;
      const std::size_t step = found->second.at(member.key);
      if (step == member.step) some = true;
      if (step < member.step) missing = &member;
    }
    if (some && missing != nullptr)
      throw Violation("a batch came back in part; " +
                      describe(oracle_.families()[missing->family], missing->key));
  }
  oracle_.batches().clear();
}

void SimChecks::settle_all() {
  if (life_.is_dead()) return;
  for (auto& family : oracle_.families()) {
    const auto found = found_.find(family.name);
    if (found == found_.end()) continue;
    for (const auto& [key, step] : found->second) family.keys[key].settle(step);
  }
  found_.clear();
  if (!run_.excuse.keys.empty() || run_.excuse.all) return;
  const auto stats = life_.store().stats();
  if (stats.damaged_rows > 0)
    throw Violation("recovery reports " + std::to_string(stats.damaged_rows) +
                    " damaged rows where nothing was damaged");
}

void check_by_fsck(const std::shared_ptr<SimEnvironment>& process) {
  FsckOptions options;
  options.environment = process;
  const auto report = fsck(kSimPath, options);
  if (!report) throw Violation("fsck failed: " + report.error().to_string());
  if (report->clean()) return;
  std::string text = "fsck of a sound store:";
  for (const auto& finding : report->findings) text += " [" + finding.file + ": " + finding.what + "]";
  throw Violation(text);
}

void check_recovery_repeats(const SimDisk& disk, Random& random) {
  SimDisk once = disk.clone_durable();
  SimDisk twice = disk.clone_durable();
  {
    auto process = std::make_shared<SimEnvironment>(twice, random());
    const std::uint64_t end = below(random, 120);
    process->decide = [end](const Call& call) { return Outcome{.dies = call.number >= end}; };
    (void)Store::open(kSimPath, {.create_if_missing = true, .environment = process});
    process->die();
  }
  twice.power_cut(random);
  const auto first = contents(once, random);
  const auto second = contents(twice, random);
  if (first != second) throw Violation("recovery came to another result when a crash fell into it");
}

}  // namespace vectolith::testing::sim
