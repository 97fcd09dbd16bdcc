/// @file
/// Reads side by side without io_uring.
#include "io/read_pool.h"

#include <cerrno>
#include <new>
#include <utility>

#include <sys/eventfd.h>

#include "io/os_thread.h"
#include "io/system_error.h"

namespace vectolith::engine {

ReadThreads::~ReadThreads() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void ReadThreads::run(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    if (idle_ <= tasks_.size() && threads_.size() < kThreadsMax) {
      if (auto thread = start_thread("vl-read", [this] { serve(); })) threads_.push_back(*std::move(thread));
    }
    if (!threads_.empty()) {
      tasks_.push_back(std::move(task));
      wake_.notify_one();
      return;
    }
  }
  task();
}

void ReadThreads::serve() {
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    wake_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
    --idle_;
    if (tasks_.empty()) return;
    const auto task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    task();
    lock.lock();
  }
}

PooledReadQueue::~PooledReadQueue() {
  while (in_flight_ > 0) static_cast<void>(wait_some(std::chrono::hours(1)));
}

void PooledReadQueue::reserve(std::size_t count) {
  taken_.reserve(in_flight_ + count);
  const std::lock_guard lock(mutex_);
  finished_.reserve(in_flight_ + count);
}

Result<void> PooledReadQueue::submit(std::span<IoOperation> operations) {
  reserve(operations.size());
  in_flight_ += operations.size();
  for_each_chain(operations, [this](OperationChain chain) { start(chain); });
  return {};
}

void PooledReadQueue::start(OperationChain chain) noexcept {
  const IoOperation& head = chain.head();
  const PosixFile* file = posix_file(head);
  if (head.kind != IoOperation::Kind::kRead || file == nullptr) {
    in_flight_ -= finish_head(chain, file == nullptr ? EBADF : EINVAL);
    return;
  }
  try {
    threads_.run([this, chain, fd = file->fd()] { read(chain, fd); });
  } catch (const std::bad_alloc&) {
    read(chain, file->fd());
  }
}

void PooledReadQueue::read(OperationChain chain, int fd) noexcept {
  IoOperation& head = chain.head();
  const Transfer transfer = read_fully(fd, head.offset, head.buffers, cells_);
  // Told under the lock: the owner may destroy the queue as soon as it knows.
  const std::lock_guard lock(mutex_);
  finished_.push_back({chain, transfer});
  if (event_fd_.valid()) static_cast<void>(::eventfd_write(event_fd_.get(), 1));
  wake_.notify_one();
}

Result<void> PooledReadQueue::wait(const IoOperation& operation) {
  while (!operation.done) {
    if (in_flight_ == 0)
      return fail(ErrorCode::kInternal, "waiting for an operation that was never submitted");
    static_cast<void>(wait_some(std::chrono::hours(1)));
  }
  return {};
}

std::size_t PooledReadQueue::wait_some(std::chrono::nanoseconds timeout) {
  if (in_flight_ == 0) return 0;
  {
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, timeout, [this] { return !finished_.empty(); });
    taken_.swap(finished_);
  }
  return take_finished();
}

std::size_t PooledReadQueue::take_finished() noexcept {
  std::size_t done = 0;
  for (auto& [chain, transfer] : taken_) {
    chain.head().transferred = transfer.bytes;
    const std::size_t ended = finish_head(chain, transfer.error);
    in_flight_ -= ended;
    done += ended;
    if (!chain.ended()) start(chain);
  }
  taken_.clear();
  return done;
}

Result<int> PooledReadQueue::event_fd() {
  const std::lock_guard lock(mutex_);
  if (!event_fd_.valid()) {
    UniqueFd made(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!made.valid()) return fail_errno(errno, "eventfd", "");
    event_fd_ = std::move(made);
    if (!finished_.empty()) static_cast<void>(::eventfd_write(event_fd_.get(), 1));
  }
  return event_fd_.get();
}

void PooledReadQueue::notify() noexcept {
  const std::lock_guard lock(mutex_);
  if (event_fd_.valid()) static_cast<void>(::eventfd_write(event_fd_.get(), 1));
}

}  // namespace vectolith::engine
