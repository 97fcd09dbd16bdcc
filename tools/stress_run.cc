/// @file
/// Runs `stress`: threads put, replace, erase and read their own keys and acknowledge each operation.
#include <atomic>
#include <csignal>
#include <mutex>
#include <thread>

#include "output.h"
#include "progress.h"
#include "store_access.h"
#include "stress_model.h"

namespace vectolith::tools {

namespace {

/// Versions that a row from an earlier run may have, when no --first-version bounds them.
constexpr std::uint64_t kVersionsSearchedMin = std::uint64_t{1} << 20;

struct StressCounts {
  std::uint64_t puts = 0;
  std::uint64_t replaces = 0;
  std::uint64_t erases = 0;
  std::uint64_t reads = 0;

  [[nodiscard]] std::uint64_t all() const noexcept { return puts + replaces + erases + reads; }
  StressCounts& operator+=(const StressCounts& other) noexcept {
    puts += other.puts;
    replaces += other.replaces;
    erases += other.erases;
    reads += other.reads;
    return *this;
  }
};

/// What all threads share.
struct StressShared {
  StressShared(const StressArguments& run_arguments, Store& run_store)
      : arguments(run_arguments),
        store(run_store),
        first_version(run_arguments.first_versions.empty() ? 0 : run_arguments.first_versions.front()) {}

  const StressArguments& arguments;
  Store& store;
  std::uint64_t first_version;
  std::atomic<bool> stop = false;
  std::mutex mutex;
  std::optional<Error> error;  ///< The first; guarded by mutex.
  StressCounts counts;         ///< Guarded by mutex.
};

/// One thread and the keys k with k mod threads == its number.
class StressThread {
 public:
  StressThread(StressShared& shared, Family family, std::uint32_t number)
      : shared_(shared),
        arguments_(shared.arguments),
        family_(std::move(family)),
        number_(number),
        random_(splitmix64(arguments_.seed ^ splitmix64(shared.first_version)) + number),
        vector_(arguments_.dim) {
    write_.durability = arguments_.level == "durable" ? Durability::kDurable : Durability::kBuffered;
    const std::uint64_t threads = arguments_.threads;
    if (number < arguments_.keys)
      keys_.resize(static_cast<std::size_t>((arguments_.keys - number - 1) / threads + 1));
  }

  /// Does this thread's share of the operations.
  void run(Progress* progress) {
    auto result = load_keys();
    const std::uint64_t ops =
        arguments_.ops / arguments_.threads + (number_ < arguments_.ops % arguments_.threads ? 1 : 0);
    for (std::uint64_t op = 0; result.has_value() && op < ops && !keys_.empty(); ++op) {
      if (shared_.stop.load(std::memory_order_relaxed)) break;
      result = step();
      if (progress != nullptr) progress->update(op, op * arguments_.threads);
    }
    const std::lock_guard lock(shared_.mutex);
    shared_.counts += counts_;
    if (result.has_value()) return;
    shared_.stop.store(true, std::memory_order_relaxed);
    if (!shared_.error.has_value()) shared_.error = result.error();
  }

 private:
  struct KeyState {
    bool present = false;
    bool version_known = false;  ///< False for a row of an earlier run that was not read yet.
    std::uint64_t version = 0;
    std::uint64_t next_version = 0;
  };

  Result<void> load_keys() {
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      keys_[i].next_version = shared_.first_version;
      VECTOLITH_TRY_ASSIGN(keys_[i].present, family_.contains(stress_key(key_number(i))));
    }
    return {};
  }

  /// The draws do not depend on what the store answers: a seed always gives the same choices.
  Result<void> step() {
    const auto index = static_cast<std::size_t>(random_.next() % keys_.size());
    const double draw = random_.next_double();
    const double erase_below = arguments_.erase_ratio;
    const double replace_below = erase_below + (1 - erase_below) * arguments_.replace_ratio;
    if (!keys_[index].present) return put(index, false);
    if (draw < erase_below) return erase(index);
    if (draw < replace_below) return put(index, true);
    return read(index);
  }

  Result<void> put(std::size_t index, bool replace) {
    KeyState& state = keys_[index];
    const std::uint64_t key = key_number(index);
    const std::uint64_t version = state.next_version++;
    VECTOLITH_TRY(log(arguments_.intent_fd, key, version, StressOp::kPut));
    fill_version(arguments_.seed, key, version, vector_);
    write_.replace = replace;
    VECTOLITH_TRY_ASSIGN(const auto result,
                         family_.put(stress_key(key), std::span<const float>(vector_), write_));
    if (!result.stored) return violation(key, version, "the put of an absent key found a row");
    VECTOLITH_TRY(log(arguments_.ack_fd, key, version, StressOp::kPut));
    state = {.present = true, .version_known = true, .version = version, .next_version = state.next_version};
    ++(replace ? counts_.replaces : counts_.puts);
    return {};
  }

  Result<void> erase(std::size_t index) {
    KeyState& state = keys_[index];
    const std::uint64_t key = key_number(index);
    const std::uint64_t version = state.next_version++;
    VECTOLITH_TRY(log(arguments_.intent_fd, key, version, StressOp::kErase));
    VECTOLITH_TRY_ASSIGN(const auto result, family_.erase(stress_key(key), write_.durability));
    if (!result.existed) return violation(key, version, "the erase of a present key found none");
    VECTOLITH_TRY(log(arguments_.ack_fd, key, version, StressOp::kErase));
    state.present = false;
    ++counts_.erases;
    return {};
  }

  Result<void> read(std::size_t index) {
    KeyState& state = keys_[index];
    const std::uint64_t key = key_number(index);
    const auto scope = shared_.store.read_scope();
    VECTOLITH_TRY_ASSIGN(const auto view, family_.get(scope, stress_key(key)));
    if (!view.has_value()) return violation(key, state.version, "a present key is a miss");
    ++counts_.reads;
    if (!state.version_known) {
      const auto end = std::max(shared_.first_version, kVersionsSearchedMin);
      const auto version = find_version(arguments_.seed, key, end, view->bytes());
      if (!version.has_value())
        return violation(key, 0, "the stored bytes are those of no version of this key");
      state.version_known = true;
      state.version = *version;
      return {};
    }
    if (is_version(arguments_.seed, key, state.version, view->bytes())) return {};
    return violation(key, state.version, "the stored bytes are not those of the key's last version");
  }

  [[nodiscard]] std::uint64_t key_number(std::size_t index) const noexcept {
    return number_ + std::uint64_t{index} * arguments_.threads;
  }

  [[nodiscard]] Result<void> log(int fd, std::uint64_t key, std::uint64_t version, StressOp op) const {
    const auto level = static_cast<std::uint8_t>(*write_.durability);
    return write_stress_record(fd, {.key = key, .version = version, .op = op, .level = level, .zero = {}});
  }

  static std::unexpected<Error> violation(std::uint64_t key, std::uint64_t version, const std::string& what) {
    return fail(ErrorCode::kCorruption,
                "stress: key " + std::to_string(key) + ", version " + std::to_string(version) + ": " + what);
  }

  StressShared& shared_;
  const StressArguments& arguments_;
  Family family_;
  std::uint32_t number_;
  SplitMix random_;
  std::vector<float> vector_;
  std::vector<KeyState> keys_;
  WriteOptions write_;
  StressCounts counts_;
};

void print_counts(const StressArguments& arguments, const StressCounts& counts, double seconds) {
  if (arguments.common.json) {
    print_json({{"ops", counts.all()},
                {"puts", counts.puts},
                {"replaces", counts.replaces},
                {"erases", counts.erases},
                {"reads", counts.reads},
                {"seconds", seconds}});
    return;
  }
  const double rate = seconds > 0 ? static_cast<double>(counts.all()) / seconds : 0;
  print_line(with_commas(counts.all()) + " operations: " + with_commas(counts.puts) + " puts, " +
             with_commas(counts.replaces) + " replaces, " + with_commas(counts.erases) + " erases, " +
             with_commas(counts.reads) + " reads; " + fixed(seconds, 2) + " s, " +
             with_commas(static_cast<std::uint64_t>(rate)) + " operations/s");
}

Result<int> stress_store(Store& store, const StressArguments& arguments) {
  VECTOLITH_TRY_ASSIGN(const auto family, store.family(kStressFamily, stress_spec(arguments.dim)));
  StressShared shared(arguments, store);
  Progress progress("stress", "operations", arguments.ops / arguments.threads);
  std::vector<std::thread> threads;
  threads.reserve(arguments.threads);
  for (std::uint32_t number = 0; number < arguments.threads; ++number) {
    threads.emplace_back(
        [&, number] { StressThread(shared, family, number).run(number == 0 ? &progress : nullptr); });
  }
  for (auto& thread : threads) thread.join();
  const double seconds = progress.seconds();
  progress.finish();
  if (shared.error.has_value()) return std::unexpected(*shared.error);
  print_counts(arguments, shared.counts, seconds);
  return kExitOk;
}

}  // namespace

Result<int> run_stress(const StressArguments& arguments) {
  // A checker that went away is an error of its descriptor, not a silent death.
  (void)std::signal(SIGPIPE, SIG_IGN);
  Options options = make_options(arguments.common, Purpose::kServe);
  options.create_if_missing = true;
  options.segment_bytes_initial = arguments.segment_bytes;
  ReachedStore reached;
  VECTOLITH_TRY_ASSIGN(reached.store, Store::open(arguments.common.directory, options));
  return close_after(reached, stress_store(*reached.store, arguments));
}

}  // namespace vectolith::tools
