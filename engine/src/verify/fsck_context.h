/// @file
/// What the checks of the single files know of the store as a whole.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <vectolith/format/ids.h>
#include <vectolith/format/segment.h>

#include "manifest/manifest_state.h"
#include "verify/fsck_findings.h"
#include "verify/scrub_window.h"

namespace vectolith::engine {

/// Shared by the checks of one run; filled in the order superblock, manifest, journals, segments.
struct FsckContext {
  Directory& directory;
  FsckFindings& findings;
  /// A writer goes on meanwhile: what is newer than `state` is no contradiction to it.
  bool online = false;
  ScrubWindow window{};                           ///< What is looked at of the segments.
  std::optional<Uuid> store_uuid;                 ///< Unknown if neither superblock nor manifest tells.
  std::optional<ManifestState> state;             ///< Unknown if no manifest can be trusted.
  ManifestVersion version;                        ///< Of `state`.
  std::map<SegmentId, std::uint32_t> watermarks;  ///< Durable rows by segment, as journals attest.
  /// Interned ids that rows use and nobody defined: each is reported once.
  std::set<std::pair<format::InternedEntry::Table, std::uint32_t>> undefined_interned;
  /// Of the record segment under check; kept, for 64 MiB of fresh pages cost more than their sums.
  std::vector<std::byte> record_data{};

  /// Opens a file that `state` names. Null, and damage, if it is missing; online it may rightly be gone.
  [[nodiscard]] std::unique_ptr<File> open(const std::string& name) const {
    return findings.open(directory, name,
                         online ? FsckFindings::Missing::kIgnore : FsckFindings::Missing::kReport);
  }
  /// Adds what is normal above a durable watermark; online it is only a write that goes on.
  void add_unfinished(Place place, std::string what, std::string expected, std::string found) const {
    if (!online)
      findings.info(Finding::Kind::kUnacknowledgedTail, place, std::move(what), std::move(expected),
                    std::move(found));
  }
  /// Whether the sequence may have been handed out, as far as `state` tells.
  [[nodiscard]] bool is_reserved(Sequence sequence) const {
    return online || !state || sequence < state->sequences_until();
  }

  /// Damage if `named` is newer than the manifest that was found: then that one is not the newest.
  void check_version(Place place, ManifestVersion named) const {
    if (online || !state || named <= version) return;
    findings.damage(Finding::Kind::kStaleEpoch, place,
                    "names a newer manifest than the one found: manifest frames are lost",
                    "at most frame " + std::to_string(version.value), "frame " + std::to_string(named.value));
  }
};

/// "0x" and 32 digits.
std::string to_text(const Uuid& uuid);

}  // namespace vectolith::engine
