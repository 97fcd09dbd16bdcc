/// @file
/// Grace periods: memory that readers may still look at is freed once they have all moved on.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace vectolith::engine {

namespace detail {
class EpochRegistry;

/// One thread's place in one domain. Only that thread writes `epoch` and `nesting`.
struct alignas(64) EpochSlot {
  std::atomic<std::uint64_t> epoch{0};      ///< The domain's epoch when the outermost scope began; 0 outside.
  std::atomic<std::uint32_t> attention{0};  ///< Not 0: whoever leaves has something to do beside leaving.
  std::uint32_t nesting = 0;
  bool fenced = false;  ///< The domain has no barrier, so this thread fences itself.
  bool taken = false;   ///< Guarded by the registry's mutex.
  EpochRegistry* registry = nullptr;
  std::shared_ptr<EpochRegistry> keep;  ///< Set while nothing but a scope owns the slot.
};

/// The slot of the domain that this thread entered last.
struct EpochCache {
  std::uint64_t domain = 0;
  EpochSlot* slot = nullptr;
};

#if defined(__SANITIZE_THREAD__)
#define VECTOLITH_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define VECTOLITH_THREAD_SANITIZER 1
#endif
#endif
#if defined(VECTOLITH_THREAD_SANITIZER)
inline constexpr bool kBarrierVisible = false;  // the sanitizer models neither membarrier nor fences
#else
inline constexpr bool kBarrierVisible = true;
#endif

/// Stores the slot's epoch, before all loads that follow as far as collectors can tell.
inline void announce(EpochSlot& slot, std::uint64_t epoch) noexcept {
#if defined(VECTOLITH_THREAD_SANITIZER)
  slot.epoch.exchange(epoch, std::memory_order_seq_cst);
#else
  slot.epoch.store(epoch, std::memory_order_release);
  if (slot.fenced) {
    std::atomic_thread_fence(std::memory_order_seq_cst);
  } else {
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
#endif
}
void leave_with_attention(EpochSlot& slot) noexcept;
}  // namespace detail

/// Lets readers look at shared memory without locks, and defers its release until none can.
///
/// Who takes memory out of sight first unlinks it, then calls `retire`; it is freed by a later
/// `collect` once every scope that had begun by then has ended. The price of ordering lies with
/// `collect`, not with readers, where the process-wide barrier works.
/// Threads: any, for all members. Lifetime: ends after all scopes; threads and domains may end in any order.
class EpochDomain {
 public:
  /// Marks a stretch of reading. Scopes nest; each must end on the thread where it began.
  class [[nodiscard]] Scope {
   public:
    Scope(Scope&& other) noexcept : slot_(std::exchange(other.slot_, nullptr)) {}
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    Scope& operator=(Scope&&) = delete;
    ~Scope() {
      if (slot_ != nullptr) leave(*slot_);
    }

   private:
    friend class EpochDomain;
    explicit Scope(detail::EpochSlot* slot) noexcept : slot_(slot) {}
    static void leave(detail::EpochSlot& slot) noexcept {
      if (--slot.nesting != 0) return;
      detail::announce(slot, 0);
      if (slot.attention.load(std::memory_order_seq_cst) != 0) [[unlikely]]
        detail::leave_with_attention(slot);
    }

    detail::EpochSlot* slot_;
  };

  /// `barrier_all_threads` makes every running thread of the process pass a full memory barrier. If it
  /// is empty or returns false here, readers fence themselves (about 5 ns a scope instead of 1).
  /// `process_mark`, if given, reads 0 in a forked child, where a lock may be held by a thread that does not
  /// exist: there no thread is registered any more, and scopes protect nothing. Outlives domain and threads.
  explicit EpochDomain(std::function<bool()> barrier_all_threads,
                       std::shared_ptr<const std::atomic<std::uint32_t>> process_mark = nullptr);
  EpochDomain(const EpochDomain&) = delete;
  EpochDomain& operator=(const EpochDomain&) = delete;
  /// Runs every deleter that is left. No scope may be open.
  ~EpochDomain();

  /// Begins a scope. Cost: about 1 ns; the first on each thread registers it (one allocation). Where memory
  /// for that is refused, nothing is collected until the scope ends.
  Scope enter() noexcept {
    detail::EpochSlot* const slot = cache_.domain == id_ ? cache_.slot : find_slot();
    if (slot->nesting++ == 0) detail::announce(*slot, epoch_.load(std::memory_order_acquire));
    return Scope(slot);
  }

  /// A deleter with what its wait takes, so that only `prepare` can fail for memory.
  struct Retired {
    std::uint64_t epoch;
    std::function<void()> deleter;
  };
  using Retirement = std::list<Retired>;
  [[nodiscard]] static Retirement prepare(std::function<void()> deleter);
  /// Runs the deleter once all scopes open now have ended. The memory must be out of sight already.
  void retire(Retirement prepared) noexcept;
  void retire(std::function<void()> deleter) { retire(prepare(std::move(deleter))); }
  /// Runs the deleters whose grace is over; returns how many. Never waits for a reader, and does
  /// nothing while another thread collects. Cost: a barrier, if anything is retired.
  std::size_t collect();
  /// As `collect`, but waits for the deleters that another thread runs. Not for use in a deleter.
  std::size_t collect_all();
  /// Returns when all scopes that had begun have ended. Must not be called inside a scope.
  void synchronize();
  /// How many deleters wait.
  [[nodiscard]] std::size_t retired() const;
  /// Whether readers do without a fence.
  [[nodiscard]] bool asymmetric() const noexcept { return !fenced_; }

 private:
  detail::EpochSlot* find_slot() noexcept;
  detail::EpochSlot* own_slot();
  std::size_t run_deleters();
  bool order_before_scan();
  Retirement take_before(std::uint64_t epoch) noexcept;

  inline static constinit thread_local detail::EpochCache cache_{};
  friend struct ThreadEpochSlots;

  // Readers load this line; only retire() and synchronize() write it.
  std::uint64_t id_;
  bool fenced_;
  std::atomic<std::uint64_t> epoch_{1};

  alignas(64) std::function<bool()> barrier_;
  std::shared_ptr<detail::EpochRegistry> registry_;
  mutable std::mutex mutex_;
  Retirement retired_;           ///< By ascending epoch. Guarded by mutex_.
  std::atomic_flag collecting_;  ///< Until the last deleter returned.
};

}  // namespace vectolith::engine
