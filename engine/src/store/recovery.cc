/// @file
/// Opening files, scanning what was left unsealed, and committing the outcome.
#include "store/recovery.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <utility>

#include <vectolith/format/file_name.h>

#include "manifest/lock_wait.h"
#include "no_memory.h"
#include "planted_bug.h"
#include "segment/sealing.h"

namespace vectolith::engine {
namespace {

constexpr std::uint32_t kJournalRows = 65'472;  // 4 MiB with the header.

Error newer_than_manifest(const std::string& file, std::uint64_t named, ManifestVersion found) {
  return Error(ErrorCode::kCorruption,
               "a file names a newer manifest than the one found; run 'vectolith fsck'")
      .with_file(file)
      .with_expected("manifest frame " + std::to_string(named))
      .with_found("frame " + std::to_string(found.value));
}

}  // namespace

Result<Recovered> Recovery::run() {
  for (const auto& [id, entry] : manifest_.state().families()) {
    VECTOLITH_TRY_ASSIGN(context_.families[id], context_.make_family(entry, 0));
  }
  VECTOLITH_TRY(read_journals());
  if (!context_.options.read_only) VECTOLITH_TRY(handle_orphans());
  VECTOLITH_TRY(open_segments());
  VECTOLITH_TRY(build_indexes());
  apply_deaths();

  Recovered recovered;
  recovered.next_sequence =
      is_clean() ? manifest_.state().clean_close()->next_sequence : manifest_.state().sequences_until();
  recovered.reserved_until =
      recovered.next_sequence;  // The first write reserves, and so marks the store in use.
  if (!context_.options.read_only) VECTOLITH_TRY(commit_outcome(recovered));
  return recovered;
}

Result<void> Recovery::handle_orphans() {
  VECTOLITH_TRY_ASSIGN(const auto names, context_.directory->list());
  for (const auto& name : names) {
    const auto parsed = format::parse_name(name);
    if (!parsed) {
      VECTOLITH_TRY(remove_set_aside(name));
      continue;
    }
    using Kind = format::ParsedName::Kind;
    const auto& state = manifest_.state();
    const bool orphan_segment =
        parsed->kind == Kind::kSegment && !state.segments().contains(SegmentId(parsed->number));
    const bool orphan_journal =
        parsed->kind == Kind::kJournal && !state.journals().contains(JournalId(parsed->number));
    if (orphan_segment || orphan_journal) VECTOLITH_TRY(handle_orphan(name, orphan_segment));
  }
  return {};
}

Result<void> Recovery::handle_orphan(const std::string& name, bool is_segment) {
  VECTOLITH_TRY_ASSIGN(auto file, context_.directory->open(name, OpenMode::kReadWrite));
  std::array<std::byte, format::kSegmentHeaderBytes> bytes{};
  VECTOLITH_TRY_ASSIGN(const auto length, file->read_at(0, bytes));
  std::uint64_t version = 0;
  if (length == bytes.size()) {
    if (is_segment) {
      if (const auto header = format::decode_segment_header(bytes)) version = header->manifest_version.value;
    } else if (const auto header = format::decode_journal_header(bytes)) {
      version = header->manifest_version.value;
    }
  }
  if (version > manifest_.version().value)
    return std::unexpected(newer_than_manifest(file->path(), version, manifest_.version()));
  // Nothing in it was ever acknowledged: the manifest edit that names a file precedes its first row.
  // While a dead process's write is still in flight the file is set aside instead of removed.
  VECTOLITH_TRY_ASSIGN(const bool locked, file->try_lock(LockMode::kExclusive));
  if (locked) return context_.directory->unlink(name);
  return context_.directory->rename(name, std::string(format::kOrphanPrefix) + name);
}

Result<void> Recovery::remove_set_aside(const std::string& name) {
  constexpr auto kPrefix = format::kOrphanPrefix;
  if (!name.starts_with(kPrefix) || !format::parse_name(name.substr(kPrefix.size()))) return {};
  VECTOLITH_TRY_ASSIGN(const auto file, context_.directory->open(name, OpenMode::kReadWrite));
  VECTOLITH_TRY_ASSIGN(const bool landed, file->try_lock(LockMode::kExclusive));
  if (!landed) return {};
  return context_.directory->unlink(name);
}

Result<void> Recovery::read_journals() {
  const auto& entries = manifest_.state().journals();
  for (const auto& [id, entry] : entries) {
    VECTOLITH_TRY(read_journal(entry, id == entries.rbegin()->first));
  }
  return {};
}

Result<void> Recovery::read_journal(const JournalEntry& entry, bool is_newest) {
  const auto mode = context_.options.read_only ? OpenMode::kReadOnly : OpenMode::kReadWrite;
  VECTOLITH_TRY_ASSIGN(auto journal, JournalFile::open(*context_.directory, entry.id, mode));
  if (journal->header().journal_uuid != entry.uuid || journal->header().store_uuid != context_.store_uuid) {
    return std::unexpected(
        Error(ErrorCode::kCorruption, "a journal belongs to another store or life; run 'vectolith fsck'")
            .with_file(journal->file().path()));
  }
  if (!context_.options.read_only) {
    VECTOLITH_TRY(lock_within(*context_.environment, journal->file(), LockMode::kExclusive,
                              context_.options.lock_timeout));
  }
  std::uint32_t newest_version = 0;
  VECTOLITH_TRY_ASSIGN(const auto scan, journal->scan([&](const format::JournalRow& row) {
    newest_version = std::max(newest_version, row.manifest_version);
    if (row.kind() == format::JournalKind::kErase) {
      deaths_.push_back({row.family, row.key, row.sequence()});
      if (is_newest) newest_rows_.push_back(row);
    } else if (row.kind() == format::JournalKind::kWatermark) {
      auto& watermark = watermarks_[row.watermark_segment()];
      watermark = std::max(watermark, row.watermark_rows());
    }
  }));
  if (newest_version > static_cast<std::uint32_t>(manifest_.version().value)) {
    return std::unexpected(newer_than_manifest(journal->file().path(), newest_version, manifest_.version()));
  }
  const bool clean = is_clean() && is_newest;
  // Behind the rows that a clean close counted, a write that failed may have left a part.
  const auto lacks = [&] { return scan.rows < manifest_.state().clean_close()->journal_rows; };
  if ((clean && (lacks() || scan.invalid > scan.invalid_tail)) || (!is_newest && scan.invalid > 0)) {
    context_.report(Event::Kind::kCorruption, "a journal row is damaged: an erase may be forgotten",
                    Error(ErrorCode::kCorruption, "damaged journal rows").with_file(journal->file().path()));
    add(context_.counters.damaged_rows, std::max(scan.invalid, 1U));
  }
  journal->set_next_row(scan.rows);
  journal->set_rows_durable(scan.rows);
  journals_.emplace(entry.id, std::move(journal));
  return {};
}

Result<void> Recovery::open_segments() {
  for (const auto& [id, entry] : manifest_.state().segments()) {
    const auto family = context_.families.find(entry.family);
    if (family == context_.families.end())
      return fail(ErrorCode::kCorruption, "a segment's family is unknown; run 'vectolith fsck'");
    opened_.push_back({entry, family->second, nullptr, {}, false});
  }
  std::vector<std::optional<Error>> errors(opened_.size());
  context_.environment->run_parallel(opened_.size(), [&](std::size_t i) {
    auto done = catch_no_memory([&] { return open_segment(opened_[i]); });
    if (!done) errors[i] = std::move(done).error();
  });
  for (auto& error : errors) {
    if (error) return std::unexpected(std::move(*error));
  }
  for (auto& opened : opened_) {
    report_damage(opened);
    if (opened.remove) continue;
    VECTOLITH_TRY(reserve_ordinals(*opened.family, 1));
    attach_segment(*opened.family, opened.segment);
  }
  return {};
}

Result<void> Recovery::check_header(const Opened& opened) const {
  const auto& header = opened.segment->header();
  const auto& family = *opened.family;
  const auto mismatch = [&](const char* what) {
    return std::unexpected(
        Error(ErrorCode::kCorruption, std::string("a segment's header disagrees with the manifest: ") + what +
                                          "; run 'vectolith fsck'")
            .with_file(opened.segment->path())
            .with_offset(0));
  };
  if (header.store_uuid != context_.store_uuid) return mismatch("store");
  if (header.segment_id != opened.entry.id) return mismatch("segment id");
  if (header.segment_uuid != opened.entry.uuid) return mismatch("segment life");
  if (header.family_id != family.id || header.kind != family.kind) return mismatch("family");
  if (header.row_bytes != family.row_bytes || header.fingerprint != family.fingerprint)
    return mismatch("model spec");
  if (header.file_bytes != opened.entry.file_bytes) return mismatch("file size");
  if (header.manifest_version > manifest_.version()) {
    return std::unexpected(
        newer_than_manifest(opened.segment->path(), header.manifest_version.value, manifest_.version()));
  }
  return {};
}

Result<void> Recovery::open_segment(Opened& opened) {
  const bool writable = !context_.options.read_only;
  const bool settled = opened.entry.phase == SegmentPhase::kSealed;
  VECTOLITH_TRY_ASSIGN(
      opened.segment,
      MappedSegment::open(*context_.directory, opened.entry.id,
                          writable ? OpenMode::kReadWrite : OpenMode::kReadOnly, context_.heap));
  VECTOLITH_TRY(check_header(opened));
  auto& segment = *opened.segment;
  segment.invalid = opened.entry.invalid;
  if (writable && !settled && !is_planted(PlantedBug::kAppendToInheritedSegment)) {
    VECTOLITH_TRY(lock_within(*context_.environment, segment.file(), LockMode::kExclusive,
                              context_.options.lock_timeout));
  } else {
    VECTOLITH_TRY(segment.file().try_lock(LockMode::kShared));
  }
  if (writable && (settled || opened.entry.phase == SegmentPhase::kFrozen) &&
      opened.entry.row_count < segment.capacity()) {
    VECTOLITH_TRY(release_unused_tail(segment, opened.entry.row_count));
  }
  VECTOLITH_TRY(segment.map());
  return scan_segment(opened);
}

Result<void> Recovery::scan_segment(Opened& opened) {
  auto& segment = *opened.segment;
  const auto& entry = opened.entry;
  const auto known = watermarks_.find(entry.id);
  const std::uint32_t watermark = known == watermarks_.end() ? 0 : known->second;
  std::uint32_t durable = entry.row_count;
  if (entry.phase == SegmentPhase::kActive) {
    VECTOLITH_TRY_ASSIGN(opened.scan, scan_unsealed(segment, std::min(watermark, segment.capacity())));
    durable = opened.scan.watermark;
    add(context_.counters.recovered_rows, opened.scan.kept);
  } else {
    if (entry.phase == SegmentPhase::kFrozen)
      durable = std::min(entry.row_count, std::max(entry.rows_durable, watermark));
    VECTOLITH_TRY_ASSIGN(opened.scan, scan_settled(segment, entry.row_count, durable));
  }
  const bool is_unsynced = entry.phase == SegmentPhase::kActive || durable < entry.row_count;
  opened.remove = is_unsynced && opened.scan.kept == 0 && opened.scan.damaged.empty();
  segment.invalid = opened.scan.invalid;
  segment.set_rows(opened.scan.row_count);
  segment.set_rows_durable(std::min(durable, opened.scan.row_count));
  segment.is_inherited = segment.rows_durable() < segment.rows();
  return {};
}

void Recovery::report_damage(const Opened& opened) const {
  for (const auto row : opened.scan.damaged) {
    add(context_.counters.damaged_rows);
    context_.report(Event::Kind::kCorruption, "an acknowledged row is damaged; it is quarantined",
                    Error(ErrorCode::kCorruption, "the row's sum does not hold")
                        .with_file(opened.segment->path())
                        .with_offset(opened.segment->meta_offset(row)));
  }
}

void Recovery::resume_or_seal(Opened& opened, Recovered& recovered) {
  auto& family = *opened.family;
  // A family that is killed again and again before it fills a segment must not get a larger one each time.
  const bool was_filled = opened.scan.row_count > opened.segment->capacity() / 2;
  family.next_segment_bytes =
      std::min(family.segment_bytes_target,
               std::max(family.next_segment_bytes.load(), opened.entry.file_bytes * (was_filled ? 2 : 1)));
  const bool may_resume =
      opened.entry.phase == SegmentPhase::kSuspended ||
      (opened.entry.phase == SegmentPhase::kActive && is_planted(PlantedBug::kAppendToInheritedSegment));
  if (may_resume && opened.scan.damaged.empty() && family.active == nullptr) {
    family.active = opened.segment;
    family.next_row = opened.scan.row_count;
    return;
  }
  if (opened.entry.phase == SegmentPhase::kSealed) {
    opened.segment->set_settled();
  } else {
    recovered.seal_jobs.push_back({opened.family, opened.segment});
  }
}

bool Recovery::must_freeze(const Opened& opened) {
  if (opened.entry.phase == SegmentPhase::kActive) return !is_planted(PlantedBug::kAppendToInheritedSegment);
  // Power took rows that had been found after a kill: what is invalid now stays so, too.
  return opened.entry.phase == SegmentPhase::kFrozen && opened.scan.invalid != opened.entry.invalid;
}

Result<void> Recovery::commit_outcome(Recovered& recovered) {
  std::vector<format::Edit> edits;
  for (auto& opened : opened_) {
    if (opened.remove) {
      edits.emplace_back(format::RemoveSegment{opened.entry.id});
    } else if (must_freeze(opened)) {
      edits.emplace_back(format::FreezeSegment{opened.entry.id, opened.scan.row_count,
                                               opened.segment->rows_durable(), opened.scan.invalid});
    }
  }
  factory_.set_next_ids(manifest_.state().next_ids());
  recovered.next_journal_id = manifest_.state().next_ids().journal.value;
  if (is_clean() && !journals_.empty()) {
    recovered.journal = std::move(journals_.rbegin()->second);
  } else {
    VECTOLITH_TRY(replace_journal(recovered, edits));
  }
  if (!edits.empty()) VECTOLITH_TRY(manifest_.commit(edits, true));
  for (const auto& edit : edits) {
    if (const auto* removed = std::get_if<format::RemoveJournal>(&edit)) {
      VECTOLITH_TRY(context_.directory->unlink(format::journal_name(removed->journal)));
    }
  }
  for (auto& opened : opened_) {
    if (opened.remove) {
      factory_.remove_file(*opened.segment);
    } else {
      resume_or_seal(opened, recovered);
    }
  }
  return {};
}

Result<void> Recovery::replace_journal(Recovered& recovered, std::vector<format::Edit>& edits) {
  // After an unclean end a write of the dead process may still land in the newest journal: its valid
  // rows move to a fresh file, so that what was invalid stays invalid for ever.
  format::JournalHeader header;
  header.row_capacity =
      std::max<std::uint32_t>(kJournalRows, static_cast<std::uint32_t>(newest_rows_.size()) * 2);
  header.store_uuid = context_.store_uuid;
  header.journal_uuid = context_.random_uuid();
  header.journal_id = JournalId(recovered.next_journal_id++);
  header.manifest_version = manifest_.version();
  auto created = JournalFile::create(*context_.directory, header);
  if (!created && created.error().code() == ErrorCode::kNoSpace && !journals_.empty())
    return keep_journal(recovered);
  if (!created) return std::unexpected(std::move(created).error());
  recovered.journal = *std::move(created);
  auto& journal = *recovered.journal;
  for (auto& row : newest_rows_) {
    if (!context_.families.contains(row.family) || is_planted(PlantedBug::kForgetDeaths)) continue;
    row.manifest_version = static_cast<std::uint32_t>(manifest_.version().value);
    const auto offset = journal.place(row);
    VECTOLITH_TRY(journal.file().write_at(offset, std::as_bytes(std::span(&row, 1))));
  }
  VECTOLITH_TRY(journal.file().data_sync());
  journal.set_rows_durable(journal.next_row());
  VECTOLITH_TRY_ASSIGN(const auto bytes, journal.file().size());
  edits.emplace_back(format::AddJournal{header.journal_id, header.journal_uuid, bytes});
  if (journals_.empty()) return {};
  const JournalId old = journals_.rbegin()->first;
  edits.emplace_back(format::RemoveJournal{old});
  return {};
}

Result<void> Recovery::keep_journal(Recovered& recovered) {
  // A full disk refuses a new file, and must not keep the store from opening. Its lock says that no write
  // is under way in the old one. Its rows are written again, as a barrier for them may have failed before,
  // and what did not hold becomes zeros, so that nothing of it ever counts.
  auto& journal = *journals_.rbegin()->second;
  std::vector<std::byte> bytes(std::uint64_t{journal.header().row_capacity} * sizeof(format::JournalRow));
  VECTOLITH_TRY(journal.file().read_exact(format::kJournalHeaderBytes, bytes));
  for (std::uint32_t row = 0; row < journal.header().row_capacity; ++row) {
    const auto at =
        std::span(bytes).subspan(std::size_t{row} * sizeof(format::JournalRow), sizeof(format::JournalRow));
    format::JournalRow value;
    std::memcpy(&value, at.data(), sizeof value);
    if (format::classify_journal_row(value, journal.header().journal_uuid, row) ==
        format::JournalRowState::kInvalid)
      std::ranges::fill(at, std::byte{0});
  }
  VECTOLITH_TRY(journal.file().write_at(format::kJournalHeaderBytes, bytes));
  VECTOLITH_TRY(journal.file().data_sync());
  recovered.next_journal_id = manifest_.state().next_ids().journal.value;
  recovered.journal = std::move(journals_.rbegin()->second);
  return {};
}

}  // namespace vectolith::engine
