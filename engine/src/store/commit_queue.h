/// @file
/// Where writes wait for the committer; whoever waits for one may have to lead the next commit.
#pragma once

#include <cstddef>
#include <memory_resource>
#include <mutex>
#include <vector>

#include "store/pending_write.h"

namespace vectolith::engine {

/// First in, first out, linked through the writes themselves: nobody is refused for memory. Threads: any.
class CommitQueue {
 public:
  /// Errors of the queue being closed are the caller's to check before.
  void push(PendingWrite& write) noexcept;
  /// Moves writes of up to `rows_max` rows into the empty `group`, at least one, as far as it can grow.
  /// Precondition: `group` has room for one.
  void take(std::pmr::vector<PendingWrite*>& group, std::size_t rows_max) noexcept;
  /// Wakes the first write whose caller waits, so that it may lead. Called after every commit.
  void wake_next() noexcept;
  [[nodiscard]] std::size_t size() const noexcept;

 private:
  mutable std::mutex mutex_;
  PendingWrite* first_ = nullptr;
  PendingWrite* last_ = nullptr;
  std::size_t count_ = 0;
};

/// Marks the write done and wakes its caller; the committer may not touch it afterwards.
void complete(PendingWrite& write) noexcept;

}  // namespace vectolith::engine
