/// @file
/// Defects that the crash campaign found in the engine, each as the shortest story that shows it.
#include <algorithm>
#include <string>

#include "sim_store.h"

namespace vectolith::testing::sim {
namespace {

using CampaignFindings = SimStoreTest;

// Story (seed 1123): numbers are reserved for all rows of a batch, also for those that turn out to exist.
// After a close the next writer reserved from a lower number, and was refused: no put ever worked again.
TEST_F(CampaignFindings, ReservesNoFewerSequencesThanBefore) {
  open();
  for (std::uint64_t key = 0; key < 10; ++key) put(key);
  close();
  open();
  ASSERT_TRUE(put_batch(0, 10).has_value());  // Nothing new: reserves ten, uses none.
  close();
  open();
  put(100);
  EXPECT_TRUE(holds(100));
}

// Story (seed 1045): a process puts a row kBuffered and is killed. The next one finds the row, and its sync
// returned at once, as if there were nothing to do. Power goes, and the row with it.
TEST_F(CampaignFindings, SyncCoversTheRowsOfADeadProcess) {
  open();
  put(1);
  kill();
  open();
  ASSERT_TRUE(holds(1));
  ASSERT_TRUE(store_->sync().has_value());
  cut_power();
  open();
  EXPECT_TRUE(holds(1));
}

// Story (seed 1070): killed, recovered and frozen, then power goes before the background has synced the
// segment. The rows that power took were reported as damage, and a batch came back in part (seed 1311).
TEST_F(CampaignFindings, RowsThatPowerTakesFromAFrozenSegmentAreNoDamageAndABatchStaysWhole) {
  for (std::uint64_t round = 0; round < 40; ++round) {
    disk_ = SimDisk();
    open();
    put(1, Durability::kDurable);
    ASSERT_TRUE(put_batch(10, 30).has_value());
    kill();
    open();
    for (std::uint64_t key = 10; key < 40; ++key) ASSERT_TRUE(holds(key));
    cut_power();
    events_.clear();
    open();
    EXPECT_EQ(std::ranges::count(events_, Event::Kind::kCorruption), 0);
    EXPECT_TRUE(holds(1));
    const bool first = holds(10);
    for (std::uint64_t key = 11; key < 40; ++key)
      ASSERT_EQ(holds(key), first) << "key " << key << ", round " << round;
    kill();
  }
}

// Story (seed 5254): a barrier of the manifest fails and the process ends. The page cache goes on showing the
// frame, the next process appends behind it, power goes: a hole in the manifest, and the store is refused.
TEST_F(CampaignFindings, ManifestFramesThatAFailedBarrierLostAreWrittenAgain) {
  for (int round = 0; round < 20; ++round) {
    disk_ = SimDisk();
    open();
    put(1, Durability::kDurable);
    fail_syncs_of("MANIFEST-0");
    EXPECT_FALSE(store_->intern_scope("tenant").has_value());
    kill();
    open();
    put(2, Durability::kDurable);
    cut_power();
    open();
    EXPECT_TRUE(holds(1));
    EXPECT_TRUE(holds(2));
    kill();
  }
}

// Story (seed 1002): a barrier of a segment fails and the process dies before the rows are saved elsewhere.
// The next one sees them in the page cache, and its barrier, over clean pages, succeeds without writing them.
TEST_F(CampaignFindings, RowsThatAFailedBarrierLostAreWrittenAgain) {
  for (const bool by_sync : {true, false}) {
    disk_ = SimDisk();
    open();
    put(1);
    process_->decide = [](const Call& call) {
      if (call.kind == CallKind::kDataSync) return Outcome{.error = EIO};
      return Outcome{.dies = call.kind == CallKind::kOpen};  // The rescue's new segment.
    };
    EXPECT_FALSE(store_->sync().has_value());
    bury();
    open();
    ASSERT_TRUE(holds(1));
    if (by_sync) {
      ASSERT_TRUE(store_->sync().has_value());
    } else {
      rest();  // The background seals the segment.
    }
    cut_power();
    open();
    EXPECT_TRUE(holds(1)) << (by_sync ? "after a sync" : "after a seal");
    kill();
  }
}

// Story (seed 1036): the disk is full when the process is killed. Recovery wants a fresh journal, gets no
// space, and the store cannot be opened at all: not to read, not to free space.
TEST_F(CampaignFindings, OpensOnAFullDiskAfterAKill) {
  open();
  put(1, Durability::kDurable);
  put(2, Durability::kDurable);
  ASSERT_TRUE(model_.vectors->erase(sim_key(2), Durability::kDurable).has_value());
  kill();
  disk_.set_capacity(disk_.used_bytes());
  open();
  EXPECT_TRUE(holds(1));
  EXPECT_FALSE(holds(2));
  ASSERT_TRUE(model_.vectors->erase(sim_key(1), Durability::kDurable).has_value());
  cut_power();
  open();
  EXPECT_FALSE(holds(1));
  EXPECT_FALSE(holds(2));
}

// Story (seed 100292): a barrier fails, and so does the attempt to save the rows elsewhere. The store turned
// read-only, and sync said that all was well.
TEST_F(CampaignFindings, SyncOfAStoreThatCouldNotSaveItsRowsIsAnError) {
  open();
  put(1);
  process_->decide = [](const Call& call) {
    const bool fails = call.kind == CallKind::kDataSync || call.kind == CallKind::kPreallocate;
    return Outcome{.error = fails ? EIO : 0};
  };
  EXPECT_FALSE(store_->sync().has_value());
  process_->decide = nullptr;
  EXPECT_FALSE(store_->sync().has_value());
}

// Story (seed 100678): a write fails, and the rows of the segment are being copied to another one, each by
// itself, when power goes. A batch of which a part had been copied came back in part.
TEST_F(CampaignFindings, ABatchStaysWholeWhenPowerGoesDuringARescue) {
  for (std::uint64_t writes = 0; writes < 40; ++writes) {
    disk_ = SimDisk();
    open();
    ASSERT_TRUE(put_batch(10, 15).has_value());
    std::uint64_t seen = 0;
    process_->decide = [&](const Call& call) {
      if (call.kind != CallKind::kWrite || !call.name.ends_with(".vls")) return Outcome{};
      ++seen;
      return Outcome{.error = seen == 1 ? EIO : 0, .dies = seen == writes + 2};
    };
    (void)try_put(1);
    cut_power();
    open();
    const bool first = holds(10);
    for (std::uint64_t key = 11; key < 25; ++key)
      ASSERT_EQ(holds(key), first) << "key " << key << ", write " << writes;
    kill();
  }
}

// Story (seed 105559): the write of a watermark fails, which nobody minds; but after a clean close the next
// open took the hole it left for a damaged erase.
TEST_F(CampaignFindings, AWatermarkThatCouldNotBeWrittenIsNoDamageLater) {
  open();
  put(1);
  process_->decide = [](const Call& call) {
    const bool journal = call.kind == CallKind::kWrite && call.name.ends_with(".vlj");
    return Outcome{.error = journal ? EIO : 0};
  };
  ASSERT_TRUE(store_->sync().has_value());
  process_->decide = nullptr;
  close();
  events_.clear();
  open();
  EXPECT_EQ(std::ranges::count(events_, Event::Kind::kCorruption), 0);
}

// Story (seed 2648): the creator dies before the name of its store is durable. The next process adds a file,
// power goes, and takes the name but not the file: a store that lost its superblock.
TEST_F(CampaignFindings, AStoreWhoseCreatorDiedKeepsItsNameWhenFilesAreAdded) {
  for (int round = 0; round < 20; ++round) {
    disk_ = SimDisk();
    start_process();
    bool is_named = false;
    process_->decide = [&](const Call& call) {
      is_named = is_named || call.kind == CallKind::kRename;
      return Outcome{.dies = is_named && call.kind == CallKind::kDirectorySync};
    };
    EXPECT_FALSE(Store::open(kPath, options()).has_value());
    bury();
    start_process();
    process_->decide = [](const Call& call) {
      return Outcome{.dies = call.kind == CallKind::kDataSync && call.name.ends_with(".vlj")};
    };
    EXPECT_FALSE(Store::open(kPath, options()).has_value());
    process_->die();
    cut_power();
    open();
    put(1);
    kill();
  }
}

}  // namespace
}  // namespace vectolith::testing::sim
