/// @file
/// The queue over plain system calls, for places where io_uring is forbidden.
#include "io/sync_queue.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "io/os_thread.h"
#include "io/transfer.h"

namespace vectolith::engine {
namespace {

/// Barriers wait for the device, not for a core, so more may run than there are cores.
constexpr std::size_t kSyncThreadsMax = 8;

struct FileSync {
  const PosixFile* file;
  int error;
};

/// One fdatasync per file, however many operations ask for it: all their writes have completed, so one
/// barrier serves them, and a failure must reach each of them (a second call would report success).
std::vector<FileSync> distinct_files(const std::vector<OperationChain>& chains) {
  std::vector<FileSync> syncs;
  for (const auto& chain : chains) {
    const PosixFile* file = posix_file(chain.head());
    const bool known = std::ranges::any_of(syncs, [&](const FileSync& sync) { return sync.file == file; });
    if (!known) syncs.push_back({.file = file, .error = 0});
  }
  return syncs;
}

}  // namespace

SyncQueue::~SyncQueue() {
  while (in_flight_ > 0) run_waiting_syncs();
}

Result<void> SyncQueue::submit(std::span<IoOperation> operations) {
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
  const auto chains = std::exchange(waiting_, {});
  auto syncs = distinct_files(chains);
  run_side_by_side(syncs.size(), kSyncThreadsMax, [&](std::size_t i) {
    syncs[i].error = syncs[i].file == nullptr ? EBADF : data_sync_once(syncs[i].file->fd(), cells_);
  });
  for (auto chain : chains) {
    const PosixFile* file = posix_file(chain.head());
    const auto sync = std::ranges::find(syncs, file, &FileSync::file);
    in_flight_ -= finish_head(chain, sync->error);
    advance(chain);
  }
}

}  // namespace vectolith::engine
