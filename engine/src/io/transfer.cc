/// @file
/// Whole transfers over a descriptor: short ones are continued, interrupted ones repeated with a bound.
#include "io/transfer.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>

#include <sys/uio.h>
#include <unistd.h>

#include "io/system_error.h"
#include "planted_bug.h"

namespace vectolith::engine {
namespace {

static_assert(sizeof(IoOperation::Buffer) == sizeof(iovec));
static_assert(offsetof(IoOperation::Buffer, data) == offsetof(iovec, iov_base));
static_assert(offsetof(IoOperation::Buffer, bytes) == offsetof(iovec, iov_len));

/// What a call that moved nothing means: the end of the file for a read, a broken device for a write.
Transfer transfer(const TransferCall& call, int error_when_nothing_moves, std::uint64_t offset,
                  std::span<IoOperation::Buffer> buffers, IoCounterCells& cells, RetryPause pause) {
  Transfer done;
  unsigned retries = 0;
  consume(buffers, 0);
  while (!buffers.empty()) {
    const auto count = static_cast<int>(std::min(buffers.size(), kBuffersPerCallMax));
    const std::int64_t moved = call(as_iovec(buffers), count, static_cast<std::int64_t>(offset + done.bytes));
    if (moved < 0) {
      const int error = errno;
      if (!is_transient(error) || retries == kTransientRetriesMax) return {done.bytes, error};
      IoCounterCells::add(cells.retries, 1);
      pause(error == EINTR ? 0 : retries);
      ++retries;
      continue;
    }
    if (moved == 0) return {done.bytes, error_when_nothing_moves};
    retries = 0;
    done.bytes += static_cast<std::uint64_t>(moved);
    consume(buffers, static_cast<std::uint64_t>(moved));
    if (is_planted(PlantedBug::kShortWriteTakenAsWhole) && error_when_nothing_moves != 0) {
      for (const auto& buffer : buffers) done.bytes += buffer.bytes;
      return done;
    }
    if (!buffers.empty()) IoCounterCells::add(cells.short_transfers, 1);
  }
  return done;
}

}  // namespace

Transfer read_fully(const TransferCall& call, std::uint64_t offset, std::span<IoOperation::Buffer> buffers,
                    IoCounterCells& cells, RetryPause pause) {
  const Transfer done = transfer(call, 0, offset, buffers, cells, pause);
  IoCounterCells::add(cells.reads, 1);
  IoCounterCells::add(cells.read_bytes, done.bytes);
  return done;
}

Transfer write_fully(const TransferCall& call, std::uint64_t offset, std::span<IoOperation::Buffer> buffers,
                     IoCounterCells& cells, RetryPause pause) {
  const Transfer done = transfer(call, EIO, offset, buffers, cells, pause);
  IoCounterCells::add(cells.writes, 1);
  IoCounterCells::add(cells.write_bytes, done.bytes);
  return done;
}

Transfer read_fully(int fd, std::uint64_t offset, std::span<IoOperation::Buffer> buffers,
                    IoCounterCells& cells) {
  const auto call = [fd](const iovec* parts, int count, std::int64_t at) {
    return static_cast<std::int64_t>(::preadv(fd, parts, count, at));
  };
  return read_fully(call, offset, buffers, cells, pause_before_retry);
}

Transfer write_fully(int fd, std::uint64_t offset, std::span<IoOperation::Buffer> buffers,
                     IoCounterCells& cells) {
  const auto call = [fd](const iovec* parts, int count, std::int64_t at) {
    return static_cast<std::int64_t>(::pwritev(fd, parts, count, at));
  };
  return write_fully(call, offset, buffers, cells, pause_before_retry);
}

int data_sync_once(int fd, IoCounterCells& cells) {
  const auto start = std::chrono::steady_clock::now();
  const int error = ::fdatasync(fd) == 0 ? 0 : errno;
  const auto elapsed = std::chrono::steady_clock::now() - start;
  IoCounterCells::add(cells.data_syncs, 1);
  IoCounterCells::add(cells.data_sync_ns,
                      static_cast<std::uint64_t>(std::chrono::nanoseconds(elapsed).count()));
  return error;
}

void consume(std::span<IoOperation::Buffer>& buffers, std::uint64_t bytes) noexcept {
  while (!buffers.empty() && bytes >= buffers.front().bytes) {
    bytes -= buffers.front().bytes;
    buffers = buffers.subspan(1);
  }
  if (buffers.empty() || bytes == 0) return;
  auto& first = buffers.front();
  first.data = static_cast<std::byte*>(first.data) + bytes;
  first.bytes -= bytes;
}

const iovec* as_iovec(std::span<const IoOperation::Buffer> buffers) noexcept {
  return reinterpret_cast<const iovec*>(buffers.data());
}

}  // namespace vectolith::engine
