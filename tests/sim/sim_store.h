/// @file
/// What tests of a store on a simulated disk share: processes that open it, die, and are followed by others.
#pragma once

#include <cerrno>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <vectolith/store.h>

#include "support/refused_memory.h"
#include "support/sim/sim_environment.h"
#include "support/sim/sim_model.h"

namespace vectolith::testing::sim {

/// A store of one family "f" of 16 floats, whose every life is told by the test.
class SimStoreTest : public ::testing::Test {
 protected:
  static constexpr const char* kPath = "/sim";

  SimStoreTest() {
    model_.name = "f";
    model_.spec.model = "sim";
    model_.spec.dim = 16;
    model_.number = 1;
  }
  ~SimStoreTest() override { bury(); }

  [[nodiscard]] virtual Options options() {
    Options options;
    options.create_if_missing = true;
    options.environment = process_;
    options.segment_bytes_initial = options.segment_bytes_target = 64U << 10;
    options.on_event = [this](const Event& event) {
      const OutsideEngine outside;
      events_.push_back(event.kind);
    };
    return options;
  }
  void start_process() {
    ++seed_;
    process_ = std::make_shared<SimEnvironment>(disk_, seed_, seed_ * 10'000'000'000);
  }
  /// Throws, and so ends the test, if it fails.
  void open() {
    start_process();
    auto opened = Store::open(kPath, options());
    if (!opened) throw std::runtime_error("open: " + opened.error().to_string());
    store_ = *std::move(opened);
    auto family = store_->family("f", model_.spec);
    if (!family) throw std::runtime_error("family: " + family.error().to_string());
    model_.vectors.emplace(*family);
  }
  Result<PutResult> try_put(std::uint64_t key, Durability level = Durability::kBuffered,
                            std::uint64_t version = 1) {
    const auto value = sim_value(model_, key, version);
    return model_.vectors->put(sim_key(key), value, {.durability = level, .replace = version > 1});
  }
  void put(std::uint64_t key, Durability level = Durability::kBuffered, std::uint64_t version = 1) {
    const auto done = try_put(key, level, version);
    ASSERT_TRUE(done.has_value()) << done.error().to_string();
  }
  Result<std::vector<PutResult>> put_batch(std::uint64_t first, std::uint64_t count,
                                           Durability level = Durability::kBuffered) {
    std::vector<std::vector<std::byte>> values;
    std::vector<BatchRow> rows;
    for (std::uint64_t i = 0; i < count; ++i) values.push_back(sim_value(model_, first + i, 1));
    for (std::uint64_t i = 0; i < count; ++i) rows.push_back({sim_key(first + i), values[i]});
    return model_.vectors->put_batch(rows, {.durability = level});
  }
  /// True if the key holds that version; a test fails if it holds other bytes or cannot be read.
  [[nodiscard]] bool holds(std::uint64_t key, std::uint64_t version = 1) {
    const auto got = model_.vectors->get(sim_key(key));
    if (!got) ADD_FAILURE() << got.error().to_string();
    if (!got || !got->has_value()) return false;
    const auto expected = sim_value(model_, key, version);
    return std::ranges::equal((**got)->bytes(), expected);
  }
  /// Lets background work come to its end.
  void rest() {
    for (int i = 0; i < 50; ++i) process_->run_worker();
  }
  void kill() {
    process_->die();
    bury();
  }
  void cut_power() {
    kill();
    Random random(++seed_);
    disk_.power_cut(random);
  }
  void close() {
    model_.vectors.reset();
    const auto closed = store_->close();
    ASSERT_TRUE(closed.has_value()) << closed.error().to_string();
    bury();
  }
  void bury() {
    model_.vectors.reset();
    store_.reset();
    process_.reset();
  }
  /// Fails each barrier of files whose name ends so with EIO.
  void fail_syncs_of(std::string ending) {
    process_->decide = [ending = std::move(ending)](const Call& call) {
      return Outcome{.error = call.kind == CallKind::kDataSync && call.name.ends_with(ending) ? EIO : 0};
    };
  }

  SimDisk disk_;
  std::shared_ptr<SimEnvironment> process_;
  std::unique_ptr<Store> store_;
  FamilyModel model_;
  std::vector<Event::Kind> events_;
  std::uint64_t seed_ = 0;
};

}  // namespace vectolith::testing::sim
