/// @file
/// Where writes wait for the committer; whoever waits for one may have to lead the next commit.
#pragma once

#include <cstddef>
#include <deque>
#include <memory_resource>
#include <mutex>
#include <vector>

#include "store/pending_write.h"

namespace vectolith::engine {

/// First in, first out. Threads: any.
class CommitQueue {
 public:
  /// Errors of the queue being closed are the caller's to check before.
  void push(PendingWrite& write);
  /// Moves writes of up to `rows_max` rows (at least one write) into `group`.
  void take(std::pmr::vector<PendingWrite*>& group, std::size_t rows_max);
  /// Wakes the first write whose caller waits, so that it may lead. Called after every commit.
  void wake_next();
  [[nodiscard]] std::size_t size() const;

 private:
  mutable std::mutex mutex_;
  std::deque<PendingWrite*> writes_;
};

/// Marks the write done and wakes its caller; the committer may not touch it afterwards.
void complete(PendingWrite& write) noexcept;

}  // namespace vectolith::engine
