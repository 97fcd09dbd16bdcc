/// @file
/// `stress --verify`: compares a store with what was acknowledged to the ack file.
#include <algorithm>
#include <optional>

#include <vectolith/format/checksum.h>

#include "output.h"
#include "store_access.h"
#include "stress_model.h"

namespace vectolith::tools {

namespace {

constexpr std::size_t kViolationsShownMax = 20;
/// How far beyond the last acknowledged version a message looks for the version it found.
constexpr std::uint64_t kVersionsNamed = 4'096;

/// An operation that may have been in flight: it is in the store or not.
struct Candidate {
  std::uint64_t version = 0;
  std::optional<StressOp> op;  ///< Unset: unknown.
};

struct KeyExpectation {
  std::optional<StressRecord> last;  ///< The last acknowledged operation.
  std::vector<Candidate> candidates;
  bool seen = false;
  std::uint64_t sum = 0;  ///< Of the bytes that the scan gave.
};

struct VerifyCounts {
  std::uint64_t acknowledged = 0;  ///< Keys with an acknowledged operation.
  std::uint64_t exact = 0;         ///< Keys in the state of their last acknowledged operation.
  std::uint64_t in_flight = 0;     ///< Keys in the state of an operation that was in flight.
  std::uint64_t rows = 0;
};

class StressVerifier {
 public:
  explicit StressVerifier(const StressArguments& arguments)
      : arguments_(arguments), keys_(static_cast<std::size_t>(arguments.keys)), applied_(arguments.threads) {}

  /// Errors: as read_stress_records; kInvalidArgument for a record of a key outside --keys.
  Result<void> load() {
    VECTOLITH_TRY_ASSIGN(const auto acks, read_stress_records(arguments_.ack_file));
    for (const auto& ack : acks) {
      VECTOLITH_TRY(check_key(ack, arguments_.ack_file));
      keys_[ack.key].last = ack;
    }
    if (arguments_.intent_file.empty()) {
      guess_candidates();
      return {};
    }
    VECTOLITH_TRY_ASSIGN(const auto intents, read_stress_records(arguments_.intent_file));
    for (const auto& intent : intents) {
      VECTOLITH_TRY(check_key(intent, arguments_.intent_file));
      auto& key = keys_[intent.key];
      if (key.last.has_value() && intent.version <= key.last->version) continue;
      key.candidates.push_back({.version = intent.version, .op = intent.op});
    }
    return {};
  }

  [[nodiscard]] bool nothing_acknowledged() const noexcept {
    return std::ranges::none_of(keys_, [](const auto& key) { return key.last.has_value(); });
  }

  Result<void> check(const Family& family) {
    VECTOLITH_TRY(family.for_each([&](const VectorView& row) {
      check_row(row);
      return true;
    }));
    for (std::uint64_t key = 0; key < keys_.size(); ++key) {
      if (!keys_[key].seen) check_absent(key);
      VECTOLITH_TRY(check_get(family, key));
    }
    return {};
  }

  /// Without the intents an operation in flight is only known by its version: there is one a thread and run.
  void check_in_flight() {
    if (!arguments_.threads_given || !arguments_.intent_file.empty()) return;
    const std::uint64_t runs = std::max<std::size_t>(1, arguments_.first_versions.size());
    for (std::size_t thread = 0; thread < applied_.size(); ++thread) {
      if (applied_[thread] <= runs) continue;
      violate("thread " + std::to_string(thread) + " had one operation in flight in each of " +
              std::to_string(runs) + " runs, but " + std::to_string(applied_[thread]) +
              " keys are beyond their last acknowledgement");
    }
  }

  [[nodiscard]] int report() const {
    VerifyCounts counts = counts_;
    for (const auto& key : keys_) counts.acknowledged += key.last.has_value() ? 1 : 0;
    if (arguments_.common.json) {
      print_json({{"keys", keys_.size()},
                  {"acknowledged", counts.acknowledged},
                  {"rows", counts.rows},
                  {"exact", counts.exact},
                  {"in_flight", counts.in_flight},
                  {"violations", violations_},
                  {"shown", shown_}});
    } else {
      for (const auto& violation : shown_) print_line("violation: " + violation);
      print_line((violations_ == 0 ? "verified: " : "FAILED: ") + with_commas(keys_.size()) + " keys, " +
                 with_commas(counts.acknowledged) + " acknowledged, " + with_commas(counts.rows) + " rows, " +
                 with_commas(counts.exact) + " exact, " + with_commas(counts.in_flight) + " in flight, " +
                 with_commas(violations_) + " violations");
    }
    if (violations_ == 0) return kExitOk;
    note("the store does not hold what was acknowledged; keep a copy of the directory before you go on");
    return kExitCorruption;
  }

 private:
  Result<void> check_key(const StressRecord& record, const std::string& file) const {
    if (record.key < keys_.size()) return {};
    return std::unexpected(Error(ErrorCode::kInvalidArgument, "a record names a key outside --keys")
                               .with_file(file)
                               .with_expected("below " + std::to_string(keys_.size()))
                               .with_found(std::to_string(record.key)));
  }

  void guess_candidates() {
    const std::vector<std::uint64_t> from_zero = {0};
    const auto& firsts = arguments_.first_versions.empty() ? from_zero : arguments_.first_versions;
    for (auto& key : keys_) {
      if (key.last.has_value())
        key.candidates.push_back({.version = key.last->version + 1, .op = std::nullopt});
      for (const std::uint64_t first : firsts) {
        if (!key.last.has_value() || first > key.last->version + 1) {
          key.candidates.push_back({.version = first, .op = std::nullopt});
        }
      }
    }
  }

  void check_row(const VectorView& row) {
    ++counts_.rows;
    const auto key = stress_key_number(row.key(), arguments_.keys);
    if (!key.has_value()) return violate("phantom row with digest " + row.key().digest.to_hex());
    auto& expected = keys_[*key];
    if (expected.seen) return violate(*key, "has two live rows");
    expected.seen = true;
    expected.sum = format::checksum64(row.bytes());
    const auto& last = expected.last;
    const auto is = [&](std::uint64_t version) {
      return is_version(arguments_.seed, *key, version, row.bytes());
    };
    if (last.has_value() && last->op == StressOp::kPut && is(last->version)) {
      ++counts_.exact;
      return;
    }
    const bool in_flight = std::ranges::any_of(expected.candidates, [&](const Candidate& candidate) {
      return candidate.op.value_or(StressOp::kPut) == StressOp::kPut && is(candidate.version);
    });
    if (in_flight) return count_in_flight(*key);
    violate(*key, describe_last(expected) + ", the store holds " + describe_found(*key, row.bytes()));
  }

  void check_absent(std::uint64_t key) {
    const auto& expected = keys_[key];
    if (!expected.last.has_value()) return;
    if (expected.last->op == StressOp::kErase) {
      ++counts_.exact;
      return;
    }
    const bool in_flight = std::ranges::any_of(expected.candidates, [](const Candidate& candidate) {
      return candidate.op.value_or(StressOp::kErase) == StressOp::kErase;
    });
    if (in_flight) return count_in_flight(key);
    violate(key, describe_last(expected) + ", the store holds no row");
  }

  /// A scan and a lookup must tell the same.
  Result<void> check_get(const Family& family, std::uint64_t key) {
    VECTOLITH_TRY_ASSIGN(const auto row, family.get(stress_key(key)));
    const auto& expected = keys_[key];
    if (row.has_value() != expected.seen) {
      violate(key,
              row.has_value() ? "is found by get but not by a scan" : "is found by a scan but not by get");
    } else if (row.has_value() && format::checksum64((*row)->bytes()) != expected.sum) {
      violate(key, "has other bytes for get than for a scan");
    }
    return {};
  }

  static std::string describe_last(const KeyExpectation& key) {
    if (!key.last.has_value()) return "nothing was acknowledged";
    return std::string("acknowledged: ") + (key.last->op == StressOp::kPut ? "put" : "erase") +
           " of version " + std::to_string(key.last->version);
  }

  [[nodiscard]] std::string describe_found(std::uint64_t key, std::span<const std::byte> bytes) const {
    const auto& last = keys_[key].last;
    const std::uint64_t end = (last.has_value() ? last->version : 0) + kVersionsNamed;
    const auto version = find_version(arguments_.seed, key, end, bytes);
    return version.has_value() ? "version " + std::to_string(*version) : "bytes of no version of this key";
  }

  void count_in_flight(std::uint64_t key) {
    ++counts_.in_flight;
    ++applied_[static_cast<std::size_t>(key % applied_.size())];
  }

  void violate(std::uint64_t key, const std::string& what) {
    violate("key " + std::to_string(key) + ": " + what);
  }
  void violate(const std::string& what) {
    ++violations_;
    if (shown_.size() < kViolationsShownMax) shown_.push_back(what);
  }

  const StressArguments& arguments_;
  std::vector<KeyExpectation> keys_;
  std::vector<std::uint64_t> applied_;  ///< Keys in the state of an operation in flight, by thread.
  VerifyCounts counts_;
  std::uint64_t violations_ = 0;
  std::vector<std::string> shown_;
};

Result<int> verify_family(Store& store, StressVerifier& verifier) {
  auto family = store.family(kStressFamily);
  if (family.has_value()) {
    VECTOLITH_TRY(verifier.check(*family));
    verifier.check_in_flight();
  } else if (family.error().code() != ErrorCode::kNotFound || !verifier.nothing_acknowledged()) {
    return std::unexpected(std::move(family).error());
  }
  return verifier.report();
}

}  // namespace

Result<int> verify_stress(const StressArguments& arguments) {
  StressVerifier verifier(arguments);
  VECTOLITH_TRY(verifier.load());
  auto reached = open_store(arguments.common, arguments.recover ? Purpose::kWrite : Purpose::kRead);
  if (!reached.has_value()) {
    const auto code = reached.error().code();
    const bool no_store = code == ErrorCode::kNotFound || code == ErrorCode::kNotAStore;
    // A run that was killed before it made the store has acknowledged nothing and lost nothing.
    if (no_store && verifier.nothing_acknowledged()) return verifier.report();
    return std::unexpected(std::move(reached).error());
  }
  return close_after(*reached, verify_family(*reached->store, verifier));
}

}  // namespace vectolith::tools
