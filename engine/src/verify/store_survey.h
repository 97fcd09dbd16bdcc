/// @file
/// Everything that the files of a store still tell, whatever their condition: the ground of repair and
/// salvage.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <vectolith/format/journal.h>
#include <vectolith/format/result.h>
#include <vectolith/format/segment.h>

#include "io/environment.h"
#include "manifest/manifest_file.h"
#include "manifest/manifest_state.h"
#include "verify/manifest_harvest.h"

namespace vectolith::engine {

/// A file with the name of a segment.
struct SurveyedSegment {
  std::string name;
  std::uint64_t size = 0;
  std::optional<format::SegmentHeader> header;  ///< Of this store and with the id of the name.
  std::string why_unusable;                     ///< Without a header.
};

/// A file with the name of a journal.
struct SurveyedJournal {
  std::string name;
  std::uint64_t size = 0;
  bool is_usable = false;  ///< Its header is whole, of this store and with the id of the name.
  Uuid uuid;               ///< Of the header, or of the manifest's entry if the header is damaged.
  std::vector<format::JournalRow> erases;  ///< All that can be read.
};

/// What was learnt.
struct StoreSurvey {
  std::vector<std::string> names;  ///< Of the directory, sorted.
  Uuid store_uuid;                 ///< The one that most files agree on.
  std::uint64_t created_at_s = 0;
  bool is_superblock_whole = false;  ///< Both copies are, and of this store.
  ManifestPair manifests;
  std::array<std::vector<std::byte>, 2> manifest_bytes;
  std::array<bool, 2> is_manifest_there{};
  /// Index of the manifest file that holds the newest state, if it can be trusted: then `state` is its state,
  /// else what `harvest` made of the remains.
  std::optional<int> trusted;
  ManifestState state;
  ManifestHarvest harvest;
  ManifestVersion newest;  ///< No file names a newer manifest frame.
  std::map<SegmentId, SurveyedSegment> segments;
  std::map<JournalId, SurveyedJournal> journals;
  std::map<SegmentId, std::uint32_t> watermarks;  ///< As journals attest.
  Sequence newest_erase;
  FamilyId highest_family;  ///< That any header or journal row names.
};

/// Reads structure, headers and journals; no rows. Writes nothing and takes no lock.
/// Errors: kNotAStore, kIo if the directory cannot be listed; kUnsupported if a newer version wrote a file.
Result<StoreSurvey> survey_store(Directory& directory);

/// The header that a segment of `entry` must have had, for a file whose header is damaged. Whether it is
/// the one, the rows' sums tell. Absent if the manifest's family does not fit the file's size.
std::optional<format::SegmentHeader> rebuild_header(const SegmentEntry& entry, const FamilyEntry& family,
                                                    const Uuid& store_uuid);

}  // namespace vectolith::engine
