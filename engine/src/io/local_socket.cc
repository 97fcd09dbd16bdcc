/// @file
/// Unix stream sockets beneath a directory, between processes of one user.
#include "io/local_socket.h"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/posix_directory.h"
#include "io/system_error.h"
#include "io/unique_fd.h"

namespace vectolith::engine {
namespace {

struct Address {
  sockaddr_un storage{};
  socklen_t bytes = 0;

  [[nodiscard]] const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
};

/// sun_path holds 107 characters, a store's path may be longer: so lead through the open descriptor.
Result<Address> address_through_fd(int fd, std::string_view name, const std::string& shown_path) {
  const std::string path =
      "/proc/self/fd/" + std::to_string(fd) + (name.empty() ? "" : "/") + std::string(name);
  Address address;
  if (path.size() >= sizeof address.storage.sun_path) {
    return fail_errno_as(ErrorCode::kInvalidArgument, ENAMETOOLONG, "the socket's name is too long",
                         shown_path);
  }
  address.storage.sun_family = AF_UNIX;
  std::memcpy(address.storage.sun_path, path.c_str(), path.size() + 1);
  address.bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return address;
}

Result<UniqueFd> make_socket(int extra_flags, const std::string& shown_path) {
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | extra_flags, 0));
  if (!socket.valid()) return fail_errno(errno, "socket", shown_path);
  return socket;
}

/// The uid of the process at the other end, if it may talk to us.
bool peer_is_trusted(int socket, uid_t& uid) {
  ucred peer{};
  socklen_t bytes = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0) return false;
  uid = peer.uid;
  return peer.uid == ::geteuid() || peer.uid == 0;
}

class SocketConnection final : public Connection {
 public:
  SocketConnection(UniqueFd socket, std::string path) : socket_(std::move(socket)), path_(std::move(path)) {}

  Result<void> read_exact(std::span<std::byte> bytes) override {
    return move_all(bytes.size(), "recv", [&](std::size_t done) {
      return ::recv(socket_.get(), bytes.data() + done, bytes.size() - done, 0);
    });
  }

  Result<void> write_all(std::span<const std::byte> bytes) override {
    // MSG_NOSIGNAL: a peer that went away must not kill the host process by SIGPIPE.
    return move_all(bytes.size(), "send", [&](std::size_t done) {
      return ::send(socket_.get(), bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
    });
  }

  void shutdown() noexcept override {
    stopped_.store(true);
    ::shutdown(socket_.get(), SHUT_RDWR);
  }

 private:
  Result<void> move_all(std::size_t bytes, std::string_view action, auto&& call) {
    std::size_t done = 0;
    while (done < bytes) {
      // Bytes that came before a shutdown stay readable in the socket; the contract says both fail.
      if (stopped_.load()) return closed("the connection was shut down");
      const ssize_t moved = call(done);
      if (moved < 0 && errno == EINTR) continue;
      if (moved == 0 || (moved < 0 && (errno == EPIPE || errno == ECONNRESET))) {
        return closed("the peer closed the connection");
      }
      if (moved < 0) return fail_errno(errno, action, path_);
      done += static_cast<std::size_t>(moved);
    }
    return {};
  }

  [[nodiscard]] std::unexpected<Error> closed(const char* message) const {
    return std::unexpected(Error(ErrorCode::kClosed, message).with_file(path_));
  }

  UniqueFd socket_;
  std::string path_;
  std::atomic<bool> stopped_ = false;
};

class SocketListener final : public Listener {
 public:
  SocketListener(UniqueFd socket, UniqueFd directory, std::string name, std::string path, ino_t inode)
      : socket_(std::move(socket)),
        directory_(std::move(directory)),
        name_(std::move(name)),
        path_(std::move(path)),
        inode_(inode) {}
  SocketListener(const SocketListener&) = delete;
  SocketListener& operator=(const SocketListener&) = delete;

  ~SocketListener() override {
    // Whoever deleted our socket may have bound a new one under the name: leave that alone.
    struct stat found{};
    const bool ours = ::fstatat(directory_.get(), name_.c_str(), &found, AT_SYMLINK_NOFOLLOW) == 0 &&
                      S_ISSOCK(found.st_mode) && found.st_ino == inode_;
    if (ours) ::unlinkat(directory_.get(), name_.c_str(), 0);
  }

  Result<std::unique_ptr<Connection>> accept() override {
    for (;;) {
      if (stopped_.load()) return closed();
      UniqueFd socket(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      const int error = socket.valid() ? 0 : errno;
      if (stopped_.load()) return closed();
      if (error == EINTR || error == ECONNABORTED) continue;
      if (error != 0) return fail_errno(error, "accept", path_);
      uid_t uid = 0;
      // A stranger is dropped without a word and must not end the service for others.
      if (!peer_is_trusted(socket.get(), uid)) continue;
      return std::make_unique<SocketConnection>(std::move(socket), path_);
    }
  }

  void shutdown() noexcept override {
    stopped_.store(true);
    ::shutdown(socket_.get(), SHUT_RDWR);
  }

 private:
  [[nodiscard]] std::unexpected<Error> closed() const {
    return std::unexpected(Error(ErrorCode::kClosed, "the listener was shut down").with_file(path_));
  }

  UniqueFd socket_;
  UniqueFd directory_;
  std::string name_;
  std::string path_;
  ino_t inode_;
  std::atomic<bool> stopped_ = false;
};

/// Removes the socket that a dead process left, so that its name can be bound again.
/// Errors: kLocked if somebody answers, kIo if the name is no socket.
Result<void> remove_stale_socket(int directory, const std::string& name, const Address& address,
                                 const std::string& path) {
  struct stat found{};
  if (::fstatat(directory, name.c_str(), &found, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return {};
    return fail_errno(errno, "fstatat", path);
  }
  // A connect to a regular file is refused as well, so look before anything is deleted.
  if (!S_ISSOCK(found.st_mode))
    return fail_errno(ENOTSOCK, "the name is taken by something else: bind", path);
  VECTOLITH_TRY_ASSIGN(const UniqueFd probe, make_socket(SOCK_NONBLOCK, path));
  const int error = ::connect(probe.get(), address.get(), address.bytes) == 0 ? 0 : errno;
  if (error == ENOENT) return {};
  // Only a refusal proves that nobody is there; EAGAIN, for one, means that its backlog is full.
  if (error != ECONNREFUSED) {
    return fail_errno_as(ErrorCode::kLocked, error, "a live process listens here", path);
  }
  if (::unlinkat(directory, name.c_str(), 0) != 0 && errno != ENOENT)
    return fail_errno(errno, "unlink", path);
  return {};
}

/// A descriptor of its own for the directory, locked: a socket between bind and listen refuses connections
/// like a stale one, so two processes must not replace it at the same time.
Result<UniqueFd> lock_directory(int directory, const std::string& path) {
  UniqueFd own(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!own.valid()) return fail_errno(errno, "open (directory)", path);
  while (::flock(own.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return fail_errno(errno, "flock (directory)", path);
  }
  return own;
}

Result<const PosixDirectory*> own_directory(const Directory& directory, std::string_view name) {
  VECTOLITH_TRY(check_name(name));
  const auto* own = dynamic_cast<const PosixDirectory*>(&directory);
  if (own == nullptr) return fail(ErrorCode::kInvalidArgument, "a directory of another environment");
  return own;
}

Result<ino_t> bind_and_listen(int socket, int directory, const std::string& name, const Address& address,
                              const std::string& path) {
  constexpr mode_t kSocketMode = 0600;
  constexpr int kBacklog = 64;
  // Linux takes the mode of the new name from the socket itself, so there is no moment with a wider one.
  if (::fchmod(socket, kSocketMode) != 0) return fail_errno(errno, "fchmod", path);
  if (::bind(socket, address.get(), address.bytes) != 0) return fail_errno(errno, "bind", path);
  if (::listen(socket, kBacklog) != 0) return fail_errno(errno, "listen", path);
  struct stat bound{};
  if (::fstatat(directory, name.c_str(), &bound, AT_SYMLINK_NOFOLLOW) != 0)
    return fail_errno(errno, "fstatat", path);
  return bound.st_ino;
}

}  // namespace

Result<std::unique_ptr<Listener>> listen_local(Directory& directory, std::string_view name) {
  VECTOLITH_TRY_ASSIGN(const PosixDirectory* own, own_directory(directory, name));
  const std::string path = own->path_of(name);
  const std::string name_text(name);
  VECTOLITH_TRY_ASSIGN(UniqueFd locked, lock_directory(own->fd(), path));
  VECTOLITH_TRY_ASSIGN(const Address address, address_through_fd(locked.get(), name, path));
  VECTOLITH_TRY(remove_stale_socket(locked.get(), name_text, address, path));
  VECTOLITH_TRY_ASSIGN(UniqueFd socket, make_socket(0, path));
  VECTOLITH_TRY_ASSIGN(const ino_t inode,
                       bind_and_listen(socket.get(), locked.get(), name_text, address, path));
  ::flock(locked.get(), LOCK_UN);
  return std::make_unique<SocketListener>(std::move(socket), std::move(locked), name_text, path, inode);
}

Result<std::unique_ptr<Connection>> connect_local(Directory& directory, std::string_view name) {
  VECTOLITH_TRY_ASSIGN(const PosixDirectory* own, own_directory(directory, name));
  std::string path = own->path_of(name);
  const auto nobody = [&](int error) {
    return fail_errno_as(ErrorCode::kNotFound, error, "nobody listens here", path);
  };
  // Pin the name first: a symlink is not followed (connecting to it is refused), and nothing can be slipped
  // in before the connect.
  UniqueFd pinned(open_beneath(own->fd(), std::string(name), O_PATH | O_CLOEXEC | O_NOFOLLOW));
  if (!pinned.valid()) {
    const int error = -pinned.release();
    if (error == ENOENT) return nobody(error);
    return fail_errno(error, "open (socket)", path);
  }
  VECTOLITH_TRY_ASSIGN(const Address address, address_through_fd(pinned.get(), "", path));
  VECTOLITH_TRY_ASSIGN(UniqueFd socket, make_socket(0, path));
  while (::connect(socket.get(), address.get(), address.bytes) != 0) {
    const int error = errno;
    if (error == EINTR) continue;
    if (error == ECONNREFUSED || error == ENOENT) return nobody(error);
    return fail_errno(error, "connect", path);
  }
  uid_t uid = 0;
  if (!peer_is_trusted(socket.get(), uid)) {
    return std::unexpected(Error(ErrorCode::kIo, "the listener runs as another user")
                               .with_file(path)
                               .with_expected("uid " + std::to_string(::geteuid()) + " or 0")
                               .with_found("uid " + std::to_string(uid)));
  }
  return std::make_unique<SocketConnection>(std::move(socket), std::move(path));
}

}  // namespace vectolith::engine
