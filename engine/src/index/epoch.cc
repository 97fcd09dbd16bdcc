/// @file
/// Slots of threads, the scan for the oldest reader, and the list of what waits for it.
#include "index/epoch.h"

#include <algorithm>
#include <limits>
#include <new>

namespace vectolith::engine {

namespace detail {

/// The slots of one domain. Shared with the threads that have one, so that a thread's end and the
/// domain's may come in any order.
class EpochRegistry {
 public:
  explicit EpochRegistry(std::shared_ptr<const std::atomic<std::uint32_t>> process_mark)
      : process_mark_(std::move(process_mark)) {}

  /// Whether this process was forked from the one that has the domain: then the mutex may be held for ever.
  [[nodiscard]] bool inherited() const noexcept {
    return process_mark_ != nullptr && process_mark_->load(std::memory_order_relaxed) == 0;
  }

  EpochSlot* take(bool fenced) {
    const std::scoped_lock lock(mutex_);
    auto free = std::ranges::find_if(slots_, [](const auto& slot) { return !slot->taken; });
    if (free == slots_.end()) free = slots_.insert(slots_.end(), std::make_unique<EpochSlot>());
    EpochSlot* const slot = free->get();
    slot->taken = true;
    slot->fenced = fenced;
    slot->registry = this;
    return slot;
  }

  void give_back(EpochSlot& slot) {
    if (inherited()) return;
    const std::scoped_lock lock(mutex_);
    slot.taken = false;
  }

  /// Counts a scope that has no slot; `oldest` is as if it had always been open.
  void add_lent() noexcept { lent_scopes_.fetch_add(1, std::memory_order_seq_cst); }
  void remove_lent() noexcept { lent_scopes_.fetch_sub(1, std::memory_order_seq_cst); }
  [[nodiscard]] bool has_lent() const noexcept { return lent_scopes_.load(std::memory_order_seq_cst) != 0; }

  /// The smallest epoch in which a scope is open; the largest number if none is.
  [[nodiscard]] std::uint64_t oldest() const {
    std::uint64_t oldest = std::numeric_limits<std::uint64_t>::max();
    const std::scoped_lock lock(mutex_);
    if (lent_scopes_.load(std::memory_order_seq_cst) != 0) return 0;
    for (const auto& slot : slots_) {
      const std::uint64_t epoch = slot->epoch.load(std::memory_order_seq_cst);
      if (epoch != 0) oldest = std::min(oldest, epoch);
    }
    return oldest;
  }

  [[nodiscard]] std::vector<EpochSlot*> slots() const {
    std::vector<EpochSlot*> all;
    const std::scoped_lock lock(mutex_);
    all.reserve(slots_.size());
    for (const auto& slot : slots_) all.push_back(slot.get());
    return all;
  }

  void close() noexcept { closed_.store(true, std::memory_order_release); }
  [[nodiscard]] bool closed() const noexcept { return closed_.load(std::memory_order_acquire); }

  /// Counts the departures that somebody waits for.
  std::atomic<std::uint32_t> departures{0};

 private:
  std::shared_ptr<const std::atomic<std::uint32_t>> process_mark_;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<EpochSlot>> slots_;
  std::atomic<std::uint32_t> lent_scopes_{0};
  std::atomic<bool> closed_{false};
};

namespace {
/// In `attention`, beside the number of waiting threads: the slot goes back when its scope ends.
constexpr std::uint32_t kGiveBack = 1U << 31;
/// In `attention`: the thread's own slot for want of memory for one of the registry's.
constexpr std::uint32_t kLent = 1U << 30;

/// For scopes that nobody looks for.
constinit thread_local EpochSlot nobodys;

/// A slot of this thread alone, whose scope the registry counts.
EpochSlot* lend_slot(const std::shared_ptr<EpochRegistry>& registry) noexcept {
  static constinit thread_local EpochSlot lent;
  if (lent.nesting != 0 && lent.registry == registry.get()) return &lent;
  registry->add_lent();
  // It serves one domain at a time. What is retired in another is then kept until that one ends.
  if (lent.nesting != 0) return &nobodys;
  lent.fenced = true;
  lent.registry = registry.get();
  lent.keep = registry;
  lent.attention.store(kLent, std::memory_order_relaxed);
  return &lent;
}
}  // namespace

void leave_with_attention(EpochSlot& slot) noexcept {
  // Whoever waited may end the domain as soon as it sees this slot empty: hold the registry.
  const std::shared_ptr<EpochRegistry> keep = std::move(slot.keep);
  EpochRegistry& registry = *slot.registry;
  const bool is_lent = (slot.attention.load(std::memory_order_relaxed) & kLent) != 0;
  if (is_lent) registry.remove_lent();
  registry.departures.fetch_add(1, std::memory_order_acq_rel);
  registry.departures.notify_all();
  if (keep != nullptr && !is_lent) {
    slot.attention.fetch_and(~kGiveBack, std::memory_order_relaxed);
    registry.give_back(slot);
  }
}

}  // namespace detail

/// The slots of one thread, given back when it ends.
struct ThreadEpochSlots {
  struct Held {
    std::uint64_t domain;
    std::shared_ptr<detail::EpochRegistry> registry;
    detail::EpochSlot* slot;
  };

  ~ThreadEpochSlots() {
    ended = true;
    EpochDomain::cache_ = {};
    for (Held& held : all) {
      // A scope of another thread-local object may still be open; it then takes the slot over.
      if (held.slot->nesting != 0) {
        leave_to_scope(*held.slot, held.registry);
      } else {
        held.registry->give_back(*held.slot);
      }
    }
  }

  static void leave_to_scope(detail::EpochSlot& slot, std::shared_ptr<detail::EpochRegistry> registry) {
    slot.keep = std::move(registry);
    slot.attention.fetch_or(detail::kGiveBack, std::memory_order_relaxed);
  }

  std::vector<Held> all;
  static constinit thread_local bool
      ended;  ///< Destroyed, yet scopes may still be entered by others' destructors.
};
constinit thread_local bool ThreadEpochSlots::ended = false;

namespace {
thread_local ThreadEpochSlots thread_slots;

std::uint64_t next_domain_id() noexcept {
  static constinit std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}
}  // namespace

EpochDomain::EpochDomain(std::function<bool()> barrier_all_threads,
                         std::shared_ptr<const std::atomic<std::uint32_t>> process_mark)
    : id_(next_domain_id()),
      fenced_(!detail::kBarrierVisible || !barrier_all_threads || !barrier_all_threads()),
      barrier_(std::move(barrier_all_threads)),
      registry_(std::make_shared<detail::EpochRegistry>(std::move(process_mark))) {}

EpochDomain::~EpochDomain() {
  // A deleter may retire more.
  while (retired() != 0) {
    const auto taken = take_before(std::numeric_limits<std::uint64_t>::max());
    for (const Retired& retired : taken) retired.deleter();
  }
  registry_->close();
}

detail::EpochSlot* EpochDomain::find_slot() noexcept {
  if (registry_->inherited()) return &detail::nobodys;
  try {
    return own_slot();
  } catch (const std::bad_alloc&) {
    return detail::lend_slot(registry_);
  }
}

detail::EpochSlot* EpochDomain::own_slot() {
  if (ThreadEpochSlots::ended) {
    detail::EpochSlot* const slot = registry_->take(fenced_);
    ThreadEpochSlots::leave_to_scope(*slot, registry_);
    return slot;
  }
  auto& all = thread_slots.all;
  auto held = std::ranges::find(all, id_, &ThreadEpochSlots::Held::domain);
  if (held == all.end()) {
    std::erase_if(all, [](const auto& other) { return other.registry->closed(); });
    all.reserve(all.size() + 1);  // Before a slot is taken that nobody would give back.
    held = all.insert(all.end(), {id_, registry_, registry_->take(fenced_)});
  }
  cache_ = {.domain = id_, .slot = held->slot};
  return held->slot;
}

EpochDomain::Retirement EpochDomain::prepare(std::function<void()> deleter) {
  Retirement prepared;
  prepared.push_back({.epoch = 0, .deleter = std::move(deleter)});
  return prepared;
}

void EpochDomain::retire(Retirement prepared) noexcept {
  const std::scoped_lock lock(mutex_);
  // A reader that loads the epoch after this addition also sees what was unlinked before it.
  prepared.front().epoch = epoch_.fetch_add(1, std::memory_order_acq_rel);
  retired_.splice(retired_.end(), prepared);
}

bool EpochDomain::order_before_scan() {
  if (!fenced_) return barrier_();
#if defined(VECTOLITH_THREAD_SANITIZER)
  epoch_.fetch_add(0, std::memory_order_seq_cst);
#else
  std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
  return true;
}

std::size_t EpochDomain::collect() {
  if (retired() == 0 || collecting_.test_and_set(std::memory_order_acquire)) return 0;
  return run_deleters();
}

std::size_t EpochDomain::collect_all() {
  while (collecting_.test_and_set(std::memory_order_acquire))
    collecting_.wait(true, std::memory_order_acquire);
  return run_deleters();
}

std::size_t EpochDomain::run_deleters() {
  // What is retired after the barrier might be seen by a reader that the scan does not see yet.
  const std::uint64_t epoch = epoch_.load(std::memory_order_acquire);
  Retirement over;
  if (retired() != 0 && order_before_scan()) over = take_before(std::min(epoch, registry_->oldest()));
  for (Retired& retired : over) std::exchange(retired.deleter, nullptr)();
  collecting_.clear(std::memory_order_release);
  collecting_.notify_all();
  return over.size();
}

EpochDomain::Retirement EpochDomain::take_before(std::uint64_t epoch) noexcept {
  Retirement taken;
  const std::scoped_lock lock(mutex_);
  const auto end = std::ranges::find_if(retired_, [=](const Retired& one) { return one.epoch >= epoch; });
  taken.splice(taken.begin(), retired_, retired_.begin(), end);
  return taken;
}

void EpochDomain::synchronize() {
  const std::uint64_t epoch = epoch_.fetch_add(1, std::memory_order_acq_rel);
  while (true) {
    const std::uint32_t departures = registry_->departures.load(std::memory_order_acquire);
    const bool ordered = order_before_scan();
    if (ordered && !registry_->has_lent()) break;
    if (ordered) registry_->departures.wait(departures, std::memory_order_acquire);
  }
  for (detail::EpochSlot* const slot : registry_->slots()) {
    slot->attention.fetch_add(1, std::memory_order_seq_cst);
    while (true) {
      // The count is read before the slot, so that a departure in between ends the wait.
      const std::uint32_t departures = registry_->departures.load(std::memory_order_acquire);
      const bool ordered = order_before_scan();
      const std::uint64_t entered = slot->epoch.load(std::memory_order_seq_cst);
      if (ordered && (entered == 0 || entered > epoch)) break;
      if (ordered) registry_->departures.wait(departures, std::memory_order_acquire);
    }
    slot->attention.fetch_sub(1, std::memory_order_seq_cst);
  }
}

std::size_t EpochDomain::retired() const {
  const std::scoped_lock lock(mutex_);
  return retired_.size();
}

}  // namespace vectolith::engine
