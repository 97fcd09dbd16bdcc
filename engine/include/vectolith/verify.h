/// @file
/// fsck and what follows from it: checks every byte that a sum covers, and repairs what can be repaired.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <vectolith/format/ids.h>
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

/// One change that a repair makes, or a loss that it records.
struct RepairAction {
  /// In the order in which a repair works.
  enum class Kind : std::uint8_t {
    kRewriteSuperblock,  ///< Both copies of STORE are written anew.
    kResizeFile,         ///< A segment's file gets the size that its header says.
    kRewriteHeader,      ///< A segment's header is written anew from what the manifest says of it.
    kWriteJournal,       ///< A new journal takes over the erases that can still be read.
    kSetAside,           ///< A file is renamed to `quarantine-NAME`.
    kForgetFile,         ///< The manifest no longer names a file that is missing.
    kName,               ///< A family or interned id whose name is lost gets one.
    kQuarantineRows,     ///< Damaged rows are called invalid in the manifest.
    kWriteManifest,      ///< A new manifest takes the place of the old one.
    kRenewManifestFile,  ///< A manifest file that is missing or not usable is made anew, empty.
  };
  Kind kind{};
  std::string file;  ///< Empty for kName.
  std::string what;  ///< For a person.
};

/// What a repair would do, or did.
struct RepairReport {
  FsckReport before;
  std::vector<RepairAction> actions;   ///< In the order in which they are done. Empty: nothing to repair.
  std::uint64_t rows_quarantined = 0;  ///< Rows (of records: gaps) that cannot be read any more.
  /// Of these, rows whose key is unreadable too: if one replaced an older version, that one answers again.
  std::uint64_t rows_of_unknown_key = 0;
  std::uint64_t files_lost = 0;  ///< Files that are missing or were set aside with what they held.
  bool applied = false;
  std::optional<FsckReport> after;  ///< Of the repaired store, if `applied`.
};

struct RepairOptions {
  bool apply = false;  ///< Not set: only plan.
  /// Names for families whose names are lost. Others are called `recovered-<id>`.
  std::map<FamilyId, std::string> family_names{};
  std::shared_ptr<engine::Environment> environment{};  ///< Null for the real one.
};

/// Plans the repair of the damaged store in directory `path`, and makes it if `options.apply` is set.
///
/// Nothing that might still be needed is deleted: files that cannot be used are renamed to `quarantine-NAME`,
/// and a manifest that is replaced is copied to such a name first. A crash inside leaves a store that another
/// repair finishes. docs/repair.md tells what can be recovered.
/// Errors: kLocked, kNotFound, kNotAStore, kIo, kNoSpace; kUnsupported: what a newer version wrote is never
///         repaired; kInvalidArgument for an illegal or repeated family name.
Result<RepairReport> repair(const std::string& path, const RepairOptions& options = {});

}  // namespace vectolith
