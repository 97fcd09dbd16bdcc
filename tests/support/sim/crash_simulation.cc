/// @file
/// Random work on a simulated store, and what each crash must leave of it.
#include "support/sim/crash_simulation.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <sstream>
#include <utility>

#include <vectolith/verify.h>

#include "support/sim/sim_damage.h"
#include "support/sim/sim_model.h"

namespace vectolith::testing::sim {
namespace {

constexpr const char* kPath = "/sim";
constexpr std::uint64_t kProbes = 24;  // Keys never put that a check asks for; now and then, many.
constexpr std::uint64_t kProbesMany = 4'000;
constexpr std::uint64_t kProbeBase = 1U << 30;  // Far from every key that is put.

SimProfile draw_profile(Random& random) {
  const auto choose = [&](std::initializer_list<std::uint64_t> of) {
    return *(of.begin() + below(random, of.size()));
  };
  SimProfile profile;
  profile.operations_max = choose({6, 20, 60, 60, 150});
  profile.segment_bytes = choose({64, 64, 128, 256}) << 10;
  profile.keys = choose({3, 12, 40, 100});
  profile.durable_percent = static_cast<unsigned>(choose({0, 30, 70, 100}));
  profile.replace_percent = static_cast<unsigned>(choose({0, 30, 80}));
  profile.async_percent = static_cast<unsigned>(choose({0, 20, 60}));
  profile.power_percent = static_cast<unsigned>(choose({0, 50, 80, 100}));
  const bool with_errors = one_in(random, 3);
  profile.error_one_in = with_errors ? choose({8, 15, 40, 150}) : 0;
  profile.errors_hit = static_cast<unsigned>(below(random, 3));
  profile.cut_one_in = one_in(random, 3) ? choose({3, 10, 50}) : 0;
  profile.capacity_bytes = one_in(random, 10) ? choose({5, 6, 9, 12}) << 20 : std::uint64_t{1} << 40;
  profile.tear_bytes = choose({512, 512, 4096});
  profile.many_names = one_in(random, 6);
  profile.with_damage = one_in(random, 3);
  profile.repeat_recovery = one_in(random, 6);
  return profile;
}

class Simulation {
 public:
  Simulation(std::uint64_t seed, bool tell)
      : random_(seed),
        profile_(draw_profile(random_)),
        disk_(profile_.tear_bytes, profile_.capacity_bytes),
        tell_(tell) {
    make_families();
  }

  SimResult run() {
    try {
      const std::uint64_t rounds = 1 + below(random_, 5);
      for (std::uint64_t round = 0; round < rounds; ++round) live_and_die();
      final_check();
    } catch (const Violation& violation) {
      result_.violation = violation.what();
    }
    pending_.clear();
    forget_handles();
    store_.reset();
    result_.story = story_.str();
    return std::move(result_);
  }

 private:
  // ---- one life of the process ------------------------------------------------------------------------

  void live_and_die() {
    start_process();
    const bool dies_in_recovery = one_in(random_, 3);
    plan_death(dies_in_recovery ? below(random_, 160)
                                : below(random_, std::uint64_t{8} << below(random_, 9)));
    if (open_store()) {
      const bool checked = check_all();
      if (checked) work();
    } else if (!process_->is_dead()) {
      return bury(false);
    }
    if (process_->is_dead()) return crash();
    if (one_in(random_, 3) && close_store()) return bury(true);
    if (!process_->is_dead()) process_->die();
    crash();
  }

  void start_process() {
    process_ = std::make_shared<SimEnvironment>(disk_, random_(), now_ns_);
    dies_at_.reset();
    aims_at_.reset();
    is_open_ = false;
    process_->decide = [this](const Call& call) { return decide(call); };
  }
  /// Some calls are rare, and the moments around them are those where order matters.
  void plan_death(std::uint64_t after) {
    aims_at_.reset();
    if (one_in(random_, profile_.many_names ? 2 : 4)) {
      constexpr std::array kAims = {CallKind::kUnlink, CallKind::kDirectorySync, CallKind::kRename,
                                    CallKind::kPreallocate};
      aims_at_ = kAims[below(random_, kAims.size())];
      if (profile_.many_names || one_in(random_, 3)) aims_at_ = CallKind::kDataSync;
      aims_left_ = below(random_, 4);
    } else {
      dies_at_ = process_->calls() + after;
    }
  }
  [[nodiscard]] bool is_aimed_at(const Call& call) {
    if (aims_at_ != call.kind) return false;
    // Of the barriers, those of the manifest file that a switch makes valid.
    if (call.kind == CallKind::kDataSync && !call.name.ends_with("MANIFEST-1")) return false;
    return aims_left_-- == 0;
  }

  Outcome decide(const Call& call) {
    if ((dies_at_ && call.number >= *dies_at_) || is_aimed_at(call)) {
      if (call.kind == CallKind::kWrite) ++result_.counts.torn_writes;
      if (!is_open_) ++result_.counts.double_crashes;
      tell("dies in call ", call.number, " kind ", static_cast<int>(call.kind), " of ", call.name);
      return {.dies = true};
    }
    const bool is_transfer = call.kind == CallKind::kRead || call.kind == CallKind::kWrite;
    if (is_transfer && profile_.cut_one_in != 0 && one_in(random_, profile_.cut_one_in) && call.bytes > 1) {
      ++result_.counts.io_errors;
      if (one_in(random_, 3)) return {.error = one_in(random_, 2) ? EINTR : EAGAIN};
      return {.is_cut = true, .moved = 1 + below(random_, call.bytes - 1)};
    }
    const bool is_change = call.kind == CallKind::kWrite || call.kind == CallKind::kDataSync ||
                           call.kind == CallKind::kPreallocate;
    const bool is_segment_barrier = call.kind == CallKind::kDataSync && call.name.ends_with(".vls");
    const bool may_fail =
        profile_.errors_hit == 0 || (profile_.errors_hit == 1 ? is_change : is_segment_barrier);
    if (with_errors_ && may_fail && one_in(random_, profile_.error_one_in)) {
      ++result_.counts.io_errors;
      had_errors_ = true;
      const bool full =
          (call.kind == CallKind::kWrite || call.kind == CallKind::kPreallocate) && one_in(random_, 3);
      tell("call ", call.number, " kind ", static_cast<int>(call.kind), " of ", call.name, " fails");
      return {.error = full ? ENOSPC : EIO};
    }
    return {};
  }

  bool open_store() {
    ++result_.counts.opens;
    Options options;
    options.create_if_missing = true;
    options.environment = process_;
    options.segment_bytes_initial = 64U << 10;
    options.segment_bytes_target = profile_.segment_bytes;
    options.durability = Durability::kBuffered;
    options.on_event = [this](const Event& event) { on_event(event); };
    with_errors_ = profile_.error_one_in != 0 && one_in(random_, 2);
    for (int attempt = 0;; ++attempt) {
      had_errors_ = false;
      damage_reported_ = false;
      rows_lost_ = false;
      is_read_only_ = false;
      auto opened = Store::open(kPath, options);
      if (opened) {
        store_ = *std::move(opened);
        break;
      }
      if (process_->is_dead()) return false;
      // A write of a dead process may outlast the wait for its lock: then the caller tries again.
      const bool may_fail = had_errors_ || opened.error().code() == ErrorCode::kLocked ||
                            opened.error().code() == ErrorCode::kNoSpace || excuse_.refusal;
      if (!may_fail || attempt > 4) {
        if (excuse_.refusal) return false;
        throw Violation("open failed: " + opened.error().to_string());
      }
      tell("open fails: ", opened.error().to_string());
      with_errors_ = false;
      if (opened.error().code() == ErrorCode::kNoSpace) disk_.set_capacity(std::uint64_t{1} << 40);
    }
    is_open_ = true;
    tell("opened");
    process_->meanwhile = [this] { look_meanwhile(); };
    return true;
  }

  void on_event(const Event& event) {
    tell("event ", static_cast<int>(event.kind), ": ", event.message,
         event.error ? ": " + event.error->to_string() : "");
    if (event.kind == Event::Kind::kCorruption) damage_reported_ = true;
    if (event.kind == Event::Kind::kRowsLost) rows_lost_ = true;
    if (event.kind == Event::Kind::kReadOnly) is_read_only_ = true;
  }

  /// The process is gone; the next one finds what it left.
  void crash() {
    const bool power = below(random_, 100) < profile_.power_percent;
    tell(power ? "power cut" : "killed");
    drop_process();
    ++result_.counts.states;
    if (power) {
      ++result_.counts.power_cuts;
      disk_.power_cut(random_);
      for_each_history([](KeyHistory& history) { history.lose_buffered(); });
    }
    if (power && profile_.repeat_recovery) check_recovery_repeats();
  }
  void bury(bool was_closed) {
    tell(was_closed ? "closed" : "given up");
    drop_process();
    if (was_closed) for_each_history([](KeyHistory& history) { history.make_durable(); });
  }
  void drop_process() {
    process_->meanwhile = nullptr;
    result_.trace_hash ^= process_->trace_hash() * 31 + result_.trace_hash;
    pending_.clear();
    forget_handles();
    store_.reset();
    now_ns_ = process_->steady_ns() + 1;
    process_.reset();
    if (!one_in(random_, 4)) return;
    bool lost = false;
    for (auto& [name, inode] : disk_.files(kPath)) lost = disk_.evict_lost(*inode) || lost;
    // The device refused rows, and the process died before it could save them elsewhere.
    if (lost) for_each_history([](KeyHistory& history) { history.lose_buffered(); });
  }
  void forget_handles() {
    for (auto& family : families_) {
      family.vectors.reset();
      family.records.reset();
    }
  }

  bool close_store() {
    finish_pending();
    forget_handles();
    process_->meanwhile = nullptr;
    const auto closed = store_->close();
    if (process_->is_dead()) return false;
    if (!closed && !had_errors_ && closed.error().code() != ErrorCode::kNoSpace)
      throw Violation("close failed: " + closed.error().to_string());
    store_.reset();
    return closed.has_value();
  }

  // ---- the families -----------------------------------------------------------------------------------

  void make_families() {
    const std::uint64_t count = 1 + below(random_, 3);
    for (std::uint64_t i = 0; i < count; ++i) {
      FamilyModel family;
      family.name = "f" + std::to_string(i);
      family.holds_records = one_in(random_, 4);
      family.spec.model = "sim";
      constexpr std::array kTypes = {Dtype::kF32, Dtype::kF32, Dtype::kF16, Dtype::kBf16,
                                     Dtype::kI8,  Dtype::kU8,  Dtype::kB1};
      family.spec.dtype = kTypes[below(random_, kTypes.size())];
      const bool small = family.spec.dtype == Dtype::kF32;
      family.spec.dim =
          static_cast<std::uint32_t>(small ? 4 + below(random_, 200) : 64 + 8 * below(random_, 100));
      families_.push_back(std::move(family));
    }
  }

  /// Opens, or makes, the family. Returns nothing if that failed by an injected error or by death.
  bool open_family(FamilyModel& family) {
    if (family.vectors || family.records) return true;
    const bool was_there = family.exists && !family.is_in_doubt;
    bool is_there = false;
    for (const auto& info : store_->families()) is_there = is_there || info.name == family.name;
    if (was_there && !is_there) throw Violation("family " + family.name + " is gone");
    if (is_there && !family.exists && !family.is_in_doubt)
      throw Violation("family " + family.name + " is back");
    if (!is_there) {
      family.keys.clear();
      family.number = ++numbers_;
      family.exists = false;
      family.is_in_doubt = true;
    }
    if (family.holds_records) {
      auto made = store_->record_family(family.name);
      if (made) family.records.emplace(*made);
      if (!made) return after_error(made.error());
    } else {
      auto made = store_->family(family.name, family.spec);
      if (made) family.vectors.emplace(*made);
      if (!made) return after_error(made.error());
    }
    if (process_->is_dead()) return false;
    family.exists = true;
    family.is_in_doubt = false;
    return true;
  }
  /// An operation failed: legal if the process died or an error was injected.
  bool after_error(const Error& error) {
    if (process_->is_dead()) return false;
    const bool full = error.code() == ErrorCode::kNoSpace && profile_.capacity_bytes < (1U << 30);
    if (!had_errors_ && !full) throw Violation("an operation failed without a cause: " + error.to_string());
    tell("error: ", error.to_string());
    return false;
  }

  void drop_family(FamilyModel& family) {
    if (!family.exists) return;
    finish_pending();
    if (process_->is_dead()) return;
    tell("drop ", family.name);
    family.is_in_doubt = true;
    const auto dropped = store_->drop_family(family.name);
    if (process_->is_dead()) return;
    if (!dropped) {
      (void)after_error(dropped.error());
      // The edit may be on the medium all the same.
      return;
    }
    family.vectors.reset();
    family.records.reset();
    family.exists = false;
    family.is_in_doubt = false;
    family.keys.clear();
  }

  template <class Visit>
  void for_each_history(const Visit& visit) {
    for (auto& family : families_) {
      for (auto& [key, history] : family.keys) visit(history);
    }
  }

  // ---- the work ---------------------------------------------------------------------------------------

  void work() {
    const std::uint64_t count = below(random_, profile_.operations_max + 1);
    if (profile_.many_names) intern_many();
    for (std::uint64_t i = 0; i < count && !process_->is_dead(); ++i) {
      ++result_.counts.operations;
      auto& family = families_[below(random_, families_.size())];
      if (!open_family(family)) continue;
      one_operation(family);
      if (!seen_meanwhile_.empty()) throw Violation("while a commit was under way: " + seen_meanwhile_);
    }
    if (!process_->is_dead()) finish_pending();
  }

  void one_operation(FamilyModel& family) {
    const std::uint64_t dice = below(random_, 100);
    if (dice < 45) return put(family);
    if (dice < 55) return put_batch(family, 2 + below(random_, 30));
    if (dice < 57) return put_batch(family, 200 + below(random_, 400));
    if (dice < 70) return erase(family);
    if (dice < 78) return read_one(family, false);
    if (dice < 83) return sync();
    if (dice < 93) return (void)process_->run_worker();
    if (dice < 95) return finish_pending();
    if (dice < 96) return drop_family(family);
    if (dice < 98) return reopen();
    (void)store_->stats();
  }

  void intern_many() {
    for (int i = 0; i < 260 && !process_->is_dead(); ++i) {
      const auto made = store_->intern_scope(std::string(240, 'n') + std::to_string(++names_));
      if (!made) return (void)after_error(made.error());
    }
  }

  void reopen() {
    if (!close_store()) return process_->die();
    for_each_history([](KeyHistory& history) { history.make_durable(); });
    tell("reopen");
    is_open_ = false;
    if (open_store()) check_all();
  }

  [[nodiscard]] Durability draw_level() {
    return below(random_, 100) < profile_.durable_percent ? Durability::kDurable : Durability::kBuffered;
  }
  [[nodiscard]] bool draw_replace() { return below(random_, 100) < profile_.replace_percent; }

  void put(FamilyModel& family) {
    const std::uint64_t key = below(random_, profile_.keys);
    auto& history = family.keys[key];
    if (history.has_pending()) return;
    const WriteOptions options{.durability = draw_level(), .replace = draw_replace()};
    const std::uint64_t version = ++versions_;
    const bool stores = history.version() == 0 || options.replace;
    const std::size_t step = stores ? history.begin(version) : history.acked();
    const auto value = sim_value(family, key, version);
    const bool durable = *options.durability == Durability::kDurable;
    tell("put ", family.name, " key ", key, " version ", version, durable ? " durable" : "",
         options.replace ? " replace" : "");
    if (!family.holds_records && below(random_, 100) < profile_.async_percent) {
      auto submitted = family.vectors->submit_put(sim_key(key), value, options);
      if (process_->is_dead()) return;
      if (!submitted) return refuse(history, step, stores, submitted.error());
      pending_.push_back({*std::move(submitted), index_of(family), key, step, stores, durable});
      return;
    }
    const auto done = family.holds_records ? family.records->put(sim_key(key), value, options)
                                           : family.vectors->put(sim_key(key), value, options);
    if (process_->is_dead()) return;
    if (!done) return refuse(history, step, stores, done.error());
    settle_put(family, key, step, stores, durable, *done);
  }
  [[nodiscard]] std::size_t index_of(const FamilyModel& family) const {
    return static_cast<std::size_t>(&family - families_.data());
  }
  void refuse(KeyHistory& history, std::size_t step, bool stores, const Error& error) {
    (void)after_error(error);
    if (!stores) return;
    // Whoever waited for a barrier may see the row: only its durability is refused.
    if (error.message().find("fdatasync") == std::string::npos && !is_read_only_) history.refuse(step);
  }
  void settle_put(FamilyModel& family, std::uint64_t key, std::size_t step, bool stores, bool durable,
                  const PutResult& put) {
    auto& history = family.keys[key];
    if (put.stored != stores)
      throw Violation(std::string("a put ") + (put.stored ? "stored" : "did not store") +
                      ", against the rule that the first write wins; " + describe(family, key));
    if (stores) note_sequence(put.sequence);
    if (stores || durable) history.acknowledge(step, durable);
  }
  void note_sequence(Sequence sequence) {
    if (sequence.value <= highest_sequence_)
      throw Violation("sequence " + std::to_string(sequence.value) + " was given twice");
    highest_sequence_ = sequence.value;
  }

  void put_batch(FamilyModel& family, std::uint64_t count) {
    if (family.holds_records) return;
    const WriteOptions options{.durability = draw_level(), .replace = draw_replace()};
    std::vector<std::uint64_t> keys;
    const std::uint64_t first = below(random_, profile_.keys);
    for (std::uint64_t i = 0; i < count; ++i) {
      // Large batches go beyond the usual keys.
      const std::uint64_t key = count < 100 ? (first + i) % profile_.keys : first + i;
      if (std::ranges::find(keys, key) != keys.end() || family.keys[key].has_pending()) continue;
      keys.push_back(key);
    }
    if (keys.empty()) return;
    tell("batch of ", keys.size(), " into ", family.name, " from key ", first,
         options.replace ? " replace" : "", *options.durability == Durability::kDurable ? " durable" : "");
    std::vector<std::vector<std::byte>> values;
    std::vector<BatchRow> rows;
    std::vector<std::pair<std::size_t, bool>> steps;
    const std::uint64_t number = batches_.size() + 1;
    BatchModel batch;
    for (const auto key : keys) {
      auto& history = family.keys[key];
      const bool stores = history.version() == 0 || options.replace;
      const std::uint64_t version = ++versions_;
      steps.emplace_back(stores ? history.begin(version, number) : history.acked(), stores);
      if (stores) batch.members.push_back({index_of(family), family.number, key, steps.back().first});
      values.push_back(sim_value(family, key, version));
    }
    for (std::size_t i = 0; i < keys.size(); ++i) rows.push_back({sim_key(keys[i]), values[i]});
    batches_.push_back(std::move(batch));
    const auto done = family.vectors->put_batch(rows, options);
    if (process_->is_dead()) return;
    const bool durable = *options.durability == Durability::kDurable;
    std::uint64_t highest = highest_sequence_;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      auto& history = family.keys[keys[i]];
      if (!done) {
        if (i == 0) (void)after_error(done.error());
        if (steps[i].second && done.error().message().find("fdatasync") == std::string::npos &&
            !is_read_only_)
          history.refuse(steps[i].first);
        continue;
      }
      if (steps[i].second) highest_sequence_ = std::min(highest_sequence_, (*done)[i].sequence.value - 1);
      settle_put(family, keys[i], steps[i].first, steps[i].second, durable, (*done)[i]);
      highest = std::max(highest, highest_sequence_);
    }
    highest_sequence_ = highest;
  }

  void erase(FamilyModel& family) {
    const std::uint64_t key = below(random_, profile_.keys);
    auto& history = family.keys[key];
    if (history.has_pending()) return;
    const auto level = draw_level();
    const bool durable = level == Durability::kDurable;
    const bool existed = history.version() != 0;
    const std::size_t step = existed ? history.begin(0) : history.acked();
    tell("erase ", family.name, " key ", key, durable ? " durable" : "");
    const auto done = family.holds_records ? family.records->erase(sim_key(key), level)
                                           : family.vectors->erase(sim_key(key), level);
    if (process_->is_dead()) return;
    if (!done) {
      (void)after_error(done.error());
      if (existed && !is_read_only_) history.refuse(step);
      return;
    }
    if (done->existed != existed)
      throw Violation("erase said existed = " + std::to_string(static_cast<int>(done->existed)) + "; " +
                      describe(family, key));
    if (existed || durable) history.acknowledge(step, durable);
  }

  void sync() {
    tell("sync");
    // Rows that are pending are not acknowledged, and so not covered.
    const auto done = store_->sync();
    if (process_->is_dead()) return;
    if (!done) return (void)after_error(done.error());
    for_each_history([](KeyHistory& history) { history.make_durable(); });
  }

  struct Pending {
    PendingPut put;
    std::size_t family;
    std::uint64_t key;
    std::size_t step;
    bool stores;
    bool durable;
  };

  void finish_pending() {
    auto pending = std::exchange(pending_, {});
    settle_pending(pending);
  }
  void settle_pending(std::vector<Pending>& pending) {
    for (auto& one : pending) {
      auto& family = families_[one.family];
      const auto done = one.put.wait();
      if (process_->is_dead()) return;
      auto& history = family.keys[one.key];
      if (!done) {
        refuse(history, one.step, one.stores, done.error());
        continue;
      }
      const auto highest = highest_sequence_;  // They were numbered in their order, perhaps long ago.
      highest_sequence_ = 0;
      settle_put(family, one.key, one.step, one.stores, one.durable, *done);
      highest_sequence_ = std::max(highest, highest_sequence_);
    }
  }

  // ---- reads ------------------------------------------------------------------------------------------

  void read_one(FamilyModel& family, bool in_commit) {
    if (!family.vectors && !family.records) return;
    if (family.keys.empty() || (in_commit && family.holds_records)) return;
    auto chosen = family.keys.begin();
    std::advance(chosen, static_cast<std::ptrdiff_t>(below(random_, family.keys.size())));
    const bool durable_only = !in_commit && !family.holds_records && one_in(random_, 4);
    const auto scope = store_->read_scope();
    const auto found =
        find_key(family, chosen->first, &scope, durable_only ? Durability::kDurable : Durability::kBuffered);
    if (!found || process_->is_dead()) return;
    auto& history = chosen->second;
    if (found->is_corrupt) {
      if (!had_errors_ && !excuse_.keys.contains(chosen->first))
        throw Violation("a read found damage; " + describe(family, chosen->first));
      return;
    }
    if (durable_only) {
      if (found->version == 0) return;
      if (history.may_show(found->version)) {
        history.acknowledge(history.last_with(found->version, history.acked()), true);
        return;
      }
    }
    if (!history.may_show(found->version) && !rows_lost_)
      throw Violation("a read found version " + std::to_string(found->version) + "; " +
                      describe(family, chosen->first));
  }

  /// What another thread might see while a commit is under way.
  void look_meanwhile() {
    if (!is_open_ || process_->is_dead() || !seen_meanwhile_.empty()) return;
    try {
      look_around();
    } catch (const Violation& violation) {
      seen_meanwhile_ =
          violation.what();  // Thrown when the commit is through: the engine knows no exceptions.
    }
  }
  void look_around() {
    std::vector<Pending> answered;
    std::erase_if(pending_, [&](Pending& one) {
      const bool ready = one.put.ready();
      if (ready) answered.push_back(std::move(one));
      return ready;
    });
    settle_pending(answered);
    if (one_in(random_, 2)) read_one(families_[below(random_, families_.size())], true);
  }

  // ---- the contract -----------------------------------------------------------------------------------

  /// Checks every key of every family against the oracle, and settles what was in doubt. False if the
  /// process died meanwhile.
  bool check_all() {
    for (auto& family : families_) {
      if (!family.exists && !family.is_in_doubt) {
        for (const auto& info : store_->families()) {
          if (info.name == family.name) throw Violation("family " + family.name + " is back");
        }
        continue;
      }
      if (!open_family(family)) {
        if (process_->is_dead()) return false;
        continue;
      }
      if (!check_family(family)) return false;
    }
    check_batches();
    settle_all();
    return !process_->is_dead();
  }

  bool check_family(FamilyModel& family) {
    found_.erase(family.name);
    auto& found = found_[family.name];
    std::uint64_t present = 0;
    for (auto& [key, history] : family.keys) {
      const auto got = find_key(family, key, nullptr);
      if (process_->is_dead()) return false;
      if (!got) {
        if (!had_errors_) throw Violation("a read failed without a cause; " + describe(family, key));
        return false;
      }
      std::size_t step = history.last_with(got->version, history.acked());
      if (got->is_corrupt || step == history.steps().size()) {
        const bool excused = excuse_.keys.contains(key) || excuse_.all;
        if (!excused || (!got->is_corrupt && excuse_.must_be_told && !damage_is_told()))
          throw Violation((got->is_corrupt ? "damage" : "version " + std::to_string(got->version)) +
                          " was found after a crash; " + describe(family, key));
        step = history.last_with(got->version, 0);
        if (step == history.steps().size()) step = history.acked();
      }
      found[key] = step;
      if (got->version != 0 || got->is_corrupt) ++present;
    }
    for (std::uint64_t i = one_in(random_, 8) ? kProbesMany : kProbes; i > 0; --i) {
      const Key key = sim_key(kProbeBase + random_() % (1U << 30));
      const auto there = family.holds_records ? family.records->contains(key) : family.vectors->contains(key);
      if (there && *there) throw Violation("a key never put is there");
    }
    const std::uint64_t size = family.holds_records ? family.records->size() : family.vectors->size();
    if (size != present)
      throw Violation("family " + family.name + " says it holds " + std::to_string(size) +
                      " rows and shows " + std::to_string(present));
    return true;
  }
  [[nodiscard]] bool damage_is_told() const { return damage_reported_ || excuse_.refusal; }

  void check_batches() {
    for (const auto& batch : batches_) {
      bool some = false;
      const BatchModel::Member* missing = nullptr;
      for (const auto& member : batch.members) {
        const auto& family = families_[member.family];
        const auto found = found_.find(family.name);
        if (found == found_.end() || family.number != member.number || !found->second.contains(member.key) ||
            excuse_.keys.contains(member.key))
          continue;
        const std::size_t step = found->second.at(member.key);
        if (step == member.step) some = true;
        if (step < member.step) missing = &member;
      }
      if (some && missing != nullptr)
        throw Violation("a batch came back in part; " + describe(families_[missing->family], missing->key));
    }
    batches_.clear();
  }

  void settle_all() {
    if (process_->is_dead()) return;
    for (auto& family : families_) {
      const auto found = found_.find(family.name);
      if (found == found_.end()) continue;
      for (const auto& [key, step] : found->second) family.keys[key].settle(step);
    }
    found_.clear();
    if (!excuse_.keys.empty() || excuse_.all) return;
    const auto stats = store_->stats();
    if (stats.damaged_rows > 0)
      throw Violation("recovery reports " + std::to_string(stats.damaged_rows) +
                      " damaged rows where nothing was damaged");
  }

  /// Power went: recovers a copy of the disk in one go, and another with a power cut inside; the two must
  /// show the same.
  void check_recovery_repeats() {
    SimDisk once = disk_.clone_durable();
    SimDisk twice = disk_.clone_durable();
    {
      auto process = std::make_shared<SimEnvironment>(twice, random_());
      const std::uint64_t end = below(random_, 120);
      process->decide = [end](const Call& call) { return Outcome{.dies = call.number >= end}; };
      (void)Store::open(kPath, {.create_if_missing = true, .environment = process});
      process->die();
    }
    twice.power_cut(random_);
    const auto first = contents(once);
    const auto second = contents(twice);
    if (first != second) throw Violation("recovery came to another result when a crash fell into it");
  }
  std::map<std::pair<std::string, std::uint64_t>, std::vector<std::byte>> contents(SimDisk& disk) {
    std::map<std::pair<std::string, std::uint64_t>, std::vector<std::byte>> rows;
    auto process = std::make_shared<SimEnvironment>(disk, random_());
    auto opened = Store::open(kPath, {.create_if_missing = true, .environment = process});
    if (!opened) throw Violation("open failed: " + opened.error().to_string());
    const auto number = [](const Key& key) {
      std::uint64_t value = 0;
      std::memcpy(&value, key.digest.bytes.data(), sizeof value);
      return value;
    };
    for (const auto& info : (*opened)->families()) {
      if (info.kind == format::SegmentKind::kRecord) {
        auto family = (*opened)->existing_record_family(info.name);
        (void)family->for_each([&](const Record& record) {
          rows[{info.name, number(record.key)}] = record.payload;
          return true;
        });
      } else {
        auto family = (*opened)->family(info.name);
        (void)family->for_each([&](const VectorView& view) {
          rows[{info.name, number(view.key())}].assign(view.bytes().begin(), view.bytes().end());
          return true;
        });
      }
    }
    return rows;
  }

  /// A last open without faults; a clean close; fsck; perhaps a damaged sector, and what is said of it.
  void final_check() {
    profile_.error_one_in = 0;
    profile_.cut_one_in = 0;
    disk_.set_capacity(std::uint64_t{1} << 40);
    start_process();
    if (!open_store()) throw Violation("the last open failed");
    check_all();
    const bool clean = one_in(random_, 2);
    if (clean) {
      if (!close_store()) throw Violation("the last close failed");
      for_each_history([](KeyHistory& history) { history.make_durable(); });
      check_by_fsck();
    } else {
      process_->die();
    }
    drop_process();
    if (!clean) {
      disk_.power_cut(random_);
      for_each_history([](KeyHistory& history) { history.lose_buffered(); });
      ++result_.counts.states;
    }
    if (profile_.with_damage) damage_and_check(clean);
  }
  void check_by_fsck() {
    FsckOptions options;
    options.environment = process_;
    const auto report = fsck(kPath, options);
    if (!report) throw Violation("fsck failed: " + report.error().to_string());
    if (report->clean() && report->warnings == 0) return;
    std::string text = "fsck of a sound store:";
    for (const auto& finding : report->findings) text += " [" + finding.file + ": " + finding.what + "]";
    if (!report->clean()) throw Violation(text);
  }
  void damage_and_check(bool was_closed) {
    excuse_ = damage_something(disk_, kPath, random_, was_closed);
    if (excuse_.what.empty()) return;
    tell("damage: ", excuse_.what);
    ++result_.counts.damages;
    start_process();
    if (!open_store()) return;
    check_all();
    process_->die();
    drop_process();
  }

  template <class... Parts>
  void tell(const Parts&... parts) {
    if (!tell_) return;
    (story_ << ... << parts) << '\n';
  }

  Random random_;
  SimProfile profile_;
  SimDisk disk_;
  bool tell_;
  std::ostringstream story_;
  SimResult result_;
  std::uint64_t now_ns_ = 0;
  std::shared_ptr<SimEnvironment> process_;
  std::unique_ptr<Store> store_;
  bool is_open_ = false;
  std::optional<std::uint64_t> dies_at_;
  std::optional<CallKind> aims_at_;
  std::uint64_t aims_left_ = 0;
  bool with_errors_ = false;
  bool had_errors_ = false;  ///< An error was injected since the open began.
  bool damage_reported_ = false;
  bool rows_lost_ = false;
  bool is_read_only_ = false;
  std::vector<FamilyModel> families_;
  std::vector<BatchModel> batches_;
  std::vector<Pending> pending_;
  std::map<std::string, std::map<std::uint64_t, std::size_t>> found_;
  Excuse excuse_;
  std::string seen_meanwhile_;
  std::uint64_t versions_ = 0;
  std::uint64_t numbers_ = 0;
  std::uint64_t names_ = 0;
  std::uint64_t highest_sequence_ = 0;
};

}  // namespace

SimCounts& SimCounts::operator+=(const SimCounts& other) {
  states += other.states;
  power_cuts += other.power_cuts;
  double_crashes += other.double_crashes;
  torn_writes += other.torn_writes;
  io_errors += other.io_errors;
  damages += other.damages;
  operations += other.operations;
  opens += other.opens;
  return *this;
}

SimResult simulate(std::uint64_t seed, bool tell_story) { return Simulation(seed, tell_story).run(); }

}  // namespace vectolith::testing::sim
