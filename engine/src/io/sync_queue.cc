/// @file
/// The queue over plain system calls, for places where io_uring is forbidden.
#include "io/sync_queue.h"

#include <algorithm>
#include <cerrno>

#include "io/os_thread.h"
#include "io/transfer.h"

namespace vectolith::engine {
namespace {

/// Barriers wait for the device, not for a core, so more may run than there are cores.
constexpr std::size_t kSyncThreadsMax = 8;

}  // namespace

void SyncQueue::reserve(std::size_t count) {
  waiting_.reserve(in_flight_ + count);
  running_.reserve(in_flight_ + count);
  syncs_.reserve(in_flight_ + count);
}

SyncQueue::~SyncQueue() {
  while (in_flight_ > 0) run_waiting_syncs();
}

Result<void> SyncQueue::submit(std::span<IoOperation> operations) {
  reserve(operations.size());
  in_flight_ += operations.size();
  for_each_chain(operations, [this](OperationChain chain) { advance(chain); });
  return {};
}

Result<void> SyncQueue::wait(const IoOperation& operation) {
  while (!operation.done) {
    if (in_flight_ == 0)
      return fail(ErrorCode::kInternal, "waiting for an operation that was never submitted");
    run_waiting_syncs();
  }
  return {};
}

std::size_t SyncQueue::poll() {
  const std::size_t before = in_flight_;
  run_waiting_syncs();
  return before - in_flight_;
}

void SyncQueue::advance(OperationChain chain) {
  while (!chain.ended()) {
    if (chain.head().kind == IoOperation::Kind::kDataSync) return waiting_.push_back(chain);
    in_flight_ -= run_head_inline(chain, cells_);
  }
}

void SyncQueue::run_waiting_syncs() {
  running_.swap(waiting_);
  for (const auto& chain : running_) {
    const PosixFile* file = posix_file(chain.head());
    if (std::ranges::find(syncs_, file, &FileSync::file) == syncs_.end())
      syncs_.push_back({.file = file, .error = 0});
  }
  run_side_by_side(syncs_.size(), kSyncThreadsMax, [this](std::size_t i) {
    auto& sync = syncs_[i];
    sync.error = sync.file == nullptr ? EBADF : data_sync_once(sync.file->fd(), cells_);
  });
  for (auto chain : running_) {
    const PosixFile* file = posix_file(chain.head());
    in_flight_ -= finish_head(chain, std::ranges::find(syncs_, file, &FileSync::file)->error);
    advance(chain);
  }
  running_.clear();
  syncs_.clear();
}

}  // namespace vectolith::engine
