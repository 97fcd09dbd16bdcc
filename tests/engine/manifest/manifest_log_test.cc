/// @file
/// The manifest's two files against a model state: commits, switches, reopening, full disks, failures.
#include "manifest/manifest_log.h"

#include <cerrno>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <vectolith/format/file_name.h>

#include "manifest/manifest_file.h"
#include "support/fault_environment.h"
#include "support/manifest_edits.h"
#include "support/random_seed.h"
#include "support/temp_directory.h"

namespace vectolith::engine {
namespace {

using namespace std::chrono_literals;
using namespace format;
using testing::DiskChange;
using testing::fat_edit;
using testing::FaultEnvironment;
using testing::random_edit;
using testing::TempDirectory;
using testing::test_uuid;
using testing::Verdict;

const Uuid kStore = test_uuid(1);

std::vector<Edit> initial_edits() {
  return {ReserveSequences{Sequence(1'000'000)}, AddJournal{JournalId(1), test_uuid(2), 65'536}};
}

/// A manifest in a temporary directory behind a FaultEnvironment.
class ManifestLogTest : public ::testing::Test {
 protected:
  void SetUp() override { directory_ = *environment_.open_directory(temp_.path(), false); }
  Result<std::unique_ptr<ManifestLog>> create() {
    return ManifestLog::create(environment_, *directory_, kStore, initial_edits());
  }
  Result<std::unique_ptr<ManifestLog>> open(bool read_only = false) {
    return ManifestLog::open(environment_, *directory_, kStore, read_only, 0ms);
  }
  std::string manifest(int index) const { return temp_.file(manifest_name(index)); }

  TempDirectory temp_;
  FaultEnvironment environment_{testing::test_environment()};
  std::unique_ptr<Directory> directory_;
};

/// Commits frames of random edits to log and model alike.
void commit_random(ManifestLog& log, ManifestState& model, std::mt19937_64& random) {
  std::vector<Edit> edits;
  for (std::uint64_t i = 0, n = 1 + random() % 4; i < n; ++i) {
    edits.push_back(random_edit(model, random));
    ASSERT_TRUE(model.apply(edits.back()).has_value());
  }
  const auto committed = log.commit(edits, random() % 3 == 0);
  ASSERT_TRUE(committed.has_value()) << committed.error().to_string();
  ASSERT_EQ(log.state(), model);
}

TEST_F(ManifestLogTest, StartsWithTheEditsOfItsCreation) {
  ManifestState model;
  for (const Edit& edit : initial_edits()) ASSERT_TRUE(model.apply(edit).has_value());
  {
    const auto created = create();
    ASSERT_TRUE(created.has_value()) << created.error().to_string();
    EXPECT_EQ((*created)->state(), model);
    EXPECT_EQ((*created)->version(), ManifestVersion(1));
  }
  const auto opened = open();
  ASSERT_TRUE(opened.has_value()) << opened.error().to_string();
  EXPECT_EQ((*opened)->state(), model);
  EXPECT_EQ((*opened)->version(), ManifestVersion(1));
}

TEST_F(ManifestLogTest, LeavesAnExistingManifestAlone) {
  ASSERT_TRUE(create().has_value());
  const auto before = testing::read_file(manifest(0));
  const auto again = create();
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().code(), ErrorCode::kExists);
  EXPECT_EQ(testing::read_file(manifest(0)), before);
  EXPECT_TRUE(open().has_value());
}

TEST_F(ManifestLogTest, AgreesWithAModelThroughManySwitchesAndReopens) {
  std::mt19937_64 random(testing::random_seed());
  ManifestState model;
  for (const Edit& edit : initial_edits()) ASSERT_TRUE(model.apply(edit).has_value());
  auto log = *create();
  int switches = 0;
  auto last_file = testing::read_file(manifest(1));
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 150; ++i) ASSERT_NO_FATAL_FAILURE(commit_random(*log, model, random));
    const ManifestVersion version = log->version();
    log.reset();
    auto reopened = open();
    ASSERT_TRUE(reopened.has_value()) << reopened.error().to_string();
    log = *std::move(reopened);
    ASSERT_EQ(log->state(), model) << "round " << round;
    ASSERT_EQ(log->version(), version);
    auto file = testing::read_file(manifest(1));
    if (file != last_file) ++switches;
    last_file = std::move(file);
  }
  EXPECT_GT(switches, 2);
}

TEST_F(ManifestLogTest, RefusesAFrameWithOneBadEditWhole) {
  auto log = *create();
  const ManifestState before = log->state();
  const std::vector<Edit> edits = {AddJournal{JournalId(2), test_uuid(3), 65'536},
                                   RemoveSegment{SegmentId(1)}};
  const auto committed = log->commit(edits);
  ASSERT_FALSE(committed.has_value());
  EXPECT_EQ(committed.error().code(), ErrorCode::kCorruption);
  EXPECT_EQ(log->state(), before);
  EXPECT_TRUE(log->commit(std::span(edits).first(1)).has_value()) << "the first edit left no trace";
}

TEST_F(ManifestLogTest, IsOwnedByOneWriterAndReadByMany) {
  auto log = *create();
  const auto second = open();
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code(), ErrorCode::kLocked);
  EXPECT_NE(second.error().message().find("a write of a dead process may still be in flight"),
            std::string::npos);
  auto reader = open(true);
  ASSERT_TRUE(reader.has_value());
  EXPECT_EQ((*reader)->state(), log->state());
  const auto refused = (*reader)->commit(std::vector<Edit>{ReserveSequences{Sequence(2'000'000)}});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), ErrorCode::kReadOnly);
}

TEST_F(ManifestLogTest, WaitsForALockThatIsReleasedInTime) {
  ASSERT_TRUE(create().has_value());
  auto held = *directory_->open(manifest_name(0), OpenMode::kReadWrite);
  ASSERT_TRUE(*held->try_lock(LockMode::kExclusive));
  int steps = 0;
  // The holder lets go after a few steps of its own; whether the opener came first makes no difference.
  auto releaser = environment_.start_worker("releaser", [&]() -> std::chrono::nanoseconds {
    if (++steps == 3) held.reset();
    return 1ms;
  });
  const auto opened = ManifestLog::open(environment_, *directory_, kStore, false, 60s);
  EXPECT_TRUE(opened.has_value()) << opened.error().to_string();
}

TEST_F(ManifestLogTest, RefusesTheManifestOfAnotherStore) {
  ASSERT_TRUE(create().has_value());
  const auto opened = ManifestLog::open(environment_, *directory_, test_uuid(99), true, 0ms);
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().code(), ErrorCode::kCorruption);
  EXPECT_NE(opened.error().to_string().find("fsck"), std::string::npos);
}

TEST_F(ManifestLogTest, GrowsItsFilesWithTheState) {
  auto log = *create();
  for (std::uint32_t i = 1; i <= 300; ++i)
    ASSERT_TRUE(log->commit(std::vector{fat_edit(i)}).has_value()) << i;
  const ManifestState state = log->state();
  log.reset();
  EXPECT_GT(testing::read_file(manifest(0)).size() + testing::read_file(manifest(1)).size(),
            std::size_t{2} << 20);
  const auto opened = open();
  ASSERT_TRUE(opened.has_value()) << opened.error().to_string();
  EXPECT_EQ((*opened)->state(), state);
}

// Story: the disk fills. Puts need new segments and get a clean error; what is there must still be
// sealed, compacted away and closed, in blocks that the manifest holds already.
TEST_F(ManifestLogTest, SealsAndRemovesEverySegmentOnAFullDisk) {
  auto log = *create();
  ASSERT_TRUE(log->commit(std::vector<Edit>{CreateFamily{FamilyId(1), SegmentKind::kRecord, "r", {}, 65'536}})
                  .has_value());
  environment_.decide([](const DiskChange& change) {
    return change.kind == DiskChange::Kind::kPreallocate ? Verdict{.error = ENOSPC} : Verdict{};
  });
  std::uint64_t added = 0;
  for (Result<void> committed; committed.has_value() && added < 100'000; ++added) {
    const SegmentId id(added + 1);
    const ManifestState before = log->state();
    const ManifestVersion version = log->version();
    committed = log->commit(std::vector<Edit>{AddSegment{id, FamilyId(1), test_uuid(id.value), 65'536}});
    if (committed) continue;
    EXPECT_EQ(committed.error().code(), ErrorCode::kNoSpace);
    EXPECT_EQ(log->state(), before);
    EXPECT_EQ(log->version(), version);
    break;
  }
  ASSERT_GT(added, 500U);
  ASSERT_LT(added, 100'000U);
  for (std::uint64_t i = 1; i <= added; ++i) {
    const auto sealed = log->commit(
        std::vector<Edit>{SealSegment{SegmentId(i), 100, Sequence(i), Sequence(i + 99), {{3, 4}, {7, 9}}}},
        true);
    ASSERT_TRUE(sealed.has_value()) << "seal " << i << ": " << sealed.error().to_string();
  }
  for (std::uint64_t i = 1; i <= added; ++i) {
    const auto removed = log->commit(std::vector<Edit>{RemoveSegment{SegmentId(i)}}, true);
    ASSERT_TRUE(removed.has_value()) << "remove " << i << ": " << removed.error().to_string();
  }
  ASSERT_TRUE(log->commit(std::vector<Edit>{CleanClose{Sequence(5), 0}}, true).has_value());
  const ManifestState state = log->state();
  log.reset();
  environment_.decide({});
  EXPECT_EQ((*open())->state(), state);
}

TEST_F(ManifestLogTest, RepeatsTheFirstFailureOfAWriteOrSyncForEver) {
  for (const auto kind : {DiskChange::Kind::kWrite, DiskChange::Kind::kDataSync}) {
    const TempDirectory temp;
    const auto directory = *environment_.open_directory(temp.path(), false);
    environment_.decide({});
    auto log = *ManifestLog::create(environment_, *directory, kStore, initial_edits());
    bool failed = false;
    environment_.decide([&](const DiskChange& change) {
      if (failed || change.kind != kind) return Verdict{};
      failed = true;
      return Verdict{.error = EIO};
    });
    const ManifestState before = log->state();
    const std::vector<Edit> edits = {ReserveSequences{Sequence(2'000'000)}};
    const auto first = log->commit(edits);
    ASSERT_FALSE(first.has_value());
    EXPECT_EQ(first.error().system_errno(), EIO);
    const std::uint64_t changes = environment_.changes();
    for (int i = 0; i < 3; ++i) {
      const auto later = log->commit(edits, true);
      ASSERT_FALSE(later.has_value());
      EXPECT_EQ(later.error().to_string(), first.error().to_string());
    }
    EXPECT_EQ(environment_.changes(), changes) << "nothing may be written or synced again";
    EXPECT_EQ(log->state(), before);
  }
}

TEST_F(ManifestLogTest, LeavesNothingBehindWhenCreationFails) {
  ASSERT_TRUE(create().has_value());
  const std::uint64_t steps = environment_.changes();
  for (std::uint64_t step = 0; step < steps; ++step) {
    const TempDirectory temp;
    const auto directory = *environment_.open_directory(temp.path(), false);
    environment_.fail_at(environment_.changes() + step, ENOSPC);
    const auto created = ManifestLog::create(environment_, *directory, kStore, initial_edits());
    environment_.decide({});
    ASSERT_FALSE(created.has_value()) << step;
    EXPECT_EQ(created.error().code(), ErrorCode::kNoSpace);
    EXPECT_TRUE(directory->list()->empty()) << step;
  }
}

TEST_F(ManifestLogTest, LetsAReaderFollowALiveWriter) {
  std::mt19937_64 random(testing::random_seed());
  ManifestState model;
  for (const Edit& edit : initial_edits()) ASSERT_TRUE(model.apply(edit).has_value());
  auto log = *create();
  for (int i = 0; i < 400; ++i) {
    ASSERT_NO_FATAL_FAILURE(commit_random(*log, model, random));
    if (i % 10 != 0) continue;
    const auto reader = open(true);
    ASSERT_TRUE(reader.has_value()) << reader.error().to_string();
    ASSERT_EQ((*reader)->state(), model);
    ASSERT_EQ((*reader)->version(), log->version());
  }
}

}  // namespace
}  // namespace vectolith::engine
