/// @file
/// Whole transfers over a descriptor: short ones are continued, interrupted ones repeated with a bound.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "io/environment.h"
#include "io/io_counter_cells.h"

struct iovec;

namespace vectolith::engine {

/// How far a transfer came, and why it ended: 0 or a positive errno.
struct Transfer {
  std::uint64_t bytes = 0;
  int error = 0;
};

/// One preadv or pwritev on some file: the bytes moved, or -1 and errno.
using TransferCall = std::function<std::int64_t(const iovec*, int count, std::int64_t offset)>;
/// Waits before retry number `retry`.
using RetryPause = void (*)(unsigned retry) noexcept;

/// The loops of `read_fully` and `write_fully` over any kind of file.
Transfer read_fully(const TransferCall& call, std::uint64_t offset, std::span<IoOperation::Buffer> buffers,
                    IoCounterCells& cells, RetryPause pause);
Transfer write_fully(const TransferCall& call, std::uint64_t offset, std::span<IoOperation::Buffer> buffers,
                     IoCounterCells& cells, RetryPause pause);

/// Reads until the buffers are full or the file ends. Consumes `buffers`.
Transfer read_fully(int fd, std::uint64_t offset, std::span<IoOperation::Buffer> buffers,
                    IoCounterCells& cells);

/// Writes all buffers; a write that moves nothing is an EIO. Consumes `buffers`.
Transfer write_fully(int fd, std::uint64_t offset, std::span<IoOperation::Buffer> buffers,
                     IoCounterCells& cells);

/// fdatasync, once. Returns 0 or a positive errno. Never repeated, not even after EINTR: a second call
/// may report success for data that the first one lost.
int data_sync_once(int fd, IoCounterCells& cells);

/// Drops the first `bytes` bytes of the buffers, and empty buffers after them.
void consume(std::span<IoOperation::Buffer>& buffers, std::uint64_t bytes) noexcept;

/// The buffers as the kernel wants them. Same layout, so nothing is copied.
const iovec* as_iovec(std::span<const IoOperation::Buffer> buffers) noexcept;

/// The most buffers that one system call takes (UIO_MAXIOV); more go in further calls.
inline constexpr std::size_t kBuffersPerCallMax = 1024;

}  // namespace vectolith::engine
