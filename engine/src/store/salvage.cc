/// @file
/// Salvage: the readable rows of a broken store, put into a new one.
#include <algorithm>
#include <map>
#include <utility>

#include <vectolith/store.h>
#include <vectolith/verify.h>

#include "no_memory.h"
#include "verify/fsck_directory.h"
#include "verify/readable_rows.h"
#include "verify/repair_plan.h"

namespace vectolith {
namespace engine {
namespace {

using Table = format::InternedEntry::Table;

class SalvageRun {
 public:
  SalvageRun(const RepairPlan& plan, Directory& broken, Store& target)
      : plan_(plan), broken_(broken), target_(target) {}

  Result<SalvageReport> run() {
    for (const RepairAction& action : plan_.report.actions) remark(action);
    VECTOLITH_TRY(intern_all());
    for (const auto& [id, family] : plan_.state.families()) VECTOLITH_TRY(copy_family(family));
    VECTOLITH_TRY(target_.sync());
    return std::move(report_);
  }

 private:
  void remark(const RepairAction& action) {
    using Kind = RepairAction::Kind;
    const bool tells_of_loss = action.kind == Kind::kSetAside || action.kind == Kind::kForgetFile ||
                               action.kind == Kind::kName || action.kind == Kind::kRewriteHeader;
    if (tells_of_loss)
      report_.remarks.push_back((action.file.empty() ? "" : action.file + ": ") + action.what);
  }

  Result<void> intern_all() {
    for (const auto& entry : plan_.state.interned()) {
      auto& id = interned_[{entry.table, entry.id}];
      switch (entry.table) {
        case Table::kScope: {
          VECTOLITH_TRY_ASSIGN(const auto made, target_.intern_scope(entry.name));
          id = made.value;
          break;
        }
        case Table::kChunker: {
          VECTOLITH_TRY_ASSIGN(const auto made, target_.intern_chunker(entry.name, entry.version));
          id = made.value;
          break;
        }
        case Table::kBuild: {
          VECTOLITH_TRY_ASSIGN(const auto made, target_.intern_build(entry.name));
          id = made.value;
          break;
        }
      }
    }
    return {};
  }
  [[nodiscard]] std::uint32_t interned(Table table, std::uint32_t id) const {
    const auto found = interned_.find({table, id});
    return found == interned_.end() ? 0 : found->second;
  }

  Result<void> copy_family(const FamilyEntry& entry) {
    const FamilyOptions options{
        .segment_bytes_target = std::clamp<std::uint64_t>(
            entry.segment_bytes_target, format::kSegmentFileBytesMin, std::uint64_t{256} << 20)};
    const ReadableFamily family = read_family(plan_, broken_, entry.id);
    ++report_.families;
    report_.rows_older += family.older;
    report_.rows_erased += family.erased;
    for (const ReadableSegment& segment : family.segments) {
      report_.rows_damaged += segment.judgement.lost.size();
      report_.rows_unfinished += segment.judgement.unfinished;
      report_.bytes_unread += segment.judgement.bytes_unread;
    }
    if (entry.kind == format::SegmentKind::kVector) {
      VECTOLITH_TRY_ASSIGN(auto target, target_.family(entry.name, *entry.spec, options));
      return copy_rows(family, target);
    }
    VECTOLITH_TRY_ASSIGN(auto target, target_.record_family(entry.name, options));
    return copy_rows(family, target);
  }

  template <class Target>
  Result<void> copy_rows(const ReadableFamily& family, Target& target) {
    for (const ReadableRow& found : family.newest) {
      const ReadableSegment& from = family.segments[found.segment];
      const auto bytes = read_row(*from.file, from.header, found.row.row);
      if (!bytes) {
        ++report_.rows_damaged;  // It held a moment ago: the disk is failing.
        continue;
      }
      const WriteOptions options{
          .durability = Durability::kBuffered,
          .replace = true,
          .build = BuildId(static_cast<std::uint16_t>(interned(Table::kBuild, found.row.build.value))),
          .created_at_s = found.row.created_at_ms / 1'000};
      const Key key{.digest = found.row.key.digest,
                    .scope = ScopeId(interned(Table::kScope, found.row.key.scope.value)),
                    .chunker = ChunkerId(interned(Table::kChunker, found.row.key.chunker.value))};
      const auto put = target.put(key, std::span<const std::byte>(*bytes), options);
      if (!put &&
          (put.error().code() == ErrorCode::kRejected || put.error().code() == ErrorCode::kInvalidArgument)) {
        ++report_.rows_refused;
        continue;
      }
      VECTOLITH_TRY(put);
      ++report_.rows;
    }
    return {};
  }

  const RepairPlan& plan_;
  Directory& broken_;
  Store& target_;
  SalvageReport report_;
  std::map<InternedId, std::uint32_t> interned_;  ///< Ids of the old store to those of the new one.
};

}  // namespace
}  // namespace engine

Result<SalvageReport> salvage(const std::string& broken, const std::string& target,
                              const SalvageOptions& options) {
  return catch_no_memory([&]() -> Result<SalvageReport> {
    VECTOLITH_TRY_ASSIGN(const auto environment, engine::environment_or_real(options.environment));
    VECTOLITH_TRY_ASSIGN(const auto directory, environment->open_directory(broken, false));
    VECTOLITH_TRY_ASSIGN(const auto lock, engine::lock_shared(*directory));
    const RepairOptions repair_options{
        .apply = false, .family_names = options.family_names, .environment = environment};
    VECTOLITH_TRY_ASSIGN(const auto plan, engine::plan_repair(*environment, *directory, repair_options));
    Options store_options;
    store_options.environment = environment;
    VECTOLITH_TRY_ASSIGN(const auto store, Store::create(target, store_options));
    auto report = engine::SalvageRun(plan, *directory, *store).run();
    auto closed = store->close();
    if (report && !closed) return std::unexpected(std::move(closed).error());
    // Rows that the plan itself calls invalid were lost, too.
    if (report) report->rows_damaged = std::max(report->rows_damaged, plan.report.rows_quarantined);
    return report;
  });
}

}  // namespace vectolith
