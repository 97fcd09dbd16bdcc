/// @file
/// Checks and repairs under refused memory: the right answer or kNoMemory, never a finding that is none.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include <vectolith/format/file_name.h>
#include <vectolith/verify.h>

#include "engine/store/store_fixture.h"
#include "support/random_seed.h"
#include "support/refused_memory.h"

namespace vectolith::testing {
namespace {

class RefusedVerify : public StoreTest {
 protected:
  void SetUp() override {
    open();
    auto f = family();
    for (std::uint64_t key = 0; key < 20; ++key) put(f, key);
    auto records = store_->record_family("r");
    ASSERT_TRUE(records.has_value());
    ASSERT_TRUE(records->put(key_of(1), std::string(500, 'a')).has_value());
    ASSERT_TRUE(f.erase(key_of(3)).has_value());
    close();
    copy_files(directory_.path(), whole_.path());
  }
  ~RefusedVerify() override { RefusedMemory::stop(); }

  /// Refuses each allocation of `call` once, or `runs_max` of them by chance. `check` hears what it answered,
  /// if not kNoMemory.
  template <class Answer>
  void refuse_some(
      std::uint64_t runs_max, const std::function<void()>& prepare,
      const std::function<Result<Answer>()>& call, const std::function<void(const Answer&)>& check,
      const std::function<void()>& afterwards = [] {}) {
    const auto run = [&](std::uint64_t first) {
      prepare();
      RefusedMemory::refuse(first, 1);
      const auto answer = [&] {
        const InsideEngine engine;
        return call();
      }();
      const auto seen = RefusedMemory::seen();
      RefusedMemory::stop();
      if (answer) check(*answer);
      const bool is_refused = !answer && answer.error().code() == ErrorCode::kNoMemory;
      EXPECT_TRUE(answer || is_refused) << answer.error().to_string();
      afterwards();
      return seen;
    };
    const auto allocations = run(RefusedMemory::kForEver);
    std::mt19937_64 random(random_seed());
    const auto runs = std::min(runs_max, allocations);
    for (std::uint64_t i = 0; i < runs && !HasFailure(); ++i)
      run(runs == allocations ? i : random() % allocations);
    std::printf("%llu of %llu allocations\n", static_cast<unsigned long long>(runs),
                static_cast<unsigned long long>(allocations));
    EXPECT_GT(runs, 20U);
  }
  [[nodiscard]] bool is_clean(const std::string& path) const {
    const auto report = fsck(path, {.on_progress = {}, .environment = environment_});
    return report && report->clean() && report->warnings == 0;
  }
  TempDirectory whole_{memory_base()};
};

TEST_F(RefusedVerify, FsckFindsNoDamageWhereThereIsNone) {
  refuse_some<FsckReport>(
      500, [] {}, [&] { return fsck(whole_.path(), {.on_progress = {}, .environment = environment_}); },
      [](const FsckReport& report) { EXPECT_TRUE(report.findings.empty()) << report.findings.front().what; });
}

TEST_F(RefusedVerify, ScrubFindsNoDamageWhereThereIsNone) {
  ScrubOptions options;
  options.environment = environment_;
  refuse_some<ScrubReport>(
      500, [] {}, [&] { return scrub(whole_.path(), options); },
      [](const ScrubReport& report) { EXPECT_TRUE(report.found.findings.empty()); });
}

TEST_F(RefusedVerify, SearchFindsAllTraces) {
  const auto digest = key_of(3).digest;
  std::uint64_t found = 0;
  refuse_some<TraceReport>(
      60, [] {},
      [&] { return find_traces(whole_.path(), digest, {.vector = {}, .environment = environment_}); },
      [&](const TraceReport& report) {
        EXPECT_TRUE(found == 0 || found == report.found);
        found = report.found;
      });
  EXPECT_GT(found, 0U);
}

TEST_F(RefusedVerify, SalvageTakesAllRowsOrSaysThatItDidNot) {
  const TempDirectory parent(memory_base());
  const std::string target = parent.file("target");
  refuse_some<SalvageReport>(
      60, [&] { std::filesystem::remove_all(target); },
      [&] { return salvage(whole_.path(), target, {.family_names = {}, .environment = environment_}); },
      [&](const SalvageReport& report) {
        EXPECT_TRUE(report.is_complete());
        EXPECT_EQ(report.rows, 20U);
      });
}

TEST_F(RefusedVerify, RepairThatWasBegunIsFinishedByTheNext) {
  const TempDirectory broken(memory_base());
  const RepairOptions options{.apply = true, .family_names = {}, .environment = environment_};
  refuse_some<RepairReport>(
      30,
      [&] {
        std::filesystem::remove_all(broken.path());
        std::filesystem::create_directory(broken.path());
        copy_files(whole_.path(), broken.path());
        std::filesystem::remove(broken.file(format::manifest_name(0)));
        std::filesystem::remove(broken.file(std::string(format::kSuperblockName)));
      },
      [&] { return repair(broken.path(), options); },
      [](const RepairReport& report) { EXPECT_TRUE(report.after && report.after->clean()); },
      [&] {
        const auto again = repair(broken.path(), options);
        ASSERT_TRUE(again.has_value()) << again.error().to_string();
        EXPECT_TRUE(is_clean(broken.path()));
      });
}

}  // namespace
}  // namespace vectolith::testing
