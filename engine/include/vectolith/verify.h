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
#include <vectolith/format/key.h>
#include <vectolith/format/result.h>
#include <vectolith/options.h>

// Memory: every function here answers kNoMemory where memory is refused. What a repair has done by then
// another one goes on from; what a salvage has written is to be removed.

namespace vectolith {

/// One thing fsck found.
struct Finding {
  enum class Severity : std::uint8_t {
    kInfo,     ///< Normal after a kill: an unfinished row, an orphan file, a store in use.
    kWarning,  ///< Odd but harmless to acknowledged data.
    kDamage,   ///< Acknowledged data or structure is damaged.
  };
  /// What stands there. Persistent values: the control socket carries them.
  enum class Kind : std::uint8_t {
    kOther = 0,               ///< None of those below.
    kAcknowledgedDamage = 1,  ///< Bytes that were promised fail their sum.
    kUnacknowledgedTail = 2,  ///< The end of a write that was never acknowledged.
    kStaleEpoch = 3,     ///< Whole bytes of another epoch: an earlier life, an older manifest, a second copy.
    kContradiction = 4,  ///< Sums hold, and what two places say does not agree.
    kMissing = 5,        ///< A file, or the end of one, is not there.
    kUnreadable = 6,     ///< The disk refuses the bytes.
    kStrayBytes = 7,     ///< Bytes where nothing was ever written.
    kForeignFile = 8,    ///< A file that is not the store's.
    kSetAside = 9,       ///< A file that recovery or a repair set aside.
    kOrphan = 10,        ///< A file of the store that its manifest does not name.
  };
  Severity severity{};
  Kind kind{};
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

/// Where a scrub goes on: what lies before it was checked.
struct ScrubPosition {
  SegmentId segment{};
  std::uint32_t row = 0;
  friend bool operator==(const ScrubPosition&, const ScrubPosition&) = default;
};

/// What a scrub did.
struct ScrubReport {
  FsckReport found;
  ScrubPosition next;        ///< Where the next one goes on; the beginning if `is_complete`.
  bool is_complete = false;  ///< The last segment was checked to its end.
};

struct ScrubOptions {
  ScrubPosition from{};           ///< As `ScrubReport::next` told; the default is the beginning.
  std::uint64_t bytes_per_s = 0;  ///< Reads no faster than this. 0: as fast as the disk.
  /// Stops once this much of the segments was read, at the next row of a settled vector segment, or after
  /// the whole of any other segment. 0: does not stop.
  std::uint64_t bytes_max = 0;
  /// Asked often, in a pause from another thread: true stops the scrub at the next place where `bytes_max`
  /// could, without a pause until there.
  std::function<bool()> should_stop{};
  std::function<void(std::uint64_t, std::uint64_t)> on_progress{};  ///< As for `fsck`.
  std::shared_ptr<engine::Environment> environment{};               ///< Null for the real one.
  bool online = false;                                              ///< As for `fsck`.
};

/// Checks what `fsck` checks, slowly and in pieces. Each piece reads the structure (superblock, manifest,
/// journals) anew, for rows are judged by it, and reports its damage again; segments are read from
/// `options.from` on. A segment that is made meanwhile has a higher id: a later piece comes to it. Errors: as
/// `fsck`.
Result<ScrubReport> scrub(const std::string& path, const ScrubOptions& options = {});

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

/// What a salvage took over.
struct SalvageReport {
  std::uint64_t families = 0;
  std::uint64_t rows = 0;         ///< Vectors and records written into the new store: the newest of each key.
  std::uint64_t rows_older = 0;   ///< Readable, and superseded by a newer version of their key.
  std::uint64_t rows_erased = 0;  ///< Readable, and erased; or a newer version of their key is damaged.
  std::uint64_t rows_damaged = 0;     ///< Not readable; of records, gaps.
  std::uint64_t rows_unfinished = 0;  ///< Never acknowledged.
  std::uint64_t rows_refused = 0;     ///< The new store would not have them.
  std::uint64_t bytes_unread = 0;     ///< What the disk refused, or a file was too short for.
  /// Files that were not usable, names that were lost, in words.
  std::vector<std::string> remarks;
  /// Whether everything that was acknowledged was taken over, as far as the files tell.
  [[nodiscard]] bool is_complete() const noexcept {
    return rows_damaged == 0 && rows_refused == 0 && bytes_unread == 0 && remarks.empty();
  }
};

struct SalvageOptions {
  std::map<FamilyId, std::string> family_names{};      ///< As for `repair`.
  std::shared_ptr<engine::Environment> environment{};  ///< Null for the real one.
};

/// Copies every row of the store in directory `broken` that can be read into a new store in directory
/// `target`.
///
/// `broken` is never written to. It may lack any of its files; what a repair would do to it is decided in
/// memory only. Of each key the newest version is taken; erases hold that a journal still tells. Errors:
/// kLocked, kNotFound, kNotAStore, kUnsupported, kIo; kExists, kNoSpace for `target`.
Result<SalvageReport> salvage(const std::string& broken, const std::string& target,
                              const SalvageOptions& options = {});

/// A place where bytes of a key or vector still stand.
struct Trace {
  enum class Place : std::uint8_t {
    kLiveRow,     ///< A row that answers a get.
    kDeadRow,     ///< A row that was erased or replaced, or cannot be read.
    kJournalRow,  ///< An erase names the key.
    kSlack,       ///< Anywhere else: unused space, a file that was set aside.
  };
  Place place{};
  std::string file;
  std::uint64_t offset = 0;
  bool is_vector = false;  ///< Found was the vector; else the digest.
};

struct TraceReport {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;  ///< Bytes searched.
  std::uint64_t bytes_unread = 0;
  std::uint64_t found = 0;
  std::vector<Trace> traces;  ///< At most 1,000; all are counted.
};

struct TraceOptions {
  std::vector<std::byte> vector{};  ///< Looked for too, if not empty. Zeros are not looked for.
  std::shared_ptr<engine::Environment> environment{};  ///< Null for the real one.
};

/// Searches every byte of every file in the store's directory for `digest`, at every offset. Takes the
/// store's lock meanwhile. Shorter remains, for example of a compressed payload, are not found. Errors:
/// kLocked, kNotFound, kNotAStore, kUnsupported, kIo; kInvalidArgument for a vector of zeros.
Result<TraceReport> find_traces(const std::string& path, const Digest& digest,
                                const TraceOptions& options = {});

}  // namespace vectolith
