/// @file
/// The real system under refused memory: every allocation of a call once; and many threads, at random.
#include "support/refused_memory.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <vectolith/async.h>
#include <vectolith/control.h>
#include <vectolith/format/file_name.h>
#include <vectolith/verify.h>

#include "engine/store/store_fixture.h"
#include "support/random_seed.h"

namespace vectolith::testing {
namespace {

template <class Function>
std::invoke_result_t<Function> inside(const Function& function) {
  const InsideEngine engine;
  return function();
}

class RefusedMemoryOn : public ::testing::TestWithParam<IoChoice> {
 protected:
  void SetUp() override {
    if (!engine::make_environment(GetParam() == IoChoice::kUring ? engine::BackendChoice::kUring
                                                                 : engine::BackendChoice::kSync))
      GTEST_SKIP() << "the kernel refuses io_uring";
  }
  ~RefusedMemoryOn() override { RefusedMemory::stop(); }

  [[nodiscard]] Options options() const {
    Options options;
    options.create_if_missing = true;
    options.io = GetParam();
    options.segment_bytes_initial = options.segment_bytes_target = 128 << 10;
    return options;
  }
  /// True if it was done; its only excuse is memory.
  template <class Answer>
  bool check(const Answer& answer) {
    if (answer) return true;
    ++errors_;
    EXPECT_EQ(answer.error().code(), ErrorCode::kNoMemory) << answer.error().to_string();
    return false;
  }
  /// A store's life in `path`. What it acknowledged goes to `versions_`; 0: erased.
  void live(const std::string& path) {
    const auto with = options();
    std::unique_ptr<Store> store;
    std::optional<Family> family;
    for (int attempt = 0; attempt < 2 && !family; ++attempt) {
      if (store == nullptr) {
        auto opened = inside([&] { return Store::open(path, with); });
        if (!check(opened)) continue;
        store = *std::move(opened);
      }
      const auto made = inside([&] { return store->family("f", small_spec()); });
      if (check(made)) family = *made;
    }
    ASSERT_TRUE(family.has_value());
    for (std::uint64_t key = 1; key < 6; ++key) {
      const auto vector = vector_of(key, 1);
      const WriteOptions level{.durability = key % 2 == 0 ? Durability::kDurable : Durability::kBuffered};
      if (check(inside([&] { return family->put(key_of(key), std::span<const float>(vector), level); })))
        versions_[key] = 1;
    }
    const auto replaced = vector_of(2, 2);
    const WriteOptions again{.durability = Durability::kDurable, .replace = true};
    if (check(inside([&] { return family->put(key_of(2), std::span<const float>(replaced), again); })))
      versions_[2] = 2;
    if (check(inside([&] { return family->erase(key_of(3), Durability::kDurable); }))) versions_[3] = 0;
    check(inside([&] { return store->sync(); }));
    expect_versions(*family);
    check(inside([&] { return store->close(); }));
  }
  void expect_versions(const Family& family) {
    for (const auto& [key, version] : versions_) {
      const auto got = inside([&] { return family.get(key_of(key)); });
      if (!check(got)) continue;
      ASSERT_EQ(got->has_value(), version != 0) << "key " << key;
      EXPECT_TRUE(version == 0 || same_bytes(***got, vector_of(key, version))) << "key " << key;
    }
  }
  /// The store is there, holds what was acknowledged, and can be written.
  void expect_whole(const std::string& path) {
    auto opened = Store::open(path, options());
    ASSERT_TRUE(opened.has_value()) << opened.error().to_string();
    auto family = (*opened)->family("f", small_spec());
    ASSERT_TRUE(family.has_value()) << family.error().to_string();
    expect_versions(*family);
    const auto vector = vector_of(99);
    EXPECT_TRUE(family->put(key_of(99), std::span<const float>(vector)).has_value());
    EXPECT_TRUE((*opened)->close().has_value());
  }

  std::map<std::uint64_t, std::uint64_t> versions_;
  std::uint64_t errors_ = 0;
};

TEST_P(RefusedMemoryOn, EveryAllocationOfTheCallingThreadOnceIsOneErrorAndTheStoreGoesOn) {
  for (std::uint64_t number = 0;; ++number) {
    SCOPED_TRACE("allocation " + std::to_string(number));
    const TempDirectory directory(memory_base());
    versions_.clear();
    errors_ = 0;
    RefusedMemory::refuse(number, 1);
    live(directory.path());
    const auto refused = RefusedMemory::refused();
    RefusedMemory::stop();
    EXPECT_LE(errors_, 1U);
    expect_whole(directory.path());
    if (HasFailure()) return;
    if (refused == 0) {
      std::printf("%llu allocations\n", static_cast<unsigned long long>(number));
      EXPECT_GT(number, 100U);
      return;
    }
  }
}

/// Four threads with keys of their own, and one at the control socket, while memory is refused at random.
class RefusedAtRandom : public RefusedMemoryOn {
 protected:
  static constexpr std::uint64_t kThreads = 4, kKeys = 200;

  struct Worked {
    std::map<std::uint64_t, std::uint64_t> versions;
    std::uint64_t calls = 0, refused = 0;
    std::vector<std::string> wrong;
  };

  static std::uint64_t key_for(std::uint64_t thread, std::uint64_t number) {
    return thread * 10'000 + number;
  }

  /// Notes what a call answered; true if it was done.
  template <class Answer>
  static bool note(Worked& worked, const Answer& answer) {
    ++worked.calls;
    if (answer) return true;
    ++worked.refused;
    if (answer.error().code() != ErrorCode::kNoMemory) worked.wrong.push_back(answer.error().to_string());
    return false;
  }
  static void put_one(Worked& worked, Family& family, std::uint64_t key, std::uint64_t version,
                      Durability level) {
    const auto vector = vector_of(key, version);
    const WriteOptions with{.durability = level, .replace = true};
    if (note(worked, inside([&] { return family.put(key_of(key), std::span<const float>(vector), with); })))
      worked.versions[key] = version;
  }
  static void submit_one(Worked& worked, Family& family, std::uint64_t key, std::uint64_t version) {
    const auto vector = vector_of(key, version);
    auto pending = inside([&] {
      return family.submit_put(key_of(key), std::as_bytes(std::span(vector)),
                               {.durability = {}, .replace = true});
    });
    if (note(worked, pending) && note(worked, inside([&] { return pending->wait(); })))
      worked.versions[key] = version;
  }
  static void put_some(Worked& worked, Family& family, std::uint64_t key, std::uint64_t version) {
    constexpr std::uint64_t kRows = 40;
    std::vector<std::vector<float>> vectors;
    std::vector<BatchRow> rows;
    for (std::uint64_t i = 0; i < kRows; ++i) vectors.push_back(vector_of(key + i, version));
    for (std::uint64_t i = 0; i < kRows; ++i)
      rows.push_back({key_of(key + i), std::as_bytes(std::span(vectors[i]))});
    if (!note(worked, inside([&] { return family.put_batch(rows, {.durability = {}, .replace = true}); })))
      return;
    for (std::uint64_t i = 0; i < kRows; ++i) worked.versions[key + i] = version;
  }
  static void get_one(Worked& worked, Store& store, const Family& family, std::uint64_t key, bool in_scope) {
    const auto compare = [&](bool is_there, const std::vector<float>& found) {
      const auto known = worked.versions.find(key);
      const std::uint64_t version = known == worked.versions.end() ? 0 : known->second;
      if (is_there != (version != 0) || (is_there && found != vector_of(key, version)))
        worked.wrong.push_back("key " + std::to_string(key) + " is not version " + std::to_string(version));
    };
    const auto copy = [](const VectorView& view) {
      return std::vector<float>(view.as<float>().begin(), view.as<float>().end());
    };
    if (!in_scope) {
      const auto got = inside([&] { return family.get(key_of(key)); });
      if (note(worked, got)) compare(got->has_value(), *got ? copy(***got) : std::vector<float>());
      return;
    }
    const InsideEngine engine;
    const auto scope = store.read_scope();
    const auto got = family.get(scope, key_of(key));
    const OutsideEngine test;
    if (note(worked, got)) compare(got->has_value(), *got ? copy(**got) : std::vector<float>());
  }
  static void get_async(Worked& worked, Store& store, const Family& family, std::uint64_t key) {
    const auto queue = inside([&] { return store.read_queue({.depth = 4}); });
    std::vector<float> found(small_spec().dim);
    const auto out = std::as_writable_bytes(std::span(found));
    if (!note(worked, queue) ||
        !note(worked, inside([&] { return family.get_async(**queue, key_of(key), out, 1); })))
      return;
    ReadCompletion done;
    while (inside([&] { return (*queue)->wait({&done, 1}, std::chrono::hours(1)); }) == 0) {
    }
    if (!note(worked, done.error ? Result<void>(std::unexpected(*done.error)) : Result<void>())) return;
    const std::uint64_t version = worked.versions[key];
    if ((done.hits == 1) != (version != 0) || (version != 0 && found != vector_of(key, version)))
      worked.wrong.push_back("key " + std::to_string(key) + " read late is not version " +
                             std::to_string(version));
  }
  static void work(Store& store, Family family, std::uint64_t thread, std::uint64_t seed,
                   const std::atomic<bool>& is_over, Worked& worked) {
    const OutsideEngine test;
    std::mt19937_64 random(seed + thread);
    for (std::uint64_t version = 1; !is_over; ++version) {
      const auto key = key_for(thread, random() % kKeys);
      switch (random() % 16) {
        case 0: put_one(worked, family, key, version, Durability::kDurable); break;
        case 1: put_some(worked, family, key_for(thread, random() % (kKeys - 40)), version); break;
        case 2: note(worked, inside([&] { return store.sync(); })); break;
        case 3:
          if (note(worked, inside([&] { return family.erase(key_of(key)); }))) worked.versions[key] = 0;
          break;
        case 4:
        case 5: submit_one(worked, family, key, version); break;
        case 6: note(worked, inside([&] { return store.snapshot(); })); break;
        case 7: (void)inside([&] { return store.stats(); }); break;
        case 11: get_async(worked, store, family, key); break;
        case 12:
          note(worked, inside([&] {
                 return family.place(random() % 2 == 0 ? Placement::kCold : Placement::kCached);
               }));
          break;
        case 8:
        case 9:
        case 10: put_one(worked, family, key, version, Durability::kBuffered); break;
        default: get_one(worked, store, family, key, random() % 2 == 0); break;
      }
    }
  }
  /// A peer of the control socket; it may lose its connection, and comes back.
  static void visit(const std::string& path, const std::atomic<bool>& is_over) {
    const OutsideEngine test;
    std::optional<ControlClient> client;
    for (std::uint64_t round = 0; !is_over; ++round) {
      if (!client) {
        auto connected = inside([&] { return ControlClient::connect(path); });
        if (!connected) continue;
        client.emplace(*std::move(connected));
      }
      const auto answer = inside([&]() -> Result<void> {
        VECTOLITH_TRY(client->stats());
        VECTOLITH_TRY(client->get("f", key_of(round % 100)));
        return client->scan("f", [](const RemoteRow&) { return true; });
      });
      if (!answer && answer.error().code() != ErrorCode::kNoMemory) client.reset();
    }
  }
};

TEST_P(RefusedAtRandom, NobodyIsLeftWaitingAndWhatWasAcknowledgedIsThere) {
  using std::chrono::steady_clock;
  const std::uint64_t seed = random_seed();
  const TempDirectory directory(memory_base());
  std::atomic<int> bad_events{0};
  Options with = options();
  with.control = true;
  with.on_event = [&](const Event& event) {
    if (event.kind != Event::Kind::kRecovered) ++bad_events;
  };
  auto opened = Store::open(directory.path(), with);
  ASSERT_TRUE(opened.has_value()) << opened.error().to_string();
  auto& store = **opened;
  const auto family = *store.family("f", small_spec());
  std::vector<Worked> worked(kThreads);
  std::uint64_t refused = 0;
  for (const std::uint64_t per_mille : {2U, 20U, 200U}) {
    std::atomic<bool> is_over{false};
    RefusedMemory::stop();
    std::vector<std::jthread> threads;
    for (std::uint64_t i = 0; i < kThreads; ++i)
      threads.emplace_back([&, i] { work(store, family, i, seed + per_mille, is_over, worked[i]); });
    threads.emplace_back([&] { visit(directory.path(), is_over); });
    const OutsideEngine test;
    RefusedMemory::refuse_at_random(seed + per_mille, per_mille);
    const auto until = steady_clock::now() + std::chrono::milliseconds(1'500);
    while (steady_clock::now() < until) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    is_over = true;
    threads.clear();
    refused += RefusedMemory::refused();
    RefusedMemory::stop();
  }
  for (auto& one : worked) {
    for (const auto& what : one.wrong) ADD_FAILURE() << what;
    versions_.insert(one.versions.begin(), one.versions.end());
    std::printf("%llu calls, %llu of them refused\n", static_cast<unsigned long long>(one.calls),
                static_cast<unsigned long long>(one.refused));
    EXPECT_GT(one.refused, 0U);
  }
  std::printf("%llu allocations refused\n", static_cast<unsigned long long>(refused));
  EXPECT_EQ(bad_events.load(), 0);
  EXPECT_FALSE(store.stats().read_only);
  expect_versions(family);
  auto client = ControlClient::connect(directory.path());
  ASSERT_TRUE(client.has_value()) << client.error().to_string();
  EXPECT_TRUE(client->sync().has_value());
  EXPECT_TRUE(store.close().has_value());
  opened->reset();
  expect_whole(directory.path());
}

std::string name_of(const ::testing::TestParamInfo<IoChoice>& tested) {
  return tested.param == IoChoice::kUring ? "Uring" : "Sync";
}
INSTANTIATE_TEST_SUITE_P(Each, RefusedMemoryOn, ::testing::Values(IoChoice::kUring, IoChoice::kSync),
                         name_of);
INSTANTIATE_TEST_SUITE_P(Each, RefusedAtRandom, ::testing::Values(IoChoice::kUring, IoChoice::kSync),
                         name_of);

}  // namespace
}  // namespace vectolith::testing
