/// @file
/// The queue of writes and the hand-over of leadership.
#include "store/commit_queue.h"

#include <new>
#include <utility>

#include "no_memory.h"

namespace vectolith::engine {
namespace {

bool has_room(std::pmr::vector<PendingWrite*>& group) noexcept {
  try {
    reserve_more(group, 1);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

}  // namespace

void CommitQueue::push(PendingWrite& write) noexcept {
  const std::lock_guard lock(mutex_);
  (last_ == nullptr ? first_ : last_->next) = &write;
  last_ = &write;
  ++count_;
}

void CommitQueue::take(std::pmr::vector<PendingWrite*>& group, std::size_t rows_max) noexcept {
  const std::lock_guard lock(mutex_);
  std::size_t rows = 0;
  while (first_ != nullptr) {
    const std::size_t more = first_->rows.size();
    const bool alone = first_->is_large || (!group.empty() && group.front()->is_large);
    if (!group.empty() && (alone || rows + more > rows_max)) break;
    if (!has_room(group)) break;
    rows += more;
    group.push_back(first_);
    first_ = first_->next;
    --count_;
  }
  if (first_ == nullptr) last_ = nullptr;
}

void CommitQueue::wake_next() noexcept {
  const std::lock_guard lock(mutex_);
  PendingWrite* next = first_;
  while (next != nullptr && !next->has_waiter) next = next->next;
  if (next == nullptr) return;
  int queued = PendingWrite::kQueued;
  if (next->state.compare_exchange_strong(queued, PendingWrite::kMayLead, std::memory_order_acq_rel)) {
    next->state.notify_one();
  }
}

std::size_t CommitQueue::size() const noexcept {
  const std::lock_guard lock(mutex_);
  return count_;
}

void complete(PendingWrite& write) noexcept {
  const auto self = std::move(write.self);  // Keeps an asynchronous write alive until it is signalled.
  write.state.store(PendingWrite::kDone, std::memory_order_release);
  write.state.notify_all();
}

}  // namespace vectolith::engine
