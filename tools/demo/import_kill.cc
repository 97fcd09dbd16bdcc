/// @file
/// Fork, acknowledgements through a pipe, SIGKILL.
#include "demo/import_kill.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "output.h"

namespace vectolith::demo {
namespace {

/// Every number that was written before the kill is in the pipe and stays readable after it.
void acknowledge(int fd, std::span<const std::uint32_t> numbers) {
  const auto bytes = std::as_bytes(numbers);
  for (std::size_t sent = 0; sent < bytes.size();) {
    const auto written = ::write(fd, bytes.data() + sent, bytes.size() - sent);
    if (written < 0 && errno != EINTR) ::_exit(EXIT_FAILURE);
    if (written > 0) sent += static_cast<std::size_t>(written);
  }
}

[[noreturn]] void import_in_child(const std::string& path, GlossEmbedder& embedder,
                                  std::span<const Gloss> glosses, int fd) {
  const auto run = [&]() -> Result<void> {
    VECTOLITH_TRY_ASSIGN(auto store, GlossStore::open(path));
    ImportHooks hooks;
    hooks.on_acknowledged = [fd](std::span<const std::uint32_t> numbers) { acknowledge(fd, numbers); };
    VECTOLITH_TRY(import_glosses(store, embedder, glosses, hooks));
    return store.store->close();
  };
  const auto result = run();
  if (!result.has_value()) tools::report_error(result.error());
  ::_exit(result.has_value() ? EXIT_SUCCESS : EXIT_FAILURE);
}

std::vector<std::uint32_t> read_and_kill(int fd, pid_t child, std::size_t half) {
  std::vector<std::uint32_t> numbers;
  std::uint32_t buffer[256];
  std::size_t filled = 0;  // Bytes; a read may end within a number.
  bool sent = false;
  for (;;) {
    const auto read = ::read(fd, reinterpret_cast<char*>(buffer) + filled, sizeof buffer - filled);
    if (read < 0 && errno == EINTR) continue;
    if (read <= 0) return numbers;
    filled += static_cast<std::size_t>(read);
    const std::size_t whole = filled / sizeof buffer[0];
    numbers.insert(numbers.end(), buffer, buffer + whole);
    buffer[0] = whole < std::size(buffer) ? buffer[whole] : 0;
    filled %= sizeof buffer[0];
    if (!sent && numbers.size() >= half) {
      ::kill(child, SIGKILL);
      sent = true;
    }
  }
}

}  // namespace

Result<KilledImport> import_and_kill(const std::string& path, GlossEmbedder& embedder,
                                     std::span<const Gloss> glosses) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    return std::unexpected(Error(ErrorCode::kIo, "no pipe").with_errno(errno));
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[0]);
    import_in_child(path, embedder, glosses, ends[1]);
  }
  const int fork_errno = errno;
  ::close(ends[1]);
  KilledImport result;
  int status = 0;
  if (child > 0) {
    result.acknowledged = read_and_kill(ends[0], child, glosses.size() / 2);
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
  }
  ::close(ends[0]);
  if (child < 0) return std::unexpected(Error(ErrorCode::kIo, "no child process").with_errno(fork_errno));
  result.killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  return result;
}

}  // namespace vectolith::demo
