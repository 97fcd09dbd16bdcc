/// @file
/// The state of a group of linked operations, the same for every queue.
#include "io/operation_chain.h"

#include <cerrno>

#include "io/transfer.h"
#include "planted_bug.h"

namespace vectolith::engine {
namespace {

void reset(IoOperation& operation) noexcept {
  operation.done = false;
  operation.error = 0;
  operation.transferred = 0;
  operation.wanted = 0;
  if (operation.kind == IoOperation::Kind::kDataSync) return;
  for (const auto& buffer : operation.buffers) operation.wanted += buffer.bytes;
}

}  // namespace

void for_each_chain(std::span<IoOperation> operations, const std::function<void(OperationChain)>& take) {
  for (auto& operation : operations) reset(operation);
  while (!operations.empty()) {
    std::size_t count = 1;
    while (count < operations.size() && operations[count - 1].linked) ++count;
    take({.rest = operations.first(count)});
    operations = operations.subspan(count);
  }
}

std::size_t finish_head(OperationChain& chain, int error) noexcept {
  IoOperation& head = chain.head();
  head.error = error;
  head.done = true;
  chain.rest = chain.rest.subspan(1);
  chain.retries = 0;
  if (error == 0 && head.transferred == head.wanted) return 1;
  if (is_planted(PlantedBug::kHardLinkInsteadOfLink)) return 1;
  const std::size_t became_done = 1 + chain.rest.size();
  for (auto& follower : chain.rest) {
    follower.error = ECANCELED;
    follower.done = true;
  }
  chain.rest = {};
  return became_done;
}

PosixFile* posix_file(const IoOperation& operation) noexcept {
  return dynamic_cast<PosixFile*>(operation.file);
}

std::size_t run_head_inline(OperationChain& chain, IoCounterCells& cells) noexcept {
  IoOperation& head = chain.head();
  const PosixFile* file = posix_file(head);
  if (file == nullptr) return finish_head(chain, EBADF);
  const bool write = head.kind == IoOperation::Kind::kWrite;
  const std::uint64_t offset = head.offset + head.transferred;
  const Transfer done = write ? write_fully(file->fd(), offset, head.buffers, cells)
                              : read_fully(file->fd(), offset, head.buffers, cells);
  head.transferred += done.bytes;
  return finish_head(chain, done.error);
}

}  // namespace vectolith::engine
