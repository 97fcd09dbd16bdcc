/// @file
/// Group commit: takes what is queued, gives it rows and sequences, writes, syncs, publishes.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <memory_resource>
#include <mutex>
#include <utility>
#include <vector>

#include <vectolith/format/manifest.h>

#include "log/journal_file.h"
#include "store/commit_plan.h"
#include "store/commit_queue.h"
#include "store/planned_changes.h"
#include "store/segment_factory.h"
#include "store/store_context.h"

namespace vectolith::engine {

/// A segment that will take no more rows and waits for its footer.
struct SealJob {
  std::shared_ptr<FamilyState> family;
  std::shared_ptr<MappedSegment> segment;
};
/// Jobs with what their wait takes, so that handing them on cannot fail for memory.
using SealJobs = std::list<SealJob>;

/// Turns queued writes into durable rows. One commit runs at a time; whoever waits for a write runs
/// it if nobody does (`step` needs no thread of its own), so one thread can simulate all.
///
/// Order in a commit: rows and sequences are given in queue order; the writes complete; the rows
/// become visible and kBuffered writes are acknowledged; the barriers complete; kDurable ones are.
/// Memory is taken while a write is planned, and a write for which there is none is refused then: from the
/// submission on nothing fails for memory, and whoever waits is answered.
class Committer {
 public:
  Committer(StoreContext& context, SegmentFactory& factory)
      : context_(context),
        factory_(factory),
        group_(&context.heap),
        runs_(&context.heap),
        changes_(context.heap),
        operations_(&context.heap),
        journal_rows_(&context.heap),
        journal_buffers_(&context.heap) {
    group_.reserve(kGroupWritesMin);
    journal_buffers_.reserve(1);
  }

  /// Takes over what open prepared. `on_work` is told when a seal or a prepared segment is wanted.
  Result<void> start(Sequence reserved_until, std::unique_ptr<JournalFile> journal,
                     std::uint64_t next_journal_id, std::function<void()> on_work);

  /// Queues a write. Threads: any.
  void submit(PendingWrite& write) noexcept { queue_.push(write); }
  /// Returns when the write is done, leading commits as needed.
  void wait(PendingWrite& write) noexcept;
  /// Runs one commit over what is queued; false if nothing was.
  bool step() noexcept;
  [[nodiscard]] std::size_t queued() const { return queue_.size(); }

  /// Holds the lock under which rows are placed and published, and which guards what is marked
  /// [committer]. Its end wakes a write that came meanwhile and found nobody to lead it.
  class Lock {
   public:
    explicit Lock(Committer& committer) : committer_(committer) { committer_.commit_mutex_.lock(); }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;
    ~Lock() {
      committer_.commit_mutex_.unlock();
      committer_.queue_.wake_next();
    }

   private:
    Committer& committer_;
  };
  /// Number of the last commit; everything up to `durable_commit` is on the medium.
  [[nodiscard]] std::uint64_t last_commit() const noexcept {
    return last_commit_.load(std::memory_order_acquire);
  }
  [[nodiscard]] std::uint64_t durable_commit() const noexcept {
    return durable_commit_.load(std::memory_order_acquire);
  }
  /// Set once, at open; a store opened read-only has no more of this committer than that.
  void set_next_sequence(Sequence next) noexcept { next_sequence_.store(next.value); }
  /// The sequence that the next row gets.
  [[nodiscard]] Sequence next_sequence() const noexcept {
    return Sequence(next_sequence_.load(std::memory_order_acquire));
  }

  /// Takes the segments that wait for their footer. Threads: any.
  SealJobs take_seal_jobs() noexcept;
  void queue_seal(SealJobs jobs) noexcept;
  /// Takes back what could not be done yet, without a call for somebody to do it.
  void defer_seal(SealJobs jobs) noexcept;
  /// Takes over a segment that recovery froze: it is to be sealed, and the next sync covers its rows.
  /// Before `start`.
  void inherit(SealJob job);
  /// A seal made the segment durable. Needs the commit lock.
  void note_durable(const std::shared_ptr<MappedSegment>& segment) noexcept;
  /// Refuses every later put and erase with kClosed; syncs still run. Needs the commit lock.
  void shut() noexcept { shut_ = true; }
  /// Closes the journal and the queue, and so releases their locks; syncs are refused, too. After `shut`.
  /// Needs the commit lock.
  void close_files() noexcept {
    io_.reset();
    journal_.reset();
  }
  /// True from `close_files` on. Needs the commit lock.
  [[nodiscard]] bool files_closed() const noexcept { return journal_ == nullptr; }
  /// Copies the rows of a segment whose sync failed, and that are acknowledged, into a new one; the
  /// old one is frozen at its durable rows. Needs the commit lock.
  /// Errors: the store is then read-only and the rows that could not be saved are counted as lost.
  Result<void> rescue(const std::shared_ptr<MappedSegment>& segment, const Error& cause) noexcept;
  /// Writes watermark rows for segments that became durable since the last witness. Needs the commit lock.
  void write_witness() noexcept;
  [[nodiscard]] JournalFile& journal() noexcept { return *journal_; }
  /// Forgets everything about a family that was dropped. Needs the commit lock.
  void forget_family(const FamilyState& family) noexcept;

 private:
  /// The number of writes that a commit takes on, however little memory there is.
  static constexpr std::size_t kGroupWritesMin = 64;

  void commit_group() noexcept;
  void refuse_group() noexcept;
  /// Takes a failed segment out of use: no rows, syncs or seal for it any more.
  void leave_segment(FamilyState& family, const std::shared_ptr<MappedSegment>& segment) noexcept;
  /// Copies the acknowledged rows behind the durable ones. `lost` is why the last one could not be copied.
  Result<void> save_rows(FamilyState& family, const std::shared_ptr<MappedSegment>& segment,
                         std::optional<Error>& lost);
  void lose_row(FamilyState& family, MappedSegment& segment, std::uint32_t row, const Error& error) noexcept;
  Result<void> start_plan(std::size_t rows);
  Result<void> reserve_sequences(std::size_t count);
  /// Takes the memory for one more run or barrier, up to its completion.
  void reserve_operations();
  void plan(PendingWrite& write) noexcept;
  Result<void> plan_put(PendingWrite& write);
  Result<void> plan_erase(PendingWrite& write);
  Result<void> plan_sync();
  Result<void> existing_row(PendingWrite& write, std::uint32_t item, Location at);
  /// Index slots for rows that are going to be put, so that publishing them cannot fail.
  Result<void> reserve_slots(const PendingWrite& write, std::span<const std::uint32_t> items);
  static void release_slots(const PendingWrite& write, std::span<const std::uint32_t> items) noexcept;
  void place_vectors(PendingWrite& write, std::span<const std::uint32_t> items, std::size_t run) noexcept;
  void place_record(PendingWrite& write, std::size_t run) noexcept;
  void note_filled(FamilyState& family, const CommitRun& run) noexcept;
  /// The run that takes the next rows of the family, with room for `units` more, `items` of them vectors.
  Result<std::size_t> run_for(FamilyState& family, std::uint32_t units, std::size_t items);
  Result<void> roll_segment(FamilyState& family, std::uint32_t rows);
  Result<std::shared_ptr<MappedSegment>> next_segment(FamilyState& family, std::uint32_t rows);
  Result<void> ensure_journal_row();
  /// By value: its memory is taken where the caller may have it from.
  Result<void> want_sync(std::shared_ptr<MappedSegment> segment);

  void submit_operations() noexcept;
  void await_writes() noexcept;
  void await_syncs() noexcept;
  void publish() noexcept;
  void publish_put(const PlannedChange& change, MappedSegment& segment) noexcept;
  void publish_erase(const PlannedChange& change) noexcept;
  void finish(bool durable) noexcept;
  void finish_syncs() noexcept;
  /// Raises durable_commit_ if no row or death waits for a barrier.
  void note_all_durable() noexcept;
  Result<void> commit_large_batch(PendingWrite& write, std::span<const std::uint32_t> items);
  Result<void> write_large_chunk(PendingWrite& write, std::span<const std::uint32_t> items,
                                 MappedSegment& segment);
  void publish_large_chunk(PendingWrite& write, std::span<const std::uint32_t> items,
                           const std::shared_ptr<MappedSegment>& segment) noexcept;
  format::MetaRow make_meta(const PendingWrite& write, std::uint32_t item, const MappedSegment& segment,
                            std::uint32_t row, Sequence sequence, std::uint16_t lag) const;

  StoreContext& context_;
  SegmentFactory& factory_;
  CommitQueue queue_;
  std::mutex commit_mutex_;
  std::function<void()> on_work_;

  // All below: [commit_mutex_], unless atomic.
  std::unique_ptr<IoQueue> io_;
  std::unique_ptr<JournalFile> journal_;
  std::uint64_t next_journal_id_ = 1;
  std::atomic<std::uint64_t> next_sequence_{1};
  std::uint64_t reserved_until_ = 1;
  std::atomic<std::uint64_t> last_commit_{0};
  std::atomic<std::uint64_t> durable_commit_{0};
  bool shut_ = false;
  std::vector<std::shared_ptr<MappedSegment>> dirty_;      ///< Have rows that no barrier covered.
  std::vector<std::shared_ptr<MappedSegment>> witnessed_;  ///< Became durable since the last witness.

  // Scratch of the commit that runs.
  std::pmr::vector<PendingWrite*> group_;
  std::pmr::vector<CommitRun> runs_;
  PlannedChanges changes_;
  std::vector<std::shared_ptr<MappedSegment>>
      extra_syncs_;  ///< Segments without new rows that need a barrier.
  SealJobs rolled_;  ///< Left for a new segment in this commit; may hold rows of it.
  std::pmr::vector<IoOperation> operations_;
  std::pmr::vector<format::JournalRow> journal_rows_;
  std::pmr::vector<IoOperation::Buffer> journal_buffers_;
  std::uint32_t journal_first_row_ = 0;
  bool journal_sync_ = false;
  std::size_t journal_operation_ = 0;
  std::optional<Error> journal_error_;
  std::vector<std::pair<std::shared_ptr<MappedSegment>, Error>> failed_;  ///< By a write or a barrier.
  std::optional<Error> rescue_error_;

  std::mutex seal_mutex_;
  SealJobs seal_jobs_;  ///< [seal_mutex_]
};

}  // namespace vectolith::engine
