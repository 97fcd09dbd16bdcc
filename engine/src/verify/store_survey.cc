/// @file
/// Reads superblock, manifests, headers and journals, and weighs what they say against each other.
#include "verify/store_survey.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <vectolith/format/file_name.h>
#include <vectolith/format/superblock.h>

#include "verify/fsck_directory.h"
#include "verify/loose_read.h"

namespace vectolith::engine {
namespace {

using NameKind = format::ParsedName::Kind;

class Surveyor {
 public:
  explicit Surveyor(Directory& directory) : directory_(directory) {}

  Result<StoreSurvey> run() {
    VECTOLITH_TRY_ASSIGN(survey_.names, directory_.list());
    std::ranges::sort(survey_.names);
    VECTOLITH_TRY(read_heads());
    choose_uuid();
    judge_superblock();
    VECTOLITH_TRY(read_manifests());
    for (auto& [id, segment] : survey_.segments) judge_segment_header(id, segment);
    for (auto& [id, journal] : survey_.journals) read_journal(id, journal);
    trust();
    return std::move(survey_);
  }

 private:
  Result<void> read_heads() {
    VECTOLITH_TRY(expect_store(directory_));
    for (const std::string& name : survey_.names) {
      const auto parsed = format::parse_name(name);
      if (!parsed) continue;
      switch (parsed->kind) {
        case NameKind::kSuperblock: VECTOLITH_TRY(read_superblock(name)); break;
        case NameKind::kManifest: read_manifest(name, static_cast<std::size_t>(parsed->number)); break;
        case NameKind::kSegment: VECTOLITH_TRY(read_segment(name, SegmentId(parsed->number))); break;
        case NameKind::kJournal: VECTOLITH_TRY(read_journal_head(name, JournalId(parsed->number))); break;
        default: break;
      }
    }
    return {};
  }

  Result<void> read_superblock(const std::string& name) {
    const auto file = directory_.open(name, OpenMode::kReadOnly);
    if (!file) return {};
    superblock_size_ = size_of(**file);
    for (std::size_t i : {0U, 1U}) {
      std::vector<std::byte> copy(format::kSuperblockBytes);
      read_loosely(**file, i * copy.size(), copy);
      auto superblock = format::decode_superblock(copy);
      if (!superblock && superblock.error().code() == ErrorCode::kUnsupported)
        return std::unexpected(superblock.error());
      if (superblock) superblocks_[i] = *superblock;
    }
    return {};
  }

  void read_manifest(const std::string& name, std::size_t index) {
    const auto file = directory_.open(name, OpenMode::kReadOnly);
    if (!file) return;
    const std::uint64_t size = size_of(**file);
    if (size > kManifestFileBytesMax) return;
    survey_.is_manifest_there[index] = true;
    survey_.manifest_bytes[index].resize(size);
    read_loosely(**file, 0, survey_.manifest_bytes[index]);
  }

  Result<void> read_segment(const std::string& name, SegmentId id) {
    SurveyedSegment& segment = survey_.segments[id];
    segment.name = name;
    const auto file = directory_.open(name, OpenMode::kReadOnly);
    if (!file) {
      segment.why_unusable = file.error().to_string();
      return {};
    }
    segment.size = size_of(**file);
    std::vector<std::byte> bytes(format::kSegmentHeaderBytes);
    read_loosely(**file, 0, bytes);
    auto header = format::decode_segment_header(bytes);
    if (header) {
      segment.header = *header;
    } else if (header.error().code() == ErrorCode::kUnsupported) {
      return std::unexpected(header.error());
    } else {
      segment.why_unusable = header.error().message();
    }
    return {};
  }

  Result<void> read_journal_head(const std::string& name, JournalId id) {
    SurveyedJournal& journal = survey_.journals[id];
    journal.name = name;
    const auto file = directory_.open(name, OpenMode::kReadOnly);
    if (!file) return {};
    journal.size = size_of(**file);
    std::vector<std::byte> bytes(format::kJournalHeaderBytes);
    read_loosely(**file, 0, bytes);
    // What the bytes say, whether their sum holds or not: the rows' sums prove it.
    std::memcpy(&journal.uuid, bytes.data() + offsetof(format::JournalHeader, journal_uuid), sizeof(Uuid));
    const auto header = format::decode_journal_header(bytes);
    if (header) {
      journal_headers_[id] = *header;
    } else if (header.error().code() == ErrorCode::kUnsupported) {
      return std::unexpected(header.error());
    }
    return {};
  }

  /// The manifest outweighs one copy of the superblock, so that a STORE of another store is found out.
  void choose_uuid() {
    std::map<Uuid, int> votes;
    for (const auto& superblock : superblocks_)
      if (superblock) votes[superblock->store_uuid] += 1;
    for (const auto& bytes : survey_.manifest_bytes)
      if (const auto header = format::decode_manifest_header(bytes)) votes[header->store_uuid] += 2;
    for (const auto& [id, segment] : survey_.segments)
      if (segment.header) votes[segment.header->store_uuid] += 1;
    for (const auto& [id, header] : journal_headers_) votes[header.store_uuid] += 1;
    const auto most = std::ranges::max_element(votes, {}, [](const auto& vote) { return vote.second; });
    if (most != votes.end()) survey_.store_uuid = most->first;
  }

  void judge_superblock() {
    const auto is_ours = [this](const auto& copy) { return copy && copy->store_uuid == survey_.store_uuid; };
    survey_.is_superblock_whole = superblock_size_ >= format::kSuperblockFileBytes &&
                                  is_ours(superblocks_[0]) && is_ours(superblocks_[1]);
    for (const auto& copy : superblocks_)
      if (is_ours(copy)) survey_.created_at_s = copy->created_at_s;
    if (survey_.created_at_s != 0) return;
    for (const auto& [id, segment] : survey_.segments) {
      if (!segment.header) continue;
      const std::uint64_t at = segment.header->created_at_s;
      survey_.created_at_s = survey_.created_at_s == 0 ? at : std::min(survey_.created_at_s, at);
    }
  }

  Result<void> read_manifests() {
    for (std::size_t i : {0U, 1U})
      survey_.manifests.files[i] = read_manifest_file(
          survey_.manifest_bytes[i], format::manifest_name(static_cast<int>(i)), survey_.store_uuid);
    // Frames do not name their store: those of a file whose header names another one stay out.
    std::vector<std::vector<std::byte>> ours;
    for (const auto& bytes : survey_.manifest_bytes) {
      const auto header = format::decode_manifest_header(bytes);
      if (!header || header->store_uuid == survey_.store_uuid) ours.push_back(bytes);
    }
    survey_.harvest = harvest_manifests(ours);
    survey_.newest = survey_.harvest.newest;
    for (const ManifestFile& file : survey_.manifests.files)
      survey_.newest = std::max({survey_.newest, file.version, file.witness});
    const auto chosen = survey_.manifests.choose();
    if (chosen) {
      survey_.trusted = *chosen;
      const auto& file = survey_.manifests.files[static_cast<std::size_t>(*chosen)];
      survey_.state = file.state;
      version_ = file.version;
    } else if (chosen.error().code() == ErrorCode::kUnsupported) {
      return std::unexpected(chosen.error());
    } else {
      survey_.state = survey_.harvest.state;
      version_ = survey_.newest;
    }
    return {};
  }

  void judge_segment_header(SegmentId id, SurveyedSegment& segment) {
    if (!segment.header) return;
    const auto refuse = [&](std::string why) {
      segment.why_unusable = std::move(why);
      segment.header.reset();
    };
    if (segment.header->store_uuid != survey_.store_uuid) return refuse("it belongs to another store");
    if (segment.header->segment_id != id)
      return refuse("it is segment " + std::to_string(segment.header->segment_id.value) + " by its header");
    name_version(segment.header->manifest_version);
    survey_.highest_family = std::max(survey_.highest_family, segment.header->family_id);
  }

  void read_journal(JournalId id, SurveyedJournal& journal) {
    const auto header = journal_headers_.find(id);
    if (header != journal_headers_.end() && header->second.store_uuid == survey_.store_uuid &&
        header->second.journal_id == id) {
      journal.is_usable = true;
      name_version(header->second.manifest_version);
    } else if (header != journal_headers_.end()) {
      return;  // Another store's, or another journal's.
    }
    read_journal_rows(journal);
    const auto entry = survey_.state.journals().find(id);
    if (journal.is_usable || !journal.erases.empty() || entry == survey_.state.journals().end()) return;
    journal.uuid = entry->second.uuid;
    read_journal_rows(journal);
  }

  void read_journal_rows(SurveyedJournal& journal) {
    constexpr std::uint32_t kRowsPerRead = 16'384;
    const auto file = directory_.open(journal.name, OpenMode::kReadOnly);
    if (!file || journal.size < format::kJournalHeaderBytes) return;
    const auto rows_in_file = static_cast<std::uint32_t>(std::min<std::uint64_t>(
        (journal.size - format::kJournalHeaderBytes) / sizeof(format::JournalRow), ~0U));
    std::vector<format::JournalRow> rows(kRowsPerRead);
    for (std::uint32_t first = 0; first < rows_in_file;) {
      const auto piece = std::span(rows).first(std::min(rows_in_file - first, kRowsPerRead));
      read_loosely(**file, format::kJournalHeaderBytes + std::uint64_t{first} * sizeof(format::JournalRow),
                   std::as_writable_bytes(piece));
      for (std::uint32_t i = 0; i < piece.size(); ++i) {
        if (format::classify_journal_row(piece[i], journal.uuid, first + i) ==
            format::JournalRowState::kValid)
          take_row(journal, piece[i]);
      }
      first += static_cast<std::uint32_t>(piece.size());
    }
  }

  void take_row(SurveyedJournal& journal, const format::JournalRow& row) {
    // Rows keep 32 bits of a version; the nearest number with these bits is meant.
    const auto ahead =
        static_cast<std::int32_t>(row.manifest_version - static_cast<std::uint32_t>(version_.value));
    if (ahead > 0) name_version(ManifestVersion(version_.value + static_cast<std::uint32_t>(ahead)));
    if (row.kind() == format::JournalKind::kWatermark) {
      auto& watermark = survey_.watermarks[row.watermark_segment()];
      watermark = std::max(watermark, row.watermark_rows());
      return;
    }
    survey_.newest_erase = std::max(survey_.newest_erase, row.sequence());
    survey_.highest_family = std::max(survey_.highest_family, row.family);
    journal.erases.push_back(row);
  }

  void name_version(ManifestVersion version) {
    named_ = std::max(named_, version);
    survey_.newest = std::max(survey_.newest, version);
  }

  /// A file that names a newer manifest proves that edits are lost: then the remains are all there is.
  void trust() {
    if (!survey_.trusted || named_ <= version_) return;
    survey_.trusted.reset();
    survey_.state = survey_.harvest.state;
  }

  static std::uint64_t size_of(const File& file) {
    const auto size = file.size();
    return size ? *size : 0;
  }

  Directory& directory_;
  StoreSurvey survey_;
  std::array<std::optional<format::Superblock>, 2> superblocks_;
  std::uint64_t superblock_size_ = 0;
  std::map<JournalId, format::JournalHeader> journal_headers_;
  ManifestVersion version_;  ///< Of the manifest that was chosen.
  ManifestVersion named_;    ///< The newest that a segment or journal names.
};

}  // namespace

Result<StoreSurvey> survey_store(Directory& directory) { return Surveyor(directory).run(); }

std::optional<format::SegmentHeader> rebuild_header(const SegmentEntry& entry, const FamilyEntry& family,
                                                    const Uuid& store_uuid) {
  format::SegmentHeader header;
  header.kind = family.kind;
  header.store_uuid = store_uuid;
  header.segment_uuid = entry.uuid;
  header.segment_id = entry.id;
  header.family_id = entry.family;
  auto geometry = format::record_geometry(entry.file_bytes);
  if (family.spec) {
    geometry =
        format::vector_geometry(entry.file_bytes, static_cast<std::uint32_t>(family.spec->vector_bytes()));
    header.set_spec(*family.spec);
  }
  if (!geometry || geometry->file_bytes != entry.file_bytes) return std::nullopt;
  header.set_geometry(*geometry);
  return header;
}

}  // namespace vectolith::engine
