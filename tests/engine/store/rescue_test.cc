/// @file
/// Promises after I/O errors: a failed fsync is final for its segment, and acknowledged rows move elsewhere.
#include <atomic>
#include <cerrno>

#include <vectolith/format/file_name.h>
#include <vectolith/store.h>

#include "store_fixture.h"
#include "support/fault_environment.h"

namespace vectolith::testing {
namespace {

class Faulty : public StoreTest {
 protected:
  void open_faulty() {
    faults_ = std::make_shared<FaultEnvironment>(environment_);
    Options with = options();
    with.environment = faults_;
    open(with);
  }
  static bool is_segment(const DiskChange& change) { return change.path.ends_with(".vls"); }
  std::shared_ptr<FaultEnvironment> faults_;
};

TEST_F(Faulty, FsyncOfASegmentIsNotTriedAgainAndItsRowsAreSavedElsewhere) {
  open_faulty();
  auto f = family();
  for (std::uint64_t i = 0; i < 20; ++i) put(f, i);
  const auto before = (**f.get(key_of(0)))->row_id().segment;
  std::atomic<int> failed{0};
  std::string poisoned;
  faults_->decide([&](const DiskChange& change) {
    const bool hit = is_segment(change) && change.kind == DiskChange::Kind::kDataSync &&
                     (poisoned.empty() || change.path == poisoned);
    if (!hit) return Verdict{};
    poisoned = change.path;
    ++failed;
    return Verdict{.error = EIO};
  });
  const auto vector = vector_of(50);
  const auto durable =
      f.put(key_of(50), std::span<const float>(vector), {.durability = Durability::kDurable});
  EXPECT_TRUE(durable.has_value()) << durable.error().to_string();
  EXPECT_EQ(failed.load(), 1) << "no barrier of that segment is ever asked for again";
  for (std::uint64_t i = 0; i < 20; ++i) expect_holds(f, i);
  expect_holds(f, 50);
  EXPECT_NE((**f.get(key_of(0)))->row_id().segment, before);
  const auto stats = store_->stats();
  EXPECT_EQ(stats.segments_poisoned, 1U);
  EXPECT_EQ(stats.rows_lost, 0U);
  EXPECT_FALSE(stats.read_only);
  faults_->decide({});
  close();
  open();
  f = family();
  for (std::uint64_t i = 0; i < 20; ++i) expect_holds(f, i);
  expect_holds(f, 50);
}

// Story: the rescue pointed the index at the copies and did not tell the snapshots, whose reads then found a
// row that they do not hold, and erases left the rows that they do hold.
TEST_F(Faulty, FsyncLeavesSnapshotsWithWhatTheyShowedAndErasesReachThem) {
  open_faulty();
  auto f = family();
  for (std::uint64_t i = 0; i < 4; ++i) put(f, i);
  const auto snapshot = store_->snapshot();
  ASSERT_TRUE(snapshot.has_value());
  faults_->decide([failed = false](const DiskChange& change) mutable {
    const bool hit = is_segment(change) && change.kind == DiskChange::Kind::kDataSync && !failed;
    failed = failed || hit;
    return Verdict{.error = hit ? EIO : 0};
  });
  ASSERT_TRUE(store_->sync().has_value());
  ASSERT_EQ(store_->stats().segments_poisoned, 1U);
  for (std::uint64_t i = 0; i < 4; ++i) {
    const auto then = snapshot->get(f, key_of(i));
    ASSERT_TRUE(then.has_value() && then->has_value()) << i;
    EXPECT_TRUE(same_bytes(***then, vector_of(i)));
  }
  ASSERT_TRUE(f.erase(key_of(2)).has_value());
  EXPECT_FALSE((*snapshot->get(f, key_of(2))).has_value());
  const auto views = snapshot->segments(f);
  ASSERT_EQ(views->size(), 1U);
  EXPECT_EQ(views->front().live_rows, 3U);
}

TEST_F(Faulty, WriteIsAnErrorTheRowIsInvisibleAndTheNextPutGoesElsewhere) {
  open_faulty();
  auto f = family();
  put(f, 1);
  std::atomic<bool> armed{true};
  faults_->decide([&](const DiskChange& change) {
    if (is_segment(change) && change.kind == DiskChange::Kind::kWrite && armed.exchange(false))
      return Verdict{.error = EIO, .bytes_landed = 100};
    return Verdict{};
  });
  const auto vector = vector_of(2);
  const auto refused = f.put(key_of(2), std::span<const float>(vector));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), ErrorCode::kIo);
  EXPECT_EQ(refused.error().system_errno(), EIO);
  expect_missing(f, 2);
  expect_holds(f, 1);
  put(f, 2);
  expect_holds(f, 2);
  close();
  open();
  f = family();
  expect_holds(f, 1);
  expect_holds(f, 2);
}

// Story: a durable put of a key that exists asks for a barrier of its segment; a put of the same group
// then adds a row to that segment. A barrier that does not wait for the row's write would vouch for it.
TEST_F(Faulty, WriteIsNeverVouchedForByABarrierThatItsGroupAskedForEarlier) {
  open_faulty();
  auto f = family();
  auto other = family("other");
  put(f, 1);
  std::atomic<bool> hold{true};
  std::atomic<int> held{0};
  std::string failed_path;
  std::uint64_t failed_at = 0;
  faults_->decide([&](const DiskChange& change) {
    if (!is_segment(change) || change.kind != DiskChange::Kind::kWrite) return Verdict{};
    if (held.fetch_add(1) == 0) {
      // The first write keeps its commit busy until all others are queued behind it, as one group.
      hold.wait(true);
      return Verdict{};
    }
    if (change.path != failed_path) return Verdict{};
    if (failed_at == 0) failed_at = change.number;  // That of blocks written ahead, perhaps.
    return Verdict{.error = EIO};
  });
  failed_path = directory_.file(format::segment_name((**f.get(key_of(1)))->row_id().segment));
  const auto vector = vector_of(9);
  const auto bytes = std::as_bytes(std::span(vector));
  auto first = other.submit_put(key_of(9), bytes);
  auto existing = f.submit_put(key_of(1), bytes, {.durability = Durability::kDurable});
  auto added = f.submit_put(key_of(2), bytes);
  hold.store(false);
  hold.notify_all();
  ASSERT_TRUE(first->wait().has_value());
  EXPECT_TRUE(existing->wait().has_value()) << "its row was saved elsewhere";
  EXPECT_EQ(added->wait().error().code(), ErrorCode::kIo);
  ASSERT_NE(failed_at, 0U);
  for (const auto& change : faults_->history()) {
    const bool vouches = change.kind == DiskChange::Kind::kDataSync && change.path == failed_path;
    EXPECT_FALSE(vouches && change.number > failed_at) << "barrier " << change.number;
  }
  faults_->decide({});
  close();
  open();
  expect_holds(family(), 1);
  expect_missing(family(), 2);
}

TEST_F(Faulty, DiskThatRefusesEverythingTurnsTheStoreReadOnlyWithTheFirstCause) {
  open_faulty();
  auto f = family();
  for (std::uint64_t i = 0; i < 5; ++i) put(f, i);
  faults_->decide([&](const DiskChange&) { return Verdict{.error = EIO}; });
  const auto vector = vector_of(9);
  EXPECT_FALSE(
      f.put(key_of(9), std::span<const float>(vector), {.durability = Durability::kDurable}).has_value());
  const auto later = f.put(key_of(10), std::span<const float>(vector));
  ASSERT_FALSE(later.has_value());
  EXPECT_EQ(later.error().code(), ErrorCode::kReadOnly);
  EXPECT_NE(later.error().to_string().find("a write failed"), std::string::npos);
  for (std::uint64_t i = 0; i < 5; ++i) expect_holds(f, i);
}

TEST_F(Faulty, FullDiskRefusesPutsAndLetsReadsErasesAndCloseGoOn) {
  faults_ = std::make_shared<FaultEnvironment>(environment_);
  Options with = options();
  with.environment = faults_;
  with.segment_bytes_initial = with.segment_bytes_target = 128 << 10;
  open(with);
  auto f = family();
  put(f, 0);
  faults_->decide([&](const DiskChange& change) {
    const bool grows =
        change.kind == DiskChange::Kind::kCreate || change.kind == DiskChange::Kind::kPreallocate;
    return grows ? Verdict{.error = ENOSPC} : Verdict{};
  });
  std::uint64_t stored = 1;
  std::optional<Error> refused;
  while (!refused && stored < 100'000) {
    const auto vector = vector_of(stored);
    auto done = f.put(key_of(stored), std::span<const float>(vector));
    if (!done)
      refused = std::move(done).error();
    else
      ++stored;
  }
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->code(), ErrorCode::kNoSpace) << refused->to_string();
  for (std::uint64_t i = 0; i < stored; ++i) expect_holds(f, i);
  EXPECT_TRUE(f.erase(key_of(0), Durability::kDurable).value_or(EraseResult{}).existed);
  EXPECT_TRUE(store_->sync().has_value());
  EXPECT_FALSE(store_->stats().read_only) << "a full disk is no failure of the store";
  close();
  faults_->decide({});
  open();
  f = family();
  expect_missing(f, 0);
  for (std::uint64_t i = 1; i < stored; ++i) expect_holds(f, i);
  put(f, 0);
}

}  // namespace
}  // namespace vectolith::testing
