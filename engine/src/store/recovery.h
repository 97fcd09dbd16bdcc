/// @file
/// Open: from the manifest and the files of a store to families, indexes and a journal to go on with.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include <vectolith/format/journal.h>
#include <vectolith/format/result.h>

#include "log/journal_file.h"
#include "manifest/manifest_log.h"
#include "segment/segment_scan.h"
#include "store/committer.h"
#include "store/segment_factory.h"
#include "store/store_context.h"

namespace vectolith::engine {

/// What the committer takes over.
struct Recovered {
  Sequence next_sequence;
  Sequence reserved_until;
  std::unique_ptr<JournalFile> journal;  ///< Null when read-only.
  std::uint64_t next_journal_id = 1;
  std::vector<SealJob> seal_jobs;  ///< Frozen segments: to be synced and sealed in the background.
};

/// Brings a store's memory in line with its files. Rules R1 to R10 of docs/durability.md.
///
/// Reads everything first and decides; then one manifest edit freezes what was left open, and only
/// after it is durable does the store serve. A crash anywhere inside leads to the same outcome again.
class Recovery {
 public:
  Recovery(StoreContext& context, SegmentFactory& factory, ManifestLog& manifest)
      : context_(context), factory_(factory), manifest_(manifest) {}

  /// Errors: kCorruption (structure that cannot be trusted; names fsck), kLocked, kIo, kNoSpace.
  Result<Recovered> run();

 private:
  struct Opened {
    SegmentEntry entry;
    std::shared_ptr<FamilyState> family;
    std::shared_ptr<MappedSegment> segment;
    SegmentScan scan;
    bool remove = false;
  };
  struct Death {
    FamilyId family;
    Key key;
    Sequence sequence;
  };

  [[nodiscard]] bool is_clean() const { return manifest_.state().clean_close().has_value(); }
  Result<void> handle_orphans();
  Result<void> handle_orphan(const std::string& name, bool is_segment);
  /// Removes an orphan that an earlier open set aside, once nothing is in flight into it. Others stay.
  Result<void> remove_set_aside(const std::string& name);
  Result<void> read_journals();
  Result<void> read_journal(const JournalEntry& entry, bool is_newest);
  Result<void> open_segments();
  Result<void> open_segment(Opened& opened);
  Result<void> check_header(const Opened& opened) const;
  Result<void> scan_segment(Opened& opened);
  void report_damage(const Opened& opened) const;
  Result<void> build_indexes();
  Result<void> build_index(FamilyState& family);
  Result<void> insert_rows(FamilyState& family, std::span<const std::pair<std::uint64_t, Location>> rows,
                           Index::Rebuild& rebuild);
  Result<void> insert_newest(FamilyState& family, Index::Rebuild& rebuild, std::uint64_t hash,
                             Location location);
  void apply_deaths();
  Result<void> commit_outcome(Recovered& recovered);
  Result<void> replace_journal(Recovered& recovered, std::vector<format::Edit>& edits);
  Result<void> keep_journal(Recovered& recovered);
  [[nodiscard]] static bool must_freeze(const Opened& opened);
  void resume_or_seal(Opened& opened, Recovered& recovered);

  StoreContext& context_;
  SegmentFactory& factory_;
  ManifestLog& manifest_;
  std::vector<Opened> opened_;
  std::map<JournalId, std::unique_ptr<JournalFile>> journals_;
  std::vector<Death> deaths_;
  std::vector<format::JournalRow> newest_rows_;  ///< Erases of the newest journal, to be carried over.
  std::map<SegmentId, std::uint32_t> watermarks_;
};

}  // namespace vectolith::engine
