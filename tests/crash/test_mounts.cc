/// @file
/// Mounting and unmounting for tests.
#include "test_mounts.h"

#include <cerrno>
#include <csignal>
#include <cstring>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

namespace vectolith::testing {

namespace fs = std::filesystem;

std::string enter_private_mounts() {
  if (::geteuid() != 0) return "needs root, to mount";
  if (::unshare(CLONE_NEWNS) != 0)
    return std::string("a mount namespace is refused: ") + std::strerror(errno);
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return "mounts cannot be made private";
  return "";
}

int run_program(const std::string& command_line) {
  const int status = std::system((command_line + " >/dev/null 2>&1").c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : 126;
}

SmallDisk::SmallDisk(Kind kind, const fs::path& work) : path_(work / "disk") {
  fs::create_directory(path_);
  if (kind == Kind::kTmpfs16M) {
    mounted_ = ::mount("none", path_.c_str(), "tmpfs", 0, "size=16M") == 0;
    if (!mounted_) missing_ = "tmpfs cannot be mounted";
    return;
  }
  const bool ext4 = kind == Kind::kExt4In24M;
  // In memory, so that barriers cost nothing; the loop device keeps it alive without a name.
  const fs::path memory = fs::is_directory("/dev/shm") ? "/dev/shm" : work;
  const std::string image = (memory / ("vectolith-image-" + std::to_string(::getpid()))).string();
  const std::string make = ext4 ? "mkfs.ext4 -q -F " + image : "mkfs.xfs -q -f " + image;
  if (!fs::exists("/dev/loop-control")) {
    missing_ = "there are no loop devices";
  } else if (run_program("truncate -s " + std::string(ext4 ? "24M " : "320M ") + image + " && " + make) !=
             0) {
    missing_ = ext4 ? "mkfs.ext4 (e2fsprogs) is missing" : "mkfs.xfs (xfsprogs) is missing";
  } else if (run_program("mount -o loop " + image + " " + path_.string()) != 0) {
    missing_ = "a loop device cannot be mounted";
  } else {
    mounted_ = true;
    fs::remove_all(path_ / "lost+found");
  }
  fs::remove(image);
}

SmallDisk::~SmallDisk() {
  if (!mounted_) return;
  EXPECT_EQ(::umount2(path_.c_str(), 0), 0) << std::strerror(errno);
}

std::uint64_t SmallDisk::free_bytes() const {
  struct statvfs status{};
  if (::statvfs(path_.c_str(), &status) != 0) return 0;
  return std::uint64_t{status.f_bavail} * status.f_frsize;
}

FaultDisk::FaultDisk(const fs::path& work) : path_(work / "mnt") {
  if (!fs::exists("/dev/fuse")) missing_ = "there is no /dev/fuse";
  if (!fs::exists(VECTOLITH_FAULT_FS)) missing_ = "fault_fs was not built (libfuse3 is missing)";
  if (!missing_.empty()) return;
  fs::create_directory(path_);
  const std::string socket_path = (work / "ctl").string();
  int ready[2];
  if (::pipe2(ready, O_CLOEXEC) != 0) return;
  process_ = ::fork();
  if (process_ == 0) {
    ::dup2(ready[1], STDOUT_FILENO);
    ::execl(VECTOLITH_FAULT_FS, "fault_fs", path_.c_str(), socket_path.c_str(), nullptr);
    ::_exit(127);
  }
  ::close(ready[1]);
  char word[6] = {};
  const bool started = ::read(ready[0], word, sizeof(word)) == sizeof(word);
  ::close(ready[0]);
  channel_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, socket_path.c_str(), sizeof(address.sun_path) - 1);
  if (!started || ::connect(channel_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    missing_ = "fault_fs does not start";
  }
}

FaultDisk::~FaultDisk() {
  if (process_ > 0) {
    // Before it ends, nothing may hang in it.
    if (missing_.empty()) tell("clear");
    ::kill(process_, SIGTERM);
    ::waitpid(process_, nullptr, 0);
    (void)::umount2(path_.c_str(), MNT_DETACH);
  }
  if (channel_ >= 0) ::close(channel_);
}

std::string FaultDisk::tell(const std::string& command) {
  const std::string line = command + "\n";
  EXPECT_EQ(::send(channel_, line.data(), line.size(), MSG_NOSIGNAL), static_cast<ssize_t>(line.size()));
  std::string answer;
  for (char byte = 0; ::read(channel_, &byte, 1) == 1 && byte != '\n';) answer += byte;
  EXPECT_EQ(answer.substr(0, 2), "ok") << command << " -> " << answer;
  return answer;
}

}  // namespace vectolith::testing
