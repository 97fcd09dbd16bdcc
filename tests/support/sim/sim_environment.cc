/// @file
/// The simulated process: calls, its queue, its workers, its death.
#include "support/sim/sim_environment.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <sys/uio.h>

#include <vectolith/format/checksum.h>

#include "io/operation_chain.h"
#include "io/system_error.h"
#include "io/transfer.h"
#include "support/refused_memory.h"
#include "support/sim/sim_file.h"

namespace vectolith::testing::sim {
namespace {

using engine::IoOperation;
using engine::OperationChain;

constexpr std::uint64_t kCallNs = 20'000;
constexpr std::uint64_t kLandsSoonNs = 5'000'000;
constexpr std::uint64_t kLandsWithinNs = 4'000'000'000;

class SimPages final : public engine::Pages {
 public:
  explicit SimPages(std::size_t bytes) : memory_(std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096)) {
    if (memory_ == nullptr) throw std::bad_alloc();
    std::memset(memory_, 0, bytes);
    bytes_ = {static_cast<std::byte*>(memory_), bytes};
  }
  ~SimPages() override { std::free(memory_); }

 private:
  void* memory_;
};

}  // namespace

/// Runs operations when somebody waits: in random order, each in two steps, so that a process may die
/// between the start and the end of any of them.
class SimEnvironment::Queue final : public engine::IoQueue {
 public:
  explicit Queue(SimEnvironment& process) : process_(process) { process_.queues_.push_back(this); }
  ~Queue() override {
    const OutsideEngine outside;
    while (!chains_.empty()) step();
    std::erase(process_.queues_, this);
  }

  Result<void> submit(std::span<IoOperation> operations) override {
    const OutsideEngine outside;
    const auto outcome = process_.call(CallKind::kSubmit, "queue");
    engine::for_each_chain(operations,
                           [this](OperationChain chain) { chains_.push_back({chain, {}, false, 0}); });
    if (outcome.error != 0) {
      for (auto& active : std::exchange(chains_, {})) engine::finish_head(active.chain, EIO);
      for (auto& operation : operations) {
        operation.done = true;
        operation.error = EIO;
      }
      return engine::fail_errno(outcome.error, "submit", "queue");
    }
    while (!chains_.empty() && one_in(process_.random(), 2)) step();
    return {};
  }
  Result<void> wait(const IoOperation& operation) override {
    const OutsideEngine outside;
    while (!operation.done) {
      if (chains_.empty()) return fail(ErrorCode::kInternal, "waiting for what was never submitted");
      step();
    }
    return {};
  }
  std::size_t poll() override {
    const OutsideEngine outside;
    const std::size_t before = in_flight();
    if (!chains_.empty()) step();
    return before - in_flight();
  }
  [[nodiscard]] std::size_t in_flight() const noexcept override {
    std::size_t count = 0;
    for (const auto& active : chains_) count += active.chain.rest.size();
    return count;
  }
  /// The process dies: what the device has may land later, the rest never does.
  void abandon(Random& random, std::uint64_t now_ns) {
    for (auto& active : chains_) {
      if (!active.is_started || active.chain.head().kind != IoOperation::Kind::kWrite || one_in(random, 2))
        continue;
      auto& file = static_cast<SimFile&>(*active.chain.head().file);
      process_.disk_.leave_in_flight(
          file.inode(), active.chain.head().offset, std::move(active.bytes),
          now_ns + below(random, one_in(random, 2) ? kLandsSoonNs : kLandsWithinNs));
    }
  }

 private:
  struct Active {
    OperationChain chain;
    std::vector<std::byte> bytes;  ///< Of a write that was started.
    bool is_started = false;
    std::uint64_t before = 0;  ///< A barrier covers the changes below this one.
  };

  void step() {
    const std::size_t index = below(process_.random(), chains_.size());
    auto& active = chains_[index];
    if (active.is_started) {
      finish(active);
      if (active.chain.ended()) chains_.erase(chains_.begin() + static_cast<std::ptrdiff_t>(index));
    } else {
      start(active);
    }
    if (process_.meanwhile && !process_.is_dead_) process_.meanwhile();
  }
  void start(Active& active) {
    active.is_started = true;
    active.before = process_.disk_.next_change();
    const IoOperation& head = active.chain.head();
    if (head.kind != IoOperation::Kind::kWrite) return;
    active.bytes.clear();
    for (const auto& buffer : head.buffers) {
      const auto* data = static_cast<const std::byte*>(buffer.data);
      active.bytes.insert(active.bytes.end(), data, data + buffer.bytes);
    }
    if (!process_.is_dead_) show_part(head, active.bytes);
  }
  /// The cache shows a part while the write is under way: its beginning, or any of its sectors.
  void show_part(const IoOperation& head, std::span<const std::byte> bytes) {
    constexpr std::uint64_t kSectorBytes = 512;
    auto& random = process_.random();
    Inode& inode = *file_of(head).inode();
    if (one_in(random, 2)) {
      (void)process_.disk_.write(inode, head.offset, bytes.first(below(random, bytes.size() + 1)));
      return;
    }
    for (std::uint64_t at = 0; at < bytes.size();) {
      const std::uint64_t length =
          std::min(kSectorBytes - (head.offset + at) % kSectorBytes, bytes.size() - at);
      if (one_in(random, 2)) (void)process_.disk_.write(inode, head.offset + at, bytes.subspan(at, length));
      at += length;
    }
  }
  void finish(Active& active) {
    IoOperation& head = active.chain.head();
    SimFile& file = file_of(head);
    if (head.kind == IoOperation::Kind::kDataSync) {
      engine::finish_head(active.chain, file.sync_once(active.before));
      active.is_started = false;
      return;
    }
    const bool write = head.kind == IoOperation::Kind::kWrite;
    const auto call = [&](const iovec* buffers, int count, std::int64_t at) {
      const auto offset = static_cast<std::uint64_t>(at);
      return write ? file.write_some(buffers, count, offset) : file.read_some(buffers, count, offset);
    };
    const auto run = [&] {
      const engine::RetryPause pause = [](unsigned) noexcept {};
      return write ? engine::write_fully(call, head.offset, head.buffers, process_.cells_, pause)
                   : engine::read_fully(call, head.offset, head.buffers, process_.cells_, pause);
    };
    const auto done = run();
    head.transferred += done.bytes;
    engine::finish_head(active.chain, done.error);
    active.is_started = false;
  }
  static SimFile& file_of(const IoOperation& operation) { return static_cast<SimFile&>(*operation.file); }

  SimEnvironment& process_;
  std::vector<Active> chains_;
};

class SimEnvironment::QueuedWorker final : public engine::Worker {
 public:
  QueuedWorker(SimEnvironment& process, std::string_view name, std::function<std::chrono::nanoseconds()> step)
      : process_(process), name_(name), step_(std::move(step)) {
    process_.workers_.push_back(this);
  }
  ~QueuedWorker() override { std::erase(process_.workers_, this); }
  void notify() noexcept override {}
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  void run() {
    const InsideEngine inside;
    (void)step_();
  }

 private:
  SimEnvironment& process_;
  std::string name_;
  std::function<std::chrono::nanoseconds()> step_;
};

SimEnvironment::SimEnvironment(SimDisk& disk, std::uint64_t seed, std::uint64_t start_ns)
    : disk_(disk), random_(seed), now_ns_(start_ns) {}
SimEnvironment::~SimEnvironment() = default;

void SimEnvironment::pass(std::uint64_t ns) {
  now_ns_ += ns;
  (void)disk_.land_due(now_ns_);
}

Outcome SimEnvironment::call(CallKind kind, const std::string& name, std::uint64_t offset,
                             std::uint64_t bytes) {
  if (is_dead_) return {.error = EIO};
  pass(1 + below(random_, kCallNs));
  Outcome outcome = decide ? decide({calls_, kind, name, offset, bytes}) : Outcome{};
  ++calls_;
  const std::uint64_t facts[] = {trace_,
                                 static_cast<std::uint64_t>(kind),
                                 offset,
                                 bytes,
                                 static_cast<std::uint64_t>(outcome.error) << 1 | (outcome.dies ? 1U : 0U),
                                 format::checksum64(std::as_bytes(std::span(name)))};
  trace_ = format::checksum64(std::as_bytes(std::span(facts)));
  if (outcome.dies) {
    outcome.error = EIO;
    outcome.moved = bytes == 0 ? 0 : below(random_, bytes + 1);
    die();
  }
  return outcome;
}

void SimEnvironment::die() {
  if (std::exchange(is_dead_, true)) return;
  for (auto* queue : queues_) queue->abandon(random_, now_ns_);
}

bool SimEnvironment::run_worker() {
  const OutsideEngine outside;
  if (workers_.empty() || is_dead_) return false;
  pass(1'000'000);
  workers_[below(random_, workers_.size())]->run();
  return true;
}

bool SimEnvironment::run_worker(std::string_view name) {
  const auto found =
      std::ranges::find_if(workers_, [&](const auto* worker) { return worker->name() == name; });
  if (found == workers_.end() || is_dead_) return false;
  (*found)->run();
  return true;
}

void SimEnvironment::fill_random(std::span<std::byte> bytes) {
  for (auto& b : bytes) b = static_cast<std::byte>(random_());
}

std::unique_ptr<engine::Worker> SimEnvironment::start_worker(std::string_view name,
                                                             std::function<std::chrono::nanoseconds()> step) {
  const OutsideEngine outside;
  // Whoever starts this one blocks until it is through: its pauses are the time that passes.
  if (name == "lock-wait") {
    const auto run = [&] {
      const InsideEngine inside;
      return step();
    };
    for (auto pause = run(); pause < std::chrono::hours(1); pause = run())
      pass(static_cast<std::uint64_t>(pause.count()));
  }
  return std::make_unique<QueuedWorker>(*this, name, std::move(step));
}

void SimEnvironment::run_parallel(std::size_t count, const std::function<void(std::size_t)>& task) {
  const OutsideEngine outside;
  std::vector<std::size_t> order(count);
  for (std::size_t i = 0; i < count; ++i) order[i] = i;
  std::ranges::shuffle(order, random_);
  for (const auto i : order) {
    const InsideEngine inside;
    task(i);
  }
}

Result<std::unique_ptr<engine::Pages>> SimEnvironment::allocate_pages(std::size_t bytes) {
  if (RefusedMemory::ask()) return std::unexpected(Error(ErrorCode::kNoMemory));
  const OutsideEngine outside;
  if (const auto outcome = call(CallKind::kAllocatePages, "memory", 0, bytes);
      outcome.error != 0 && !is_dead_)
    return std::unexpected(Error(ErrorCode::kNoMemory));
  return std::make_unique<SimPages>(bytes);
}

Result<std::unique_ptr<engine::Directory>> SimEnvironment::open_directory(const std::string& path,
                                                                          bool create) {
  const OutsideEngine outside;
  if (const auto outcome = call(CallKind::kOpen, path); outcome.error != 0)
    return engine::fail_errno(outcome.error, "open", path);
  auto* state = disk_.find_directory(path);
  if (state == nullptr && !create)
    return std::unexpected(Error(ErrorCode::kNotFound, "there is no such directory").with_file(path));
  if (state == nullptr) state = &disk_.make_directory(path);
  return std::make_unique<SimDirectory>(*this, path, *state);
}

Result<std::unique_ptr<engine::IoQueue>> SimEnvironment::make_queue(std::uint32_t) {
  const OutsideEngine outside;
  if (const auto outcome = call(CallKind::kMakeQueue, "queue"); outcome.error != 0)
    return engine::fail_errno(outcome.error, "io_uring_setup", "queue");
  return std::make_unique<Queue>(*this);
}

Result<std::unique_ptr<engine::Listener>> SimEnvironment::listen(engine::Directory&, std::string_view) {
  return fail(ErrorCode::kUnsupported, "no sockets in the simulation");
}

Result<std::unique_ptr<engine::Connection>> SimEnvironment::connect(engine::Directory&, std::string_view) {
  return fail(ErrorCode::kNotFound, "no sockets in the simulation");
}

}  // namespace vectolith::testing::sim
