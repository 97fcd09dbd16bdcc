/// @file
/// fsck: checks every byte of a store that a sum covers, and reports what it finds.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <vectolith/format/result.h>
#include <vectolith/options.h>

namespace vectolith {

/// One thing fsck found.
struct Finding {
  enum class Severity : std::uint8_t {
    kInfo,     ///< Normal after a kill: an unfinished row, an orphan file, a store in use.
    kWarning,  ///< Odd but harmless to acknowledged data.
    kDamage,   ///< Acknowledged data or structure is damaged.
  };
  Severity severity{};
  std::string file;
  std::uint64_t offset = 0;
  std::string what;
  std::string expected;
  std::string found;
};

/// What fsck did.
struct FsckReport {
  std::uint64_t files = 0;
  std::uint64_t segments = 0;
  std::uint64_t rows = 0;    ///< Rows and records whose sums were checked and hold, live or not.
  std::uint64_t bytes = 0;   ///< Bytes read.
  std::uint64_t damage = 0;  ///< Findings of severity kDamage.
  std::uint64_t warnings = 0;
  std::vector<Finding> findings;  ///< At most 1,000; all are counted.
  [[nodiscard]] bool clean() const noexcept { return damage == 0; }
};

struct FsckOptions {
  /// Called now and then with bytes done and bytes in all. May be empty.
  std::function<void(std::uint64_t, std::uint64_t)> on_progress{};
  std::shared_ptr<engine::Environment> environment{};  ///< Null for the real one.
  /// The caller owns the open store: take no lock, and expect rows to be appended meanwhile.
  bool online = false;
};

/// Checks the store in directory `path` without writing to it. Takes the store's lock meanwhile,
/// unless `online` is set.
/// Errors: kLocked, kNotFound, kNotAStore, kUnsupported, kIo. Damage is in the report, not an error.
Result<FsckReport> fsck(const std::string& path, const FsckOptions& options = {});

}  // namespace vectolith
