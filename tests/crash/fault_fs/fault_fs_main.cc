/// @file
/// `fault_fs MOUNTPOINT SOCKET`: a file system in memory that fails, waits and loses power as a test
/// commands.
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>

#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fault_fs/fault_fs.h"

namespace vectolith::crash {

namespace {

int listen_on(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (fd < 0 || path.size() >= sizeof(address.sun_path)) return -1;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  (void)::unlink(path.c_str());
  const bool bound = ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  return bound && ::listen(fd, 4) == 0 ? fd : -1;
}

/// Answers line by line until the peer goes.
void serve(FaultFs& fs, int connection) {
  std::string pending;
  char block[4096];
  for (;;) {
    const auto length = ::read(connection, block, sizeof(block));
    if (length <= 0) break;
    pending.append(block, static_cast<std::size_t>(length));
    for (auto end = pending.find('\n'); end != std::string::npos; end = pending.find('\n')) {
      const std::string answer = execute(fs, pending.substr(0, end)) + "\n";
      pending.erase(0, end + 1);
      if (::write(connection, answer.data(), answer.size()) < 0) return;
    }
  }
  (void)::close(connection);
}

int run(const char* mount_point, const char* socket_path) {
  FaultFs fs;
  const int listener = listen_on(socket_path);
  if (listener < 0) {
    std::perror(socket_path);
    return 1;
  }
  const char* words[] = {"fault_fs", "-ofsname=vectolith-fault-fs,default_permissions"};
  fuse_args args = FUSE_ARGS_INIT(2, const_cast<char**>(words));
  fs.session = fuse_session_new(&args, &fault_fs_operations(), sizeof(fuse_lowlevel_ops), &fs);
  if (fs.session == nullptr || fuse_set_signal_handlers(fs.session) != 0 ||
      fuse_session_mount(fs.session, mount_point) != 0) {
    return 1;
  }
  std::thread([&fs, listener] {
    for (;;) {
      const int connection = ::accept(listener, nullptr, nullptr);
      if (connection >= 0) std::thread(serve, std::ref(fs), connection).detach();
    }
  }).detach();
  std::puts("ready");
  (void)std::fflush(stdout);
  fuse_loop_config config{};
  config.clone_fd = 0;
  config.max_idle_threads = 16;
  const int result = fuse_session_loop_mt(fs.session, &config);
  fuse_session_unmount(fs.session);
  // The channel's threads may be waiting for an operation that never comes.
  ::_exit(result == 0 ? 0 : 1);
}

}  // namespace

}  // namespace vectolith::crash

int main(int argc, char** argv) {
  // Whoever started this file system is the only one who can use it.
  (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (argc != 3) {
    std::fputs("usage: fault_fs MOUNTPOINT SOCKET\n", stderr);
    return 2;
  }
  return vectolith::crash::run(argv[1], argv[2]);
}
