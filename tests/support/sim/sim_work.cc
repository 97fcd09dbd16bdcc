/// @file
/// Operations on the store: drawn, done, and held against the oracle.
#include "support/sim/sim_work.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <string>
#include <utility>

namespace vectolith::testing::sim {
namespace {

bool is_durable(const WriteOptions& options) { return *options.durability == Durability::kDurable; }

/// Whoever waited for a barrier may see the row all the same: only its durability is refused.
bool is_refused_barrier(const Error& error) { return error.message().find("fdatasync") != std::string::npos; }

auto nth(std::map<std::uint64_t, KeyHistory>& keys, std::uint64_t n) {
  return std::next(keys.begin(), static_cast<std::ptrdiff_t>(n));
}

}  // namespace

SimWork::SimWork(SimRun& run, SimLife& life, SimOracle& oracle, SimChecks& checks)
    : run_(run), life_(life), oracle_(oracle), checks_(checks) {
  life_.meanwhile = [this] { look_around(); };
}

SimWork::~SimWork() {
  forget_pending();
  life_.meanwhile = nullptr;
}

void SimWork::work() {
  const std::uint64_t count = run_.choices.below(run_.profile.operations_max + 1);
  if (run_.profile.many_names) intern_many();
  for (std::uint64_t i = 0; i < count && !life_.is_dead() && !run_.choices.is_spent(); ++i) {
    ++run_.counts.operations;
    auto& family = oracle_.draw_family();
    if (!oracle_.open_family(family)) continue;
    one_operation(family);
    life_.throw_seen_meanwhile();
  }
  if (!life_.is_dead()) finish_pending();
}

void SimWork::one_operation(FamilyModel& family) {
  auto& choices = run_.choices;
  const std::uint64_t dice = choices.below(100);
  if (dice < 45) return put(family);
  if (dice < 55) return put_batch(family, 2 + choices.below(30));
  if (dice < 57) return put_batch(family, 200 + choices.below(400));
  if (dice < 70) return erase(family);
  if (dice < 78) return read_one(family);
  if (dice < 83) return sync();
  if (dice < 93) return (void)life_.process()->run_worker();
  if (dice < 95) return finish_pending();
  if (dice < 96) return drop_family(family);
  if (dice < 98) return reopen();
  (void)life_.store().stats();
}

void SimWork::intern_many() {
  for (int i = 0; i < 260 && !life_.is_dead(); ++i) {
    const auto made = life_.store().intern_scope(std::string(240, 'n') + std::to_string(++names_));
    if (!made) return life_.demand_cause(made.error());
  }
}

Durability SimWork::draw_level() {
  return run_.choices.below(100) < run_.profile.durable_percent ? Durability::kDurable
                                                                : Durability::kBuffered;
}

WriteOptions SimWork::draw_options() {
  const auto level = draw_level();
  return {.durability = level, .replace = run_.choices.below(100) < run_.profile.replace_percent};
}

SimWork::Asked SimWork::ask(FamilyModel& family, std::uint64_t key, std::uint64_t version, bool replace,
                            std::uint64_t batch) {
  auto& history = family.keys[key];
  const bool stores = history.version() == 0 || replace;
  return {key, stores ? history.begin(version, batch) : history.acked(), stores};
}

void SimWork::put(FamilyModel& family) {
  const std::uint64_t key = run_.choices.below(run_.profile.keys);
  if (family.keys[key].has_pending()) return;
  const auto options = draw_options();
  const bool durable = is_durable(options);
  const std::uint64_t version = ++versions_;
  const auto asked = ask(family, key, version, options.replace);
  const auto value = sim_value(family, key, version);
  run_.story.tell("put ", family.name, " key ", key, " version ", version, durable ? " durable" : "",
                  options.replace ? " replace" : "");
  if (!family.holds_records && run_.choices.below(100) < run_.profile.async_percent) {
    auto submitted = family.vectors->submit_put(sim_key(key), value, options);
    if (life_.is_dead()) return;
    if (!submitted) return refuse(family, {&asked, 1}, submitted.error());
    pending_.push_back({*std::move(submitted), oracle_.index_of(family), asked, durable});
    return;
  }
  const auto done = family.holds_records ? family.records->put(sim_key(key), value, options)
                                         : family.vectors->put(sim_key(key), value, options);
  if (life_.is_dead()) return;
  if (!done) return refuse(family, {&asked, 1}, done.error());
  settle_put(family, asked, durable, *done);
}

void SimWork::refuse(FamilyModel& family, std::span<const Asked> asked, const Error& error) {
  life_.demand_cause(error);
  if (is_refused_barrier(error) || life_.is_read_only()) return;
  for (const auto& one : asked) {
    if (one.stores) family.keys[one.key].refuse(one.step);
  }
}

void SimWork::settle_put(FamilyModel& family, const Asked& asked, bool durable, const PutResult& put) {
  if (put.stored != asked.stores)
    throw Violation(std::string("a put ") + (put.stored ? "stored" : "did not store") +
                    ", against the rule that the first write wins; " + describe(family, asked.key));
  if (asked.stores) note_sequence(put.sequence);
  if (asked.stores || durable) family.keys[asked.key].acknowledge(asked.step, durable);
}

void SimWork::note_sequence(Sequence sequence) {
  if (sequence.value <= highest_sequence_)
    throw Violation("sequence " + std::to_string(sequence.value) + " was given twice");
  highest_sequence_ = sequence.value;
}

std::vector<std::uint64_t> SimWork::draw_batch_keys(FamilyModel& family, std::uint64_t count) {
  std::vector<std::uint64_t> keys;
  const std::uint64_t key_count = run_.profile.keys;
  const std::uint64_t first = run_.choices.below(key_count);
  for (std::uint64_t i = 0; i < count; ++i) {
    // Large batches go beyond the usual keys.
    const std::uint64_t key = count < 100 ? (first + i) % key_count : first + i;
    if (std::ranges::find(keys, key) == keys.end() && !family.keys[key].has_pending()) keys.push_back(key);
  }
  return keys;
}

void SimWork::put_batch(FamilyModel& family, std::uint64_t count) {
  if (family.holds_records) return;
  const auto options = draw_options();
  const auto keys = draw_batch_keys(family, count);
  if (keys.empty()) return;
  run_.story.tell("batch of ", keys.size(), " into ", family.name, " from key ", keys.front(),
                  options.replace ? " replace" : "", is_durable(options) ? " durable" : "");
  std::vector<std::vector<std::byte>> values;
  std::vector<BatchRow> rows;
  std::vector<Asked> asked;
  const std::uint64_t number = oracle_.batches().size() + 1;
  BatchModel batch;
  for (const auto key : keys) {
    const std::uint64_t version = ++versions_;
    asked.push_back(ask(family, key, version, options.replace, number));
    if (asked.back().stores)
      batch.members.push_back({oracle_.index_of(family), family.number, key, asked.back().step});
    values.push_back(sim_value(family, key, version));
  }
  for (std::size_t i = 0; i < keys.size(); ++i) rows.push_back({sim_key(keys[i]), values[i]});
  oracle_.batches().push_back(std::move(batch));
  const auto done = family.vectors->put_batch(rows, options);
  if (!life_.is_dead()) settle_batch(family, asked, is_durable(options), done);
}

void SimWork::settle_batch(FamilyModel& family, std::span<const Asked> asked, bool durable,
                           const Result<std::vector<PutResult>>& done) {
  if (!done) return refuse(family, asked, done.error());
  std::uint64_t highest = highest_sequence_;
  for (std::size_t i = 0; i < asked.size(); ++i) {
    if (asked[i].stores) highest_sequence_ = std::min(highest_sequence_, (*done)[i].sequence.value - 1);
    settle_put(family, asked[i], durable, (*done)[i]);
    highest = std::max(highest, highest_sequence_);
  }
  highest_sequence_ = highest;
}

void SimWork::erase(FamilyModel& family) {
  const std::uint64_t key = run_.choices.below(run_.profile.keys);
  auto& history = family.keys[key];
  if (history.has_pending()) return;
  const auto level = draw_level();
  const bool durable = level == Durability::kDurable;
  const bool existed = history.version() != 0;
  const std::size_t step = existed ? history.begin(0) : history.acked();
  run_.story.tell("erase ", family.name, " key ", key, durable ? " durable" : "");
  const auto done = family.holds_records ? family.records->erase(sim_key(key), level)
                                         : family.vectors->erase(sim_key(key), level);
  if (life_.is_dead()) return;
  if (!done) {
    life_.demand_cause(done.error());
    if (existed && !life_.is_read_only()) history.refuse(step);
    return;
  }
  if (done->existed != existed)
    throw Violation("erase said existed = " + std::to_string(static_cast<int>(done->existed)) + "; " +
                    describe(family, key));
  if (existed || durable) history.acknowledge(step, durable);
}

void SimWork::sync() {
  run_.story.tell("sync");
  // Rows that are pending are not acknowledged, and so not covered.
  const auto done = life_.store().sync();
  if (life_.is_dead()) return;
  if (!done) return life_.demand_cause(done.error());
  oracle_.make_durable();
}

void SimWork::drop_family(FamilyModel& family) {
  if (!family.exists) return;
  finish_pending();
  if (life_.is_dead()) return;
  run_.story.tell("drop ", family.name);
  family.is_in_doubt = true;
  const auto dropped = life_.store().drop_family(family.name);
  if (life_.is_dead()) return;
  // After an error the edit may be on the medium all the same.
  if (!dropped) return life_.demand_cause(dropped.error());
  family.vectors.reset();
  family.records.reset();
  family.exists = false;
  family.is_in_doubt = false;
  family.keys.clear();
}

bool SimWork::close() {
  finish_pending();
  oracle_.forget_handles();
  return life_.close();
}

void SimWork::reopen() {
  if (!close()) return life_.die();
  oracle_.make_durable();
  run_.story.tell("reopen");
  if (life_.open()) checks_.check_all();
}

// ---- puts whose answers come later ----------------------------------------------------------------------

void SimWork::forget_pending() { std::exchange(pending_, {}).clear(); }

void SimWork::finish_pending() { settle_pending(std::exchange(pending_, {})); }

void SimWork::settle_pending(std::vector<Pending> pending) {
  for (auto& one : pending) {
    auto& family = oracle_.families()[one.family];
    const auto done = one.put.wait();
    if (life_.is_dead()) return;
    if (!done) {
      refuse(family, {&one.asked, 1}, done.error());
      continue;
    }
    // They were numbered in their order, perhaps long ago.
    const auto highest = std::exchange(highest_sequence_, 0);
    settle_put(family, one.asked, one.durable, *done);
    highest_sequence_ = std::max(highest, highest_sequence_);
  }
}

// ---- reads ----------------------------------------------------------------------------------------------

void SimWork::read_one(FamilyModel& family) {
  if (family.keys.empty()) return;
  auto& [key, history] = *nth(family.keys, run_.choices.below(family.keys.size()));
  const bool durable_only = !family.holds_records && run_.choices.one_in(4);
  read_key(family, key, history, durable_only);
}

void SimWork::read_key(const FamilyModel& family, std::uint64_t key, KeyHistory& history, bool durable_only) {
  const auto scope = life_.store().read_scope();
  const auto found =
      find_key(family, key, &scope, durable_only ? Durability::kDurable : Durability::kBuffered);
  if (!found || life_.is_dead()) return;
  if (found->is_corrupt) {
    if (!life_.had_errors() && !run_.excuse.keys.contains(key))
      throw Violation("a read found damage; " + describe(family, key));
    return;
  }
  const bool is_legal = history.may_show(found->version);
  if (durable_only) {
    if (found->version == 0) return;
    if (is_legal) return history.acknowledge(history.last_with(found->version, history.acked()), true);
  }
  if (!is_legal && !life_.told_of_lost_rows())
    throw Violation("a read found version " + std::to_string(found->version) + "; " + describe(family, key));
}

void SimWork::look_around() {
  std::vector<Pending> answered;
  std::erase_if(pending_, [&](Pending& one) {
    const bool is_ready = one.put.ready();
    if (is_ready) answered.push_back(std::move(one));
    return is_ready;
  });
  settle_pending(std::move(answered));
  auto& random = run_.choices.noise();
  if (!one_in(random, 2)) return;
  auto& family = oracle_.families()[below(random, oracle_.families().size())];
  if (!family.vectors || family.keys.empty()) return;
  auto& [key, history] = *nth(family.keys, below(random, family.keys.size()));
  read_key(family, key, history, false);
}

}  // namespace vectolith::testing::sim
