/// @file
/// The group commit's loop: leadership, I/O in order, acknowledgement.
#include "store/committer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "no_memory.h"
#include "planted_bug.h"

namespace vectolith::engine {
namespace {

constexpr std::size_t kGroupRowsMax = 16'384;
constexpr std::uint32_t kQueueDepth = 64;
constexpr std::uint64_t kSequenceBlock = std::uint64_t{1} << 24;
constexpr std::uint64_t kSmallCommitBytes = 256ULL * 1'024;

}  // namespace

Result<void> Committer::start(Sequence reserved_until, std::unique_ptr<JournalFile> journal,
                              std::uint64_t next_journal_id, std::function<void()> on_work) {
  VECTOLITH_TRY_ASSIGN(io_, context_.environment->make_queue(kQueueDepth));
  reserved_until_ = reserved_until.value;
  journal_ = std::move(journal);
  next_journal_id_ = next_journal_id;
  on_work_ = std::move(on_work);
  return {};
}

void Committer::wait(PendingWrite& write) noexcept {
  while (write.state.load(std::memory_order_acquire) != PendingWrite::kDone) {
    // Who does not get the lock sleeps: its holder hands on after the unlock, and sees this write then.
    if (commit_mutex_.try_lock()) {
      {
        const std::unique_lock lock(commit_mutex_, std::adopt_lock);
        group_.clear();
        queue_.take(group_, kGroupRowsMax);
        if (!group_.empty()) commit_group();
      }
      queue_.wake_next();
    }
    int seen = write.state.load(std::memory_order_acquire);
    if (seen == PendingWrite::kQueued) write.state.wait(PendingWrite::kQueued, std::memory_order_acquire);
    seen = PendingWrite::kMayLead;
    write.state.compare_exchange_strong(seen, PendingWrite::kQueued, std::memory_order_acq_rel);
  }
}

bool Committer::step() noexcept {
  bool worked = false;
  {
    const std::lock_guard lock(commit_mutex_);
    group_.clear();
    queue_.take(group_, kGroupRowsMax);
    worked = !group_.empty();
    if (worked) commit_group();
  }
  queue_.wake_next();
  return worked;
}

void Committer::refuse_group() noexcept {
  for (auto*& write : group_) {
    write->error = Error(ErrorCode::kClosed, "the store is closed");
    complete(*std::exchange(write, nullptr));
  }
}

void Committer::commit_group() noexcept {
  if (files_closed()) return refuse_group();
  runs_.clear();
  changes_.clear();
  extra_syncs_.clear();
  operations_.clear();
  journal_rows_.clear();
  journal_error_.reset();
  rescue_error_.reset();
  journal_sync_ = false;
  last_commit_.fetch_add(1, std::memory_order_acq_rel);

  std::size_t rows = 0;
  for (const auto* write : group_) rows += write->rows.size();
  const auto started = shut_ ? Result<void>(fail(ErrorCode::kClosed, "the store is closed"))
                             : catch_no_memory([&] { return start_plan(rows); });
  for (auto* write : group_) {
    write->commit = last_commit();
    if (!started && write->kind != PendingWrite::Kind::kSync) {
      write->error = started.error();
    } else {
      plan(*write);
    }
  }
  submit_operations();
  if (is_planted(PlantedBug::kAcknowledgeBeforeCompletion)) {
    for (auto* write : group_) write->state.store(PendingWrite::kDone);
  }
  const bool publishes_early = is_planted(PlantedBug::kPublishBeforeCompletion);
  if (publishes_early) publish();
  await_writes();
  if (!publishes_early) publish();
  finish(false);
  await_syncs();
  finish_syncs();
  finish(true);
  // Not before: whoever seals takes rows() for final, and this commit's rows count only once they are
  // published.
  queue_seal(std::exchange(rolled_, {}));
  add(context_.counters.commits);
  add(context_.counters.commit_rows, rows);
}

Result<void> Committer::start_plan(std::size_t rows) {
  // A group of one write cannot meet a key twice: a batch's keys are distinct.
  changes_.reserve(rows, group_.size() > 1);
  return reserve_sequences(rows);
}

void Committer::reserve_operations() {
  const std::size_t files = runs_.size() + extra_syncs_.size() + 1;
  const std::size_t operations = kOperationsPerRun * files + 2;  // Two for the journal.
  operations_.reserve(operations);
  io_->reserve(operations);
  failed_.reserve(files);
  dirty_.reserve(dirty_.size() + files);
  witnessed_.reserve(witnessed_.size() + files);
}

Result<void> Committer::reserve_sequences(std::size_t count) {
  const std::uint64_t next = next_sequence_.load(std::memory_order_relaxed);
  if (next + count <= reserved_until_ || is_planted(PlantedBug::kSequencesNotReserved)) return {};
  // An earlier block may reach further: numbers are reserved for rows that then turn out to exist.
  const auto reserved =
      context_.manifest.read([](const ManifestState& state) { return state.sequences_until(); });
  const std::uint64_t until = std::max(next + count + kSequenceBlock, reserved.value);
  if (until > kSequenceMax) return fail(ErrorCode::kLimit, "the store's 2^48 sequences are used up");
  const std::array<format::Edit, 1> edits = {format::ReserveSequences{Sequence(until)}};
  VECTOLITH_TRY(context_.manifest.commit(edits));
  reserved_until_ = until;
  return {};
}

void Committer::submit_operations() noexcept {
  for (auto& run : runs_) {
    const std::uint64_t bytes = std::uint64_t{run.next_row - run.first_row} * run.segment->header().row_bytes;
    // Worth a write of its own where commits are small; where large ones stream in, each block is written
    // once.
    if (run.needs_sync && bytes < kSmallCommitBytes) run.segment->write_ahead(run.next_row);
    append_operations(run, operations_);
  }
  journal_operation_ = operations_.size();
  journal_buffers_.clear();
  if (!journal_rows_.empty()) {
    append_buffer(journal_buffers_, std::as_bytes(std::span(journal_rows_)));
    IoOperation write;
    write.kind = IoOperation::Kind::kWrite;
    write.file = &journal_->file();
    write.offset =
        format::kJournalHeaderBytes + std::uint64_t{journal_first_row_} * sizeof(format::JournalRow);
    write.buffers = journal_buffers_;
    write.linked = journal_sync_;
    operations_.push_back(write);
  }
  const auto add_sync = [&](File& file) {
    IoOperation sync;
    sync.kind = IoOperation::Kind::kDataSync;
    sync.file = &file;
    operations_.push_back(sync);
  };
  if (journal_sync_) add_sync(journal_->file());
  for (const auto& segment : extra_syncs_) add_sync(segment->file());
  if (operations_.empty()) return;
  if (is_planted(PlantedBug::kAcknowledgeWithoutSync)) {
    for (auto& operation : operations_)
      operation.kind = IoOperation::Kind::kWrite;  // A barrier becomes nothing.
  }
  // A broken queue marks every operation done with an error: await_writes and await_syncs see it there.
  (void)io_->submit(operations_);
}

void Committer::await_writes() noexcept {
  for (auto& operation : operations_) {
    if (operation.kind == IoOperation::Kind::kWrite) (void)io_->wait(operation);
  }
  for (auto& run : runs_) {
    for (std::size_t i = 0; i < run.write_operations && !run.error; ++i) {
      const auto& operation = operations_[run.first_operation + i];
      // Under a hard link one looks at the last result alone.
      const bool is_seen = !run.needs_sync || !is_planted(PlantedBug::kHardLinkInsteadOfLink);
      if (operation.error != 0 && is_seen) run.error = operation_error(operation);
    }
  }
  if (!journal_rows_.empty() && operations_[journal_operation_].error != 0) {
    journal_error_ = operation_error(operations_[journal_operation_]);
  }
}

void Committer::await_syncs() noexcept {
  for (auto& operation : operations_) {
    if (operation.kind == IoOperation::Kind::kDataSync) (void)io_->wait(operation);
  }
}

void Committer::finish_syncs() noexcept {
  failed_.clear();
  const auto settle = [&](const std::shared_ptr<MappedSegment>& segment, std::uint32_t rows,
                          const IoOperation& sync) {
    const bool retried = is_planted(PlantedBug::kRetryFailedSync) && segment->file().data_sync().has_value();
    if (sync.error != 0 && !retried) {
      failed_.emplace_back(segment, operation_error(sync));
      return;
    }
    segment->set_rows_durable(rows);
    std::erase(dirty_, segment);
    if (std::ranges::find(witnessed_, segment) == witnessed_.end()) witnessed_.push_back(segment);
  };
  for (auto& run : runs_) {
    if (run.error || !run.needs_sync) continue;
    settle(run.segment, run.next_row, operations_[run.first_operation + run.write_operations]);
  }
  std::size_t next = journal_operation_ + (journal_rows_.empty() ? 0 : 1);
  if (journal_sync_) {
    const auto& sync = operations_[next++];
    if (sync.error == 0) {
      journal_->set_rows_durable(journal_->next_row());
    } else if (!journal_error_) {
      journal_error_ = operation_error(sync);
    }
  }
  for (const auto& segment : extra_syncs_) settle(segment, segment->rows(), operations_[next++]);
  // A journal that failed cannot be trusted with deaths any more, and deaths have no other place.
  if (journal_error_) context_.fail_store(*journal_error_);
  for (auto& run : runs_) {
    if (run.error) failed_.emplace_back(run.segment, *run.error);
  }
  for (const auto& [segment, error] : failed_) {
    if (auto rescued = rescue(segment, error); !rescued) rescue_error_ = std::move(rescued).error();
  }
  failed_.clear();
  note_all_durable();
}

void Committer::note_all_durable() noexcept {
  // Of a store that failed, some rows were acknowledged, are in no list any more, and are not durable.
  if (!dirty_.empty() || journal_->is_dirty() || context_.is_read_only()) return;
  durable_commit_.store(last_commit(), std::memory_order_release);
}

void Committer::finish(bool durable) noexcept {
  for (auto*& write : group_) {
    if (write == nullptr) continue;
    for (std::size_t i = 0; i < runs_.size() && !write->error; ++i) {
      if ((write->runs & run_bit(i)) != 0) write->error = runs_[i].error;
    }
    if (write->kind != PendingWrite::Kind::kPut && journal_error_ && !write->error)
      write->error = journal_error_;
    const bool waits_for_barrier = write->level == Durability::kDurable && !write->error;
    if (waits_for_barrier && !durable) continue;
    // Rows that could not be saved may be anybody's: no write of this group is called durable.
    if (durable && rescue_error_ && !write->error) write->error = rescue_error_;
    complete(*std::exchange(write, nullptr));
  }
}

SealJobs Committer::take_seal_jobs() noexcept {
  const std::lock_guard lock(seal_mutex_);
  return std::exchange(seal_jobs_, {});
}

void Committer::queue_seal(SealJobs jobs) noexcept {
  if (jobs.empty()) return;
  defer_seal(std::move(jobs));
  if (on_work_) on_work_();
}

void Committer::defer_seal(SealJobs jobs) noexcept {
  const std::lock_guard lock(seal_mutex_);
  seal_jobs_.splice(seal_jobs_.end(), jobs);
}

void Committer::inherit(SealJob job) {
  if (job.segment->is_inherited) {
    dirty_.push_back(job.segment);
    last_commit_.store(1, std::memory_order_release);  // It stands for the dead process's commits.
  }
  SealJobs jobs;
  jobs.push_back(std::move(job));
  queue_seal(std::move(jobs));
}

void Committer::note_durable(const std::shared_ptr<MappedSegment>& segment) noexcept {
  std::erase(dirty_, segment);
  note_all_durable();
}

void Committer::forget_family(const FamilyState& family) noexcept {
  const auto belongs = [&](const std::shared_ptr<MappedSegment>& segment) {
    return segment->header().family_id == family.id;
  };
  std::erase_if(dirty_, belongs);
  std::erase_if(witnessed_, belongs);
  const std::lock_guard lock(seal_mutex_);
  std::erase_if(seal_jobs_, [&](const SealJob& job) { return job.family->id == family.id; });
}

void Committer::write_witness() noexcept {
  constexpr std::uint32_t kJournalReserveRows = 4'096;
  if (shut_ || files_closed()) return;  // A clean close has said how many rows the journal holds.
  for (const auto& segment : witnessed_) {
    if (journal_->rows_free() <= kJournalReserveRows) break;
    auto row = format::JournalRow::watermark(segment->id(), segment->rows_durable(), next_sequence(),
                                             context_.manifest.version());
    const auto offset = journal_->place(row);
    // A witness helps recovery to tell damage from a tail; losing one loses no data, so it has no
    // barrier and no error of its own.
    if (journal_->file().write_at(offset, std::as_bytes(std::span(&row, 1)))) continue;
    journal_->withdraw();
    break;
  }
  witnessed_.clear();
}

}  // namespace vectolith::engine
