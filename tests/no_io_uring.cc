/// @file
/// Runs a command in a process where the kernel refuses io_uring, as the seccomp profiles of containers do.
#include <cerrno>
#include <cstddef>
#include <cstdio>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

/// Refuses the three io_uring calls with EPERM, here and in every child.
bool forbid_io_uring() {
  static_assert(SYS_io_uring_enter == SYS_io_uring_setup + 1 &&
                SYS_io_uring_register == SYS_io_uring_setup + 2);
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, SYS_io_uring_setup, 0, 2),
      BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, SYS_io_uring_register, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{.len = sizeof(program) / sizeof(program[0]), .filter = program};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

bool io_uring_is_refused() { return syscall(SYS_io_uring_setup, 1, nullptr) == -1 && errno == EPERM; }

}  // namespace

int main(int argc, char** argv) {
  if (!forbid_io_uring() || !io_uring_is_refused()) {
    std::perror("no_io_uring: cannot make the kernel refuse io_uring");
    return 1;
  }
  if (argc < 2) return 0;
  execvp(argv[1], argv + 1);
  std::perror(argv[1]);
  return 127;
}
