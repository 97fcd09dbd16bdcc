/// @file
/// The environment over the real operating system.
#include "io/os_environment.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <linux/membarrier.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io/local_socket.h"
#include "io/os_thread.h"
#include "io/pages.h"
#include "io/posix_directory.h"
#include "io/sync_queue.h"
#include "io/unique_fd.h"
#include "io/uring_probe.h"
#include "io/uring_queue.h"

namespace vectolith::engine {
namespace {

bool membarrier(int command) noexcept { return ::syscall(SYS_membarrier, command, 0U, 0) == 0; }

/// Fills `bytes` by repeated calls of `read`; false when one fails for good.
bool fill_by(std::span<std::byte> bytes, auto&& read) {
  while (!bytes.empty()) {
    const ssize_t got = read(bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
  return true;
}

bool fill_from_kernel(std::span<std::byte> bytes) {
  if (fill_by(bytes, [](auto rest) { return ::getrandom(rest.data(), rest.size(), 0); })) return true;
  const UniqueFd device(::open("/dev/urandom", O_RDONLY | O_CLOEXEC));
  return device.valid() &&
         fill_by(bytes, [&](auto rest) { return ::read(device.get(), rest.data(), rest.size()); });
}

}  // namespace

OsEnvironment::OsEnvironment(BackendChoice choice, std::string fallback_reason,
                             std::unique_ptr<ForkMark> mark, const format::KeyHasher& reserve)
    : mark_(std::move(mark)),
      reserve_(reserve),
      choice_(choice),
      uring_(choice != BackendChoice::kSync && fallback_reason.empty()),
      membarrier_registered_(membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)) {
  if (!fallback_reason.empty()) note_fallback(std::move(fallback_reason));
}

void OsEnvironment::note_fallback(std::string reason) {
  std::call_once(fallback_once_, [&] {
    fallback_reason_ = std::move(reason);
    IoCounterCells::add(cells_.uring_fallbacks, 1);
    fell_back_.store(true, std::memory_order_release);
  });
}

Result<std::unique_ptr<Directory>> OsEnvironment::open_directory(const std::string& path, bool create) {
  return PosixDirectory::open_path(path, create, cells_);
}

Result<std::unique_ptr<IoQueue>> OsEnvironment::make_queue(std::uint32_t depth) {
  return make_ring_or(depth, [this] { return std::make_unique<SyncQueue>(cells_); });
}

Result<std::unique_ptr<IoQueue>> OsEnvironment::make_read_queue(std::uint32_t depth) {
  return make_ring_or(depth, [this] { return std::make_unique<PooledReadQueue>(read_threads_, cells_); });
}

Result<std::unique_ptr<IoQueue>> OsEnvironment::make_ring_or(std::uint32_t depth, auto&& make_plain) {
  if (!uring_) return make_plain();
  auto queue = UringQueue::make(depth, cells_);
  if (queue.has_value() || choice_ == BackendChoice::kUring) return queue;
  // The probe passed, but this ring is one too many (locked memory, descriptors). One plain queue among rings
  // does no harm: both kinds behave the same.
  note_fallback(
      explain({.system_errno = queue.error().system_errno(), .call = "io_uring_setup of a further ring"}));
  return make_plain();
}

std::string_view OsEnvironment::backend() const noexcept { return uring_ ? "uring" : "sync"; }

std::string_view OsEnvironment::fallback_reason() const noexcept {
  if (!fell_back_.load(std::memory_order_acquire)) return {};
  return fallback_reason_;
}

IoCounters OsEnvironment::counters() const noexcept { return cells_.snapshot(); }

std::uint64_t OsEnvironment::wall_clock_ms() const noexcept {
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, since_1970 / std::chrono::milliseconds(1)));
}

std::uint64_t OsEnvironment::steady_ns() const noexcept {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch() /
                                    std::chrono::nanoseconds(1));
}

void OsEnvironment::fill_random(std::span<std::byte> bytes) {
  // make_environment drew from the same sources, so if they fail they were taken away since.
  if (!fill_from_kernel(bytes)) fill_from_reserve(bytes);
}

void OsEnvironment::fill_from_reserve(std::span<std::byte> bytes) noexcept {
  // A UUID that came before would let rows of a file's former life pass as valid: no two inputs are alike,
  // and without the 192 bytes drawn in time nobody can tell the outputs beforehand.
  while (!bytes.empty()) {
    const std::array<std::uint64_t, 4> input = {reserve_draws_.fetch_add(1), steady_ns(), wall_clock_ms(),
                                                static_cast<std::uint64_t>(::getpid())};
    Key key;
    std::memcpy(key.digest.bytes.data(), input.data(), sizeof(input));
    const std::uint64_t drawn = reserve_(key);
    const std::size_t taken = std::min(sizeof(drawn), bytes.size());
    std::memcpy(bytes.data(), &drawn, taken);
    bytes = bytes.subspan(taken);
  }
}

std::uint32_t OsEnvironment::cores() const noexcept {
  return std::max(1U, std::thread::hardware_concurrency());
}

std::uint64_t OsEnvironment::major_faults() const noexcept {
  rusage usage{};
  return ::getrusage(RUSAGE_SELF, &usage) == 0 ? static_cast<std::uint64_t>(usage.ru_majflt) : 0;
}

void OsEnvironment::will_need(std::span<const std::span<const std::byte>> ranges) noexcept {
  read_ahead_.start(ranges);
}

std::unique_ptr<Worker> OsEnvironment::start_worker(std::string_view name,
                                                    std::function<std::chrono::nanoseconds()> step) {
  return OsWorker::make(name, std::move(step));
}

void OsEnvironment::run_parallel(std::size_t count, const std::function<void(std::size_t)>& task) {
  run_side_by_side(count, cores(), task);
}

Result<std::unique_ptr<Pages>> OsEnvironment::allocate_pages(std::size_t bytes) {
  return AnonymousPages::make(bytes);
}

bool OsEnvironment::barrier_all_threads() noexcept {
  return membarrier_registered_ && membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
}

Result<std::unique_ptr<Listener>> OsEnvironment::listen(Directory& directory, std::string_view name) {
  return listen_local(directory, name);
}

Result<std::unique_ptr<Connection>> OsEnvironment::connect(Directory& directory, std::string_view name) {
  return connect_local(directory, name);
}

Result<std::unique_ptr<Environment>> make_environment(BackendChoice choice) {
  std::array<std::byte, format::KeyHasher::kSecretBytes> reserve;
  if (!fill_from_kernel(reserve)) {
    return std::unexpected(Error(ErrorCode::kIo, "neither getrandom nor /dev/urandom gives random bytes"));
  }
  std::string reason;
  if (choice != BackendChoice::kSync) {
    if (const auto refusal = probe_uring()) reason = explain(*refusal);
    if (!reason.empty() && choice == BackendChoice::kUring) {
      return std::unexpected(Error(ErrorCode::kUnsupported, reason));
    }
    if (!reason.empty()) reason += " Until then plain system calls are used, with the same guarantees.";
  }
  VECTOLITH_TRY_ASSIGN(auto mark, ForkMark::make());
  return std::make_unique<OsEnvironment>(choice, std::move(reason), std::move(mark),
                                         format::KeyHasher(reserve));
}

}  // namespace vectolith::engine
