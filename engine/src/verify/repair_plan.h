/// @file
/// What a repair will write, decided before anything is written.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <vectolith/format/journal.h>
#include <vectolith/format/manifest.h>
#include <vectolith/format/segment.h>
#include <vectolith/verify.h>

#include "io/environment.h"
#include "manifest/manifest_state.h"

namespace vectolith::engine {

/// The changes of a repair. Each is safe to repeat, and none takes away what a later one needs.
struct RepairPlan {
  struct NewJournal {
    JournalId id;
    Uuid uuid;
    std::vector<format::JournalRow> rows;  ///< Not sealed yet.

    [[nodiscard]] std::uint32_t capacity() const noexcept {
      return std::max(1'024U, static_cast<std::uint32_t>(rows.size()));
    }
    [[nodiscard]] std::uint64_t file_bytes() const noexcept {
      return format::kJournalHeaderBytes + std::uint64_t{capacity()} * sizeof(format::JournalRow);
    }
  };
  struct NewManifest {
    ManifestVersion version;
    Uuid life;
    std::vector<format::Edit> edits;  ///< The whole state.
    int index = 0;                    ///< The file it replaces.
  };

  RepairReport report;  ///< What is to be told; `before` is filled in by the caller.
  Uuid store_uuid;
  std::uint64_t created_at_s = 0;
  bool rewrites_superblock = false;
  std::vector<format::SegmentHeader> headers;                   ///< To be written into their files.
  std::vector<std::pair<SegmentId, std::uint64_t>> file_sizes;  ///< Of files that are too short or too long.
  std::optional<NewJournal> journal;
  std::vector<std::string> set_aside;
  std::optional<NewManifest> manifest;
  std::vector<int> renewed_manifests;  ///< Files that become unused.
  // What salvage reads by.
  ManifestState state;                     ///< Of the repaired store.
  std::vector<format::JournalRow> erases;  ///< All that can be read, and those of quarantined versions.
  std::map<SegmentId, std::uint32_t> watermarks;

  [[nodiscard]] bool is_empty() const noexcept { return report.actions.empty(); }
};

/// Reads the whole store and decides. Writes nothing.
/// Errors: as survey_store; kInvalidArgument for an illegal or repeated name of a family; kLimit.
Result<RepairPlan> plan_repair(Environment& environment, Directory& directory, const RepairOptions& options);

/// Makes the changes of `plan` in an order that another repair can finish after a crash anywhere.
/// Errors: kIo, kNoSpace.
Result<void> apply_repair(const RepairPlan& plan, Directory& directory);

}  // namespace vectolith::engine
