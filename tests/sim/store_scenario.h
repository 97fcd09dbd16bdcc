/// @file
/// A life of a store in which every kind of call has something to do, and an oracle of what it must hold.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <vectolith/async.h>

#include "sim/sim_store.h"

namespace vectolith::testing::sim {

/// Runs the scenario once for each failure that a test has in mind. Every answer is compared with the oracle;
/// errors are counted. A put, batch or erase that is refused for memory must never show.
class StoreScenario : public SimStoreTest {
 protected:
  /// A call of the store: its allocations are the engine's.
  template <class Function>
  static std::invoke_result_t<Function> call(const Function& function) {
    const InsideEngine inside;
    return function();
  }
  /// A new disk, a new process, nothing known.
  void begin() {
    bury();
    disk_ = SimDisk();
    model_.keys.clear();
    events_.clear();
    errors_ = 0;
    start_process();
  }
  /// Everything a store does, once or twice.
  void scenario() {
    if (!do_open() && !do_open()) return;
    write();
    read();
    replace_and_erase();
    look_back();
    fill_segments();
    keep_records();
    do_close();
    if (!do_open() && !do_open()) return;
    do_put(3, Durability::kDurable, 1);
    read_all(false);
    do_close();
  }
  /// Dies with segments of every phase, and a journal in use.
  void die_in_use(bool with_records) {
    do_open();
    write();
    replace_and_erase();
    fill_segments();
    if (with_records) write_record();
    kill();
    start_process();
  }
  /// Opens what a dead process left, goes on with it and closes it.
  void recover() {
    if (!do_open() && !do_open()) return;
    read_all(false);
    do_put(3, Durability::kDurable, 1);
    do_erase(11, Durability::kDurable);
    for (int i = 0; i < 6; ++i) process_->run_worker();
    do_close();
  }
  /// Reads past the page cache, by every call that can; the rows lie in settled segments.
  void read_cold() {
    check(call([&] { return model_.vectors->place(Placement::kCold, true); }));
    read();
    gather_all();
    read_async();
    check(call([&] { return model_.vectors->place(Placement::kPinned); }));
    check(call([&] { return model_.vectors->place(Placement::kCached); }));
  }
  /// Rows in full segments, and nothing that waits to be sealed.
  void fill_and_seal() {
    do_open();
    write();
    fill_segments();
  }
  /// A batch for which the tables of an index with `rows` rows are too small.
  void fill_index(std::uint64_t rows) { do_batch(10'000, rows, Durability::kBuffered); }
  void outgrow_index() {
    do_batch(20'000, 2'500, Durability::kBuffered);
    do_put(3, Durability::kDurable, 1);
  }
  /// Called when the oracle knows of it; may throw to end the scenario.
  virtual void note_error(const Error&) { ++errors_; }

  bool do_open() {
    if (store_ == nullptr) {
      const auto with = options();
      auto opened = call([&] { return Store::open(kPath, with); });
      if (!check(opened)) return false;
      store_ = *std::move(opened);
    }
    auto family = call([&] { return store_->family("f", model_.spec); });
    if (!check(family)) return false;
    model_.vectors.emplace(*family);
    return true;
  }
  void do_close() {
    model_.vectors.reset();
    everything_is_durable(call([&] { return store_->close(); }));
    store_.reset();
  }
  void do_put(std::uint64_t key, Durability level, std::uint64_t version) {
    const auto step = model_.keys[key].begin(version);
    const auto value = sim_value(model_, key, version);
    const WriteOptions with{.durability = level, .replace = version > 1};
    settle({{key, step}}, call([&] { return model_.vectors->put(sim_key(key), value, with); }), level);
  }

  /// Asynchronous puts that one commit takes on together: if it is refused, they all are, and that is one
  /// error.
  void do_submit(
      std::uint64_t first, std::uint64_t count, const std::function<void()>& before_commit = [] {}) {
    std::map<std::uint64_t, Result<PendingPut>> pending;
    for (std::uint64_t key = first; key < first + count; ++key) {
      model_.keys[key].begin(1);
      const auto value = sim_value(model_, key, 1);
      pending.emplace(key, call([&] { return model_.vectors->submit_put(sim_key(key), value); }));
    }
    before_commit();
    process_->run_worker();
    std::optional<Error> error;
    for (auto& [key, submitted] : pending) {
      const auto done = submitted ? call([&] { return submitted->wait(); })
                                  : Result<PutResult>(std::unexpected(submitted.error()));
      note({{key, model_.keys[key].steps().size() - 1}}, done, Durability::kBuffered);
      if (!done) error = done.error();
    }
    if (error) note_error(*error);
  }

  /// Compares what is there with the oracle. `is_settled`: after a crash; else not every key is asked for.
  void read_all(bool is_settled) {
    for (auto& [key, history] : model_.keys) {
      if (!is_settled && key > 110)
        continue;  // The first rows of each kind are enough, and a read is a call, too.
      const auto found = find_key(model_, key, nullptr);
      if (!found && !is_settled) continue;
      ASSERT_TRUE(found.has_value());
      if (found->is_corrupt) {
        ASSERT_FALSE(is_settled) << describe(model_, key);
        continue;
      }
      const bool allowed = is_settled
                               ? history.last_with(found->version, history.acked()) < history.steps().size()
                               : history.may_show(found->version);
      ASSERT_TRUE(allowed) << "version " << found->version << "; " << describe(model_, key);
    }
  }
  /// The process ends by kill or loss of power; the next one must find what was promised, and go on.
  void check_after_crash(bool loses_power) {
    const bool lost = std::ranges::count(events_, Event::Kind::kRowsLost) > 0;
    if (loses_power) {
      cut_power();
    } else {
      kill();
    }
    if (loses_power || lost) {
      for (auto& [key, history] : model_.keys) history.lose_buffered();
    }
    start_process();
    ASSERT_TRUE(do_open());
    read_all(true);
    do_put(9'999, Durability::kDurable, 1);
    EXPECT_EQ(find_key(model_, 9'999, nullptr)->version, 1U);
  }

  std::uint64_t errors_ = 0;

 private:
  template <class Answer>
  bool check(const Answer& answer) {
    if (!answer) note_error(answer.error());
    return answer.has_value();
  }
  /// What became of these steps of keys.
  template <class Answer>
  void note(const std::vector<std::pair<std::uint64_t, std::size_t>>& steps, const Answer& answer,
            Durability level) {
    for (const auto& [key, step] : steps) {
      auto& history = model_.keys[key];
      if (answer) {
        history.acknowledge(step, level == Durability::kDurable);
      } else if (answer.error().code() == ErrorCode::kNoMemory) {
        history.withdraw();
      }
    }
  }
  template <class Answer>
  void settle(const std::vector<std::pair<std::uint64_t, std::size_t>>& steps, const Answer& answer,
              Durability level) {
    note(steps, answer, level);
    check(answer);
  }
  void everything_is_durable(const Result<void>& answer) {
    if (!check(answer)) return;
    for (auto& [key, history] : model_.keys) history.make_durable();
  }

  void do_erase(std::uint64_t key, Durability level) {
    const auto step = model_.keys[key].begin(0);
    settle({{key, step}}, call([&] { return model_.vectors->erase(sim_key(key), level); }), level);
  }
  void do_batch(std::uint64_t first, std::uint64_t count, Durability level) {
    std::vector<std::vector<std::byte>> values;
    std::vector<BatchRow> rows;
    std::vector<std::pair<std::uint64_t, std::size_t>> steps;
    for (std::uint64_t i = 0; i < count; ++i) {
      steps.emplace_back(first + i, model_.keys[first + i].begin(1));
      values.push_back(sim_value(model_, first + i, 1));
    }
    for (std::uint64_t i = 0; i < count; ++i) rows.push_back({sim_key(first + i), values[i]});
    settle(steps, call([&] { return model_.vectors->put_batch(rows, {.durability = level}); }), level);
  }
  /// True if the key may hold these bytes now; none: nothing.
  [[nodiscard]] bool may_hold(std::uint64_t key, std::span<const std::byte> bytes) {
    const auto& history = model_.keys[key];
    if (bytes.empty()) return history.may_show(0);
    for (const auto& step : history.steps()) {
      if (step.version == 0 || !history.may_show(step.version)) continue;
      if (std::ranges::equal(bytes, sim_value(model_, key, step.version))) return true;
    }
    return false;
  }

  void write() {
    do_put(1, Durability::kBuffered, 1);
    do_put(2, Durability::kDurable, 1);
    do_batch(10, 20, Durability::kDurable);
    do_batch(40, 15, Durability::kBuffered);
    process_->run_worker();
    do_submit(4, 3);
  }
  void read() {
    std::vector<std::uint64_t> numbers;
    std::vector<Key> keys;
    for (std::uint64_t key = 1; key < 20; ++key) {
      numbers.push_back(key);
      keys.push_back(sim_key(key));
    }
    std::vector<Lookup> answers(keys.size());
    {
      const InsideEngine inside;
      const auto scope = store_->read_scope();
      const auto one = model_.vectors->get(scope, keys[0]);
      const auto all = model_.vectors->multi_get(scope, keys, answers);
      const OutsideEngine outside;
      if (check(one)) {
        EXPECT_TRUE(may_hold(1, *one ? (*one)->bytes() : std::span<const std::byte>()));
      }
      for (std::size_t i = 0; i < keys.size() && all; ++i) {
        const bool is_corrupt = answers[i].status == Lookup::Status::kCorrupt;
        EXPECT_TRUE(is_corrupt || may_hold(numbers[i], answers[i].view.bytes()))
            << describe(model_, numbers[i]);
      }
      check(all);
    }
    const std::size_t row_bytes = model_.spec.vector_bytes();
    std::vector<std::byte> matrix(keys.size() * row_bytes);
    const auto found = std::make_unique<bool[]>(keys.size());
    const std::span flags(found.get(), keys.size());
    const auto copied = call([&] { return model_.vectors->multi_get_copy(keys, matrix, flags); });
    for (std::size_t i = 0; i < keys.size() && copied; ++i) {
      const auto row = std::span(matrix).subspan(i * row_bytes, flags[i] ? row_bytes : 0);
      EXPECT_TRUE(may_hold(numbers[i], row)) << describe(model_, numbers[i]);
    }
    check(copied);
    std::map<std::uint64_t, std::vector<std::byte>> seen;
    const auto visited = call([&] {
      return model_.vectors->for_each([&](const VectorView& row) {
        const OutsideEngine outside;
        for (auto& [key, history] : model_.keys) {
          if (sim_key(key) == row.key()) seen[key].assign(row.bytes().begin(), row.bytes().end());
        }
        return true;
      });
    });
    if (check(visited)) {
      for (auto& [key, history] : model_.keys) EXPECT_TRUE(may_hold(key, seen[key])) << describe(model_, key);
    }
    const auto stats = call([&] { return store_->stats(); });
    EXPECT_EQ(stats.families.size(), stats.is_partial ? 0U : 1U);
    (void)call([&] { return store_->families(); });
    (void)call([&] { return store_->interned(); });
  }
  void gather_all() {
    std::vector<RowId> rows;
    std::vector<std::vector<std::byte>> expected;
    const auto visited = call([&] {
      return model_.vectors->for_each([&](const VectorView& row) {
        const OutsideEngine outside;
        rows.push_back(row.row_id());
        expected.emplace_back(row.bytes().begin(), row.bytes().end());
        return true;
      });
    });
    if (!check(visited)) return;
    const std::size_t row_bytes = model_.spec.vector_bytes();
    std::vector<std::byte> matrix(rows.size() * row_bytes);
    if (!check(call([&] { return model_.vectors->gather(rows, matrix); }))) return;
    for (std::size_t i = 0; i < rows.size(); ++i)
      EXPECT_TRUE(std::ranges::equal(expected[i], std::span(matrix).subspan(i * row_bytes, row_bytes)));
  }
  void read_async() {
    auto queue = call([&] { return store_->read_queue({.depth = 4}); });
    if (!check(queue)) return;
    std::vector<Key> keys;
    for (std::uint64_t key = 100; key < 120; ++key) keys.push_back(sim_key(key));
    const std::size_t row_bytes = model_.spec.vector_bytes();
    std::vector<std::byte> matrix(keys.size() * row_bytes);
    const auto found = std::make_unique<bool[]>(keys.size());
    const std::span flags(found.get(), keys.size());
    if (!check(call([&] { return model_.vectors->multi_get_async(**queue, keys, matrix, flags, 7); }))) {
      EXPECT_EQ((*queue)->pending(), 0U);
      return;
    }
    ReadCompletion done;
    ASSERT_EQ(call([&] { return (*queue)->wait({&done, 1}, std::chrono::hours(1)); }), 1U);
    EXPECT_EQ(done.tag, 7U);
    if (done.error) return note_error(*done.error);
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const auto row = std::span(matrix).subspan(i * row_bytes, flags[i] ? row_bytes : 0);
      EXPECT_TRUE(may_hold(100 + i, row)) << describe(model_, 100 + i);
    }
  }
  void replace_and_erase() {
    do_put(1, Durability::kDurable, 2);
    do_erase(2, Durability::kDurable);
    do_erase(10, Durability::kBuffered);
    everything_is_durable(call([&] { return store_->sync(); }));
    check(call([&] { return store_->intern_scope("tenant"); }));
    process_->run_worker();
  }
  /// A snapshot goes on showing what it showed, whatever is replaced.
  void look_back() {
    const auto snapshot = call([&] { return store_->snapshot(); });
    if (!check(snapshot)) return;
    const auto before = model_.keys[40].version();
    do_put(40, Durability::kBuffered, 2);
    const auto got = call([&] { return snapshot->get(*model_.vectors, sim_key(40)); });
    if (!check(got) || model_.keys[40].has_pending()) return;
    const auto bytes = *got ? (**got)->bytes() : std::span<const std::byte>();
    const auto expected = before == 0 ? std::vector<std::byte>() : sim_value(model_, 40, before);
    EXPECT_TRUE(std::ranges::equal(bytes, expected));
  }
  /// One batch that no segment can hold, and rows until the active segment is left for the next.
  void fill_segments() {
    do_batch(100, 560, Durability::kBuffered);
    do_batch(1'000, 250, Durability::kBuffered);
    process_->run_worker();
    do_batch(2'000, 250, Durability::kDurable);
    for (int i = 0; i < 6; ++i) process_->run_worker();
  }
  std::optional<RecordFamily> write_record() {
    auto records = call([&] { return store_->record_family("r"); });
    if (!check(records)) return std::nullopt;
    check(call([&] { return records->put(sim_key(1), "payload"); }));
    return *std::move(records);
  }
  void keep_records() {
    const auto records = write_record();
    if (!records) return;
    if (records->size() == 1) {
      const auto got = call([&] { return records->get(sim_key(1)); });
      if (check(got)) {
        ASSERT_TRUE(got->has_value());
        EXPECT_EQ((*got)->payload.size(), 7U);
      }
    }
    check(call([&] { return records->for_each([](const Record&) { return true; }); }));
    if (!check(call([&] { return store_->drop_family("r"); }))) {
      const auto still = call([&] { return records->contains(sim_key(1)); });
      EXPECT_TRUE(!still || *still == (records->size() == 1));
      if (!still) check(still);
    }
  }
};

}  // namespace vectolith::testing::sim
