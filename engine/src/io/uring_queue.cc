/// @file
/// The queue over io_uring: reads and data syncs on the ring, page cache writes beside it.
#include "io/uring_queue.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include <sys/eventfd.h>
#include <unistd.h>

#include "io/sanitizer.h"
#include "io/system_error.h"
#include "io/transfer.h"

namespace vectolith::engine {
namespace {

constexpr std::uint32_t kDepthMax = 4096;
/// After so many attempts in a row that moved nothing, a read leaves the ring for plain calls.
constexpr unsigned kRingReadRetriesMax = 16;

std::uint64_t now_ns() {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch() /
                                    std::chrono::nanoseconds(1));
}

/// Read errors after which the same read may succeed. EFAULT and ECANCELED belong here: when the thread that
/// submitted a cold read ends, the kernel fails the read with EFAULT (40 of 40 on Linux 6.18) although
/// nothing is wrong with buffer or file, and the next thread's attempt works.
bool may_repeat_read(int error) { return is_transient(error) || error == EFAULT || error == ECANCELED; }

constexpr std::uint64_t user_data_of(std::uint32_t slot, std::uint32_t generation) {
  return std::uint64_t{generation} << 32U | slot;
}

void check_buffers(const IoOperation& operation) {
  for (const auto& buffer : operation.buffers) sanitizer::check_region(buffer.data, buffer.bytes);
}

}  // namespace

Result<std::unique_ptr<IoQueue>> UringQueue::make(std::uint32_t depth, IoCounterCells& cells) {
  auto queue = std::make_unique<UringQueue>(cells);
  if (const int error = queue->open_ring(std::clamp(depth, 1U, kDepthMax)); error != 0) {
    return fail_errno(error, "io_uring_setup", "");
  }
  return queue;
}

void UringQueue::reserve(std::size_t count) {
  while (spare_.size() + ready_.size() < in_flight_ + count) spare_.emplace_back();
}

int UringQueue::open_ring(std::uint32_t depth) {
  // Neither SINGLE_ISSUER nor DEFER_TASKRUN: the queue passes from thread to thread. Nor COOP_TASKRUN: a
  // completion would be left until the submitting thread enters the kernel, while another one waits.
  const int result = ::io_uring_queue_init(depth, &ring_, 0);
  if (result < 0) return -result;
  ring_open_ = true;
  // A forked child must not share the rings: both would move the same heads and tails. See check_usable.
  static_cast<void>(::io_uring_ring_dontfork(&ring_));
  owner_ = ::getpid();
  slots_.resize(depth);
  prepared_.reserve(depth);
  free_slots_.reserve(depth);
  for (std::uint32_t slot = depth; slot-- > 0;) free_slots_.push_back(slot);
  return 0;
}

bool UringQueue::check_usable() {
  if (ring_open_ && ::getpid() != owner_) leave_to_parent();
  return !broken_;
}

void UringQueue::leave_to_parent() {
  broken_ = Error(ErrorCode::kIo, "the io_uring belongs to the process that this one was forked from");
  abandon_unsubmitted();
  // What the kernel has, it does for the parent's memory; it never touches our copies of the operations.
  for (auto& slot : slots_) {
    if (slot.state == SlotState::kSubmitted) end_head(slot.chain, EIO);
    slot.state = SlotState::kFree;
  }
  on_ring_ = 0;
  // Not io_uring_queue_exit: the mappings were not inherited, and their addresses may be in use again.
  ::close(ring_.ring_fd);
  ring_open_ = false;
}

UringQueue::~UringQueue() {
  static_cast<void>(check_usable());
  while (in_flight_ > 0) {
    push();
    if (on_ring_ > 0 && !wait_for_completion()) break;
  }
  if (ring_open_) ::io_uring_queue_exit(&ring_);
}

Result<void> UringQueue::submit(std::span<IoOperation> operations) {
  reserve(operations.size());
  const bool usable = check_usable();
  in_flight_ += operations.size();
  if (!usable) {
    for_each_chain(operations, [this](OperationChain chain) { end_head(chain, EIO); });
    return std::unexpected(*broken_);
  }
  for_each_chain(operations, [this](OperationChain chain) { advance(chain); });
  if (!has_lone_sync()) push();
  if (broken_) return std::unexpected(*broken_);
  return {};
}

Result<void> UringQueue::wait(const IoOperation& operation) {
  if (operation.done) return {};  // Its result is known, whatever became of the queue since.
  if (check_usable() && has_lone_sync() && &ready_.front().head() == &operation) run_lone_sync();
  while (!operation.done) {
    if (in_flight_ == 0)
      return fail(ErrorCode::kInternal, "waiting for an operation that was never submitted");
    push();
    if (!operation.done && on_ring_ > 0) static_cast<void>(wait_for_completion());
  }
  if (broken_) return std::unexpected(*broken_);
  return {};
}

bool UringQueue::has_lone_sync() const noexcept {
  return in_flight_ == 1 && ready_.size() == 1 && ready_.front().head().kind == IoOperation::Kind::kDataSync;
}

void UringQueue::run_lone_sync() {
  OperationChain chain = ready_.front();
  spare_.splice(spare_.begin(), ready_, ready_.begin());
  end_head(chain, data_sync_once(posix_file(chain.head())->fd(), cells_));
}

std::size_t UringQueue::poll() {
  const std::size_t before = in_flight_;
  if (check_usable()) push();
  return before - in_flight_;
}

std::size_t UringQueue::wait_some(std::chrono::nanoseconds timeout) {
  const std::size_t done = poll();
  if (done > 0 || on_ring_ == 0) return done;
  // Before Linux 5.11 liburing would spend a request on the timeout; then the next completion ends the wait.
  const bool can_time_out = (ring_.features & IORING_FEAT_EXT_ARG) != 0;
  static_cast<void>(can_time_out ? wait_for_completion(timeout) : wait_for_completion());
  return poll();
}

Result<int> UringQueue::event_fd() {
  if (!check_usable()) return std::unexpected(*broken_);
  if (event_fd_.valid()) return event_fd_.get();
  UniqueFd made(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!made.valid()) return fail_errno(errno, "eventfd", "");
  if (const int result = ::io_uring_register_eventfd(&ring_, made.get()); result < 0)
    return fail_errno(-result, "io_uring_register (eventfd)", "");
  event_fd_ = std::move(made);
  return event_fd_.get();
}

void UringQueue::notify() noexcept {
  if (event_fd_.valid()) static_cast<void>(::eventfd_write(event_fd_.get(), 1));
}

void UringQueue::advance(OperationChain chain) {
  while (!chain.ended()) {
    const IoOperation& head = chain.head();
    const bool nothing_to_read = head.kind == IoOperation::Kind::kRead && head.wanted == 0;
    if (posix_file(head) == nullptr) {
      end_head(chain, EBADF);
    } else if (head.kind == IoOperation::Kind::kWrite || nothing_to_read) {
      in_flight_ -= run_head_inline(chain, cells_);
    } else {
      return make_ready(chain, ready_.end());
    }
  }
}

void UringQueue::make_ready(OperationChain chain, std::list<OperationChain>::const_iterator before) noexcept {
  spare_.front() = chain;
  ready_.splice(before, spare_, spare_.begin());
}

void UringQueue::fill_ring() {
  while (!ready_.empty() && !free_slots_.empty() && prepare(ready_.front())) {
    spare_.splice(spare_.begin(), ready_, ready_.begin());
  }
}

bool UringQueue::prepare(OperationChain chain) {
  io_uring_sqe* sqe = ::io_uring_get_sqe(&ring_);
  if (sqe == nullptr) return false;
  const std::uint32_t index = free_slots_.back();
  free_slots_.pop_back();
  Slot& slot = slots_[index];
  slot = {.chain = chain,
          .generation = slot.generation + 1,
          .state = SlotState::kPrepared,
          .started_ns = now_ns()};
  IoOperation& head = chain.head();
  const int fd = posix_file(head)->fd();
  if (head.kind == IoOperation::Kind::kDataSync) {
    ::io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
  } else {
    // Empty buffers at the front would make a full call look like the end of the file.
    consume(head.buffers, 0);
    check_buffers(head);
    const auto count = static_cast<unsigned>(std::min(head.buffers.size(), kBuffersPerCallMax));
    ::io_uring_prep_readv(sqe, fd, as_iovec(head.buffers), count, head.offset + head.transferred);
  }
  ::io_uring_sqe_set_data64(sqe, user_data_of(index, slot.generation));
  sanitizer::hand_over(&head);
  prepared_.push_back(index);
  return true;
}

void UringQueue::push() {
  unsigned retries = 0;
  for (;;) {
    reap();
    fill_ring();
    if (broken_ || prepared_.empty()) return;
    const std::size_t before = prepared_.size();
    const int result = ::io_uring_submit(&ring_);
    note_consumed();
    if (prepared_.size() < before) {
      retries = 0;
      continue;
    }
    const int error = result < 0 ? -result : EAGAIN;
    if (!is_transient(error) || retries == kTransientRetriesMax)
      return break_down(error, "io_uring_enter (submit)");
    IoCounterCells::add(cells_.retries, 1);
    pause_before_retry(error == EINTR ? 0 : retries);
    ++retries;
  }
}

void UringQueue::note_consumed() {
  // Ask the ring instead of the return value: what the kernel has is what we must wait for.
  while (prepared_.size() > ::io_uring_sq_ready(&ring_)) {
    slots_[prepared_.front()].state = SlotState::kSubmitted;
    prepared_.erase(prepared_.begin());
    ++on_ring_;
    IoCounterCells::add(cells_.uring_submissions, 1);
  }
}

bool UringQueue::wait_for_completion(std::optional<std::chrono::nanoseconds> timeout) {
  __kernel_timespec limit{};
  if (timeout) {
    limit.tv_sec = *timeout / std::chrono::seconds(1);
    limit.tv_nsec = (*timeout % std::chrono::seconds(1)).count();
  }
  for (unsigned retries = 0; !broken_;) {
    io_uring_cqe* completion = nullptr;
    const int error = -::io_uring_wait_cqe_timeout(&ring_, &completion, timeout ? &limit : nullptr);
    if (error == 0) return true;
    if (timeout && (error == ETIME || error == EINTR)) return false;
    // Waiting may be interrupted any number of times; the operation goes on meanwhile.
    if (error == EINTR) continue;
    if (!is_transient(error) || retries == kTransientRetriesMax) {
      break_down(error, "io_uring_enter (wait)");
    } else {
      pause_before_retry(++retries);
    }
  }
  return false;
}

void UringQueue::reap() {
  io_uring_cqe* completion = nullptr;
  while (on_ring_ > 0 && ::io_uring_peek_cqe(&ring_, &completion) == 0 && completion != nullptr) {
    const io_uring_cqe copy{.user_data = completion->user_data, .res = completion->res, .flags = 0};
    ::io_uring_cqe_seen(&ring_, completion);
    complete(copy);
  }
}

void UringQueue::complete(const io_uring_cqe& completion) {
  const auto index = static_cast<std::uint32_t>(completion.user_data);
  const auto generation = static_cast<std::uint32_t>(completion.user_data >> 32U);
  const bool ours = index < slots_.size() && slots_[index].generation == generation &&
                    slots_[index].state == SlotState::kSubmitted;
  // Then requests and completions are mixed up, and no result can be trusted any more.
  if (!ours) return break_down(EBADMSG, "a completion that belongs to no request");
  const Slot slot = slots_[index];
  slots_[index].state = SlotState::kFree;
  free_slots_.push_back(index);
  --on_ring_;
  IoCounterCells::add(cells_.uring_completions, 1);
  OperationChain chain = slot.chain;
  sanitizer::take_back(&chain.head());
  if (chain.head().kind == IoOperation::Kind::kRead) check_buffers(chain.head());
  if (broken_) return end_head(chain, EIO);
  if (chain.head().kind == IoOperation::Kind::kDataSync) {
    complete_sync(chain, slot, completion.res);
  } else {
    complete_read(chain, completion.res);
  }
}

void UringQueue::complete_sync(OperationChain chain, const Slot& slot, int result) {
  int error = result < 0 ? -result : 0;
  if (error == ECANCELED) {
    // Nothing here cancels, so the kernel found no worker to begin it with: signals interrupted the creation
    // of one again and again, or a limit on threads forbids it. No sync has failed, so none is repeated.
    IoCounterCells::add(cells_.retries, 1);
    error = data_sync_once(posix_file(chain.head())->fd(), cells_);
  } else {
    IoCounterCells::add(cells_.data_syncs, 1);
    IoCounterCells::add(cells_.data_sync_ns, now_ns() - slot.started_ns);
  }
  end_head(chain, error);
  advance(chain);
}

void UringQueue::complete_read(OperationChain chain, int result) {
  IoOperation& head = chain.head();
  const int error = result < 0 ? -result : 0;
  if (may_repeat_read(error)) {
    IoCounterCells::add(cells_.retries, 1);
    if (++chain.retries <= kRingReadRetriesMax) return make_ready(chain, ready_.begin());
    in_flight_ -= run_head_inline(chain, cells_);
    return advance(chain);
  }
  if (result > 0) {
    chain.retries = 0;
    head.transferred += static_cast<std::uint64_t>(result);
    consume(head.buffers, static_cast<std::uint64_t>(result));
    if (head.transferred < head.wanted) {
      IoCounterCells::add(cells_.short_transfers, 1);
      return make_ready(chain, ready_.begin());
    }
  }
  IoCounterCells::add(cells_.reads, 1);
  IoCounterCells::add(cells_.read_bytes, head.transferred);
  end_head(chain, error);  // A result of 0 is the end of the file: no error, and fewer bytes than wanted.
  advance(chain);
}

void UringQueue::end_head(OperationChain& chain, int error) { in_flight_ -= finish_head(chain, error); }

void UringQueue::break_down(int system_errno, std::string_view action) {
  if (broken_) return;
  broken_ = Error(ErrorCode::kIo, "the io_uring is broken").with_found(action).with_errno(system_errno);
  abandon_unsubmitted();
  // The kernel may still write into the buffers of what it has. Completions appear in shared memory, so
  // they can be awaited even if every further system call on the ring is refused.
  while (on_ring_ > 0) {
    reap();
    if (on_ring_ > 0) std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
}

void UringQueue::abandon_unsubmitted() {
  for (auto& chain : ready_) end_head(chain, EIO);
  spare_.splice(spare_.begin(), ready_);
  for (const auto index : prepared_) {
    slots_[index].state = SlotState::kFree;
    end_head(slots_[index].chain, EIO);
  }
  prepared_.clear();
}

}  // namespace vectolith::engine
