/// @file
/// The queue of writes and the hand-over of leadership.
#include "store/commit_queue.h"

#include <algorithm>
#include <utility>

namespace vectolith::engine {

void CommitQueue::push(PendingWrite& write) {
  const std::lock_guard lock(mutex_);
  writes_.push_back(&write);
}

void CommitQueue::take(std::pmr::vector<PendingWrite*>& group, std::size_t rows_max) {
  const std::lock_guard lock(mutex_);
  std::size_t rows = 0;
  while (!writes_.empty()) {
    const std::size_t more = writes_.front()->rows.size();
    const bool alone = writes_.front()->is_large || (!group.empty() && group.front()->is_large);
    if (!group.empty() && (alone || rows + more > rows_max)) break;
    rows += more;
    group.push_back(writes_.front());
    writes_.pop_front();
  }
}

void CommitQueue::wake_next() {
  const std::lock_guard lock(mutex_);
  const auto next =
      std::ranges::find_if(writes_, [](const PendingWrite* write) { return write->has_waiter; });
  if (next == writes_.end()) return;
  int queued = PendingWrite::kQueued;
  if ((*next)->state.compare_exchange_strong(queued, PendingWrite::kMayLead, std::memory_order_acq_rel)) {
    (*next)->state.notify_one();
  }
}

std::size_t CommitQueue::size() const {
  const std::lock_guard lock(mutex_);
  return writes_.size();
}

void complete(PendingWrite& write) noexcept {
  const auto self = std::move(write.self);  // Keeps an asynchronous write alive until it is signalled.
  write.state.store(PendingWrite::kDone, std::memory_order_release);
  write.state.notify_all();
}

}  // namespace vectolith::engine
