/// @file
/// The state of a group of linked operations, the same for every queue.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "io/environment.h"
#include "io/io_counter_cells.h"
#include "io/posix_file.h"

namespace vectolith::engine {

/// The operations of one group that are not done yet, in order. Only the first may be under way: a
/// successor starts when its predecessor succeeded in full, which is what `linked` promises.
struct OperationChain {
  std::span<IoOperation> rest;
  unsigned retries = 0;  ///< Of the head, since it last made progress.

  [[nodiscard]] bool ended() const noexcept { return rest.empty(); }
  [[nodiscard]] IoOperation& head() const noexcept { return rest.front(); }
};

/// Resets the results and cuts the operations into chains.
void for_each_chain(std::span<IoOperation> operations, const std::function<void(OperationChain)>& take);

/// Ends the head with `error` (0: success). If it failed or came short, the rest of the chain is
/// cancelled. Returns how many operations became done.
std::size_t finish_head(OperationChain& chain, int error) noexcept;

/// The file behind an operation of this environment, or nullptr if it is not one of ours.
[[nodiscard]] PosixFile* posix_file(const IoOperation& operation) noexcept;

/// Runs the head, a read or write, or what is left of it, by plain system calls, and ends it. Returns how
/// many became done.
std::size_t run_head_inline(OperationChain& chain, IoCounterCells& cells) noexcept;

}  // namespace vectolith::engine
