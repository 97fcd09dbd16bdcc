/// @file
/// Finds out whether io_uring may be used here, and says in words why not.
#include "io/uring_probe.h"

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <memory>

#include <fcntl.h>
#include <liburing.h>
#include <unistd.h>

#include "io/system_error.h"
#include "io/unique_fd.h"

namespace vectolith::engine {
namespace {

/// The value of kernel.io_uring_disabled (since Linux 6.6): 0, 1, 2, or '?' where it cannot be read.
char disabled_by_sysctl() {
  const UniqueFd file(::open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC));
  char value = '?';
  if (!file.valid() || ::read(file.get(), &value, 1) != 1) return '?';
  return value;
}

std::string cause_of_permission_error() {
  const char sysctl = disabled_by_sysctl();
  if (sysctl == '1' || sysctl == '2') {
    return std::string("Likely cause: sysctl kernel.io_uring_disabled=") + sysctl +
           ". To use io_uring set it to 0.";
  }
  return "Likely cause: a seccomp profile (those of Docker and containerd forbid io_uring) or a security "
         "module. To use io_uring allow io_uring_setup, io_uring_enter and io_uring_register in the profile.";
}

std::string cause_of(int system_errno) {
  switch (system_errno) {
    case EPERM:
    case EACCES: return cause_of_permission_error();
    case ENOSYS:
      return "Likely cause: a kernel before 5.6 or built without io_uring, or a seccomp profile that answers "
             "ENOSYS. To use io_uring take a newer kernel, or allow the io_uring calls in the profile.";
    case ENOMEM:
      return "Likely cause: the limit on locked memory (ulimit -l, RLIMIT_MEMLOCK) on an older kernel, or no "
             "memory. To use io_uring raise the limit.";
    case EINVAL:
    case EOPNOTSUPP: return "Likely cause: a kernel before 5.6. To use io_uring take a newer one.";
    case EMFILE:
    case ENFILE: return "Likely cause: the limit on open files (ulimit -n). To use io_uring raise it.";
    default: return "The cause is unknown.";
  }
}

std::optional<UringRefusal> probe_opcodes(io_uring& ring) {
  // Not io_uring_get_probe_ring: it hides the errno, and with it the cause.
  constexpr unsigned kOpcodesMax = 256;
  constexpr std::size_t kProbeBytes = sizeof(io_uring_probe) + kOpcodesMax * sizeof(io_uring_probe_op);
  const std::unique_ptr<io_uring_probe, void (*)(void*)> probe(
      static_cast<io_uring_probe*>(std::calloc(1, kProbeBytes)), std::free);
  if (probe == nullptr) return UringRefusal{.system_errno = ENOMEM, .call = "io_uring_register (probe)"};
  const int result = ::io_uring_register_probe(&ring, probe.get(), kOpcodesMax);
  if (result < 0) return UringRefusal{.system_errno = -result, .call = "io_uring_register (probe)"};
  if (::io_uring_opcode_supported(probe.get(), IORING_OP_READV) == 0) {
    return UringRefusal{.system_errno = EOPNOTSUPP, .call = "io_uring readv"};
  }
  if (::io_uring_opcode_supported(probe.get(), IORING_OP_FSYNC) == 0) {
    return UringRefusal{.system_errno = EOPNOTSUPP, .call = "io_uring fsync"};
  }
  return std::nullopt;
}

std::optional<UringRefusal> probe_round_trip(io_uring& ring) {
  const auto refused = [](int result) {
    return UringRefusal{.system_errno = -result, .call = "io_uring_enter"};
  };
  ::io_uring_prep_nop(::io_uring_get_sqe(&ring));
  int result = 0;
  do {
    result = ::io_uring_submit(&ring);
  } while (result == -EINTR);
  if (result < 0) return refused(result);
  io_uring_cqe* completion = nullptr;
  do {
    result = ::io_uring_wait_cqe(&ring, &completion);
  } while (result == -EINTR);
  if (result < 0) return refused(result);
  ::io_uring_cqe_seen(&ring, completion);
  return std::nullopt;
}

}  // namespace

std::optional<UringRefusal> probe_uring() {
  constexpr unsigned kProbeDepth = 4;
  io_uring ring{};
  const int result = ::io_uring_queue_init(kProbeDepth, &ring, 0);
  if (result < 0) return UringRefusal{.system_errno = -result, .call = "io_uring_setup"};
  auto refusal = probe_opcodes(ring);
  if (!refusal) refusal = probe_round_trip(ring);
  ::io_uring_queue_exit(&ring);
  return refusal;
}

std::string explain(const UringRefusal& refusal) {
  return "io_uring is not available: " + refusal.call + " failed: " + errno_text(refusal.system_errno) +
         " (errno " + std::to_string(refusal.system_errno) + "). " + cause_of(refusal.system_errno);
}

}  // namespace vectolith::engine
