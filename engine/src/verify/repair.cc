/// @file
/// Repair of a store: locks it, lets fsck look, plans, and does what was planned if the caller wants it.
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <vectolith/format/file_name.h>
#include <vectolith/verify.h>

#include "manifest/lock_wait.h"
#include "no_memory.h"
#include "verify/fsck_directory.h"
#include "verify/repair_plan.h"

namespace vectolith {
namespace engine {
namespace {

using NameKind = format::ParsedName::Kind;

constexpr std::chrono::milliseconds kLockTimeout{10'000};

/// What a repair that writes holds: LOCK, and every file that a write of a dead process may still land in.
class RepairLocks {
 public:
  Result<void> take(Environment& environment, Directory& directory) {
    VECTOLITH_TRY_ASSIGN(auto lock, directory.open(format::kLockName, OpenMode::kOpenOrCreate));
    VECTOLITH_TRY_ASSIGN(const bool locked, lock->try_lock(LockMode::kExclusive));
    if (!locked)
      return std::unexpected(
          Error(ErrorCode::kLocked, "another process has the store open").with_file(lock->path()));
    files_.push_back(std::move(lock));
    VECTOLITH_TRY_ASSIGN(const auto names, directory.list());
    for (const std::string& name : names) {
      const auto parsed = format::parse_name(name);
      if (!parsed || (parsed->kind != NameKind::kManifest && parsed->kind != NameKind::kSegment &&
                      parsed->kind != NameKind::kJournal))
        continue;
      auto file = directory.open(name, OpenMode::kReadOnly);
      if (!file) continue;  // The plan deals with what cannot be opened.
      VECTOLITH_TRY(lock_within(environment, **file, LockMode::kExclusive, kLockTimeout));
      files_.push_back(*std::move(file));
    }
    return {};
  }

 private:
  std::vector<std::unique_ptr<File>> files_;
};

Result<RepairReport> repair_directory(Environment& environment, Directory& directory,
                                      const RepairOptions& options) {
  VECTOLITH_TRY(expect_store(directory));  // Else LOCK would be made in somebody's directory.
  RepairLocks locks;
  std::unique_ptr<File> shared;
  if (options.apply) {
    VECTOLITH_TRY(locks.take(environment, directory));
  } else {
    VECTOLITH_TRY_ASSIGN(shared, lock_shared(directory));
  }
  const FsckOptions fsck_options;
  VECTOLITH_TRY_ASSIGN(auto before, fsck_locked_directory(directory, fsck_options));
  VECTOLITH_TRY_ASSIGN(auto plan, plan_repair(environment, directory, options));
  RepairReport report = plan.report;
  report.before = std::move(before);
  if (!options.apply || plan.is_empty()) return report;
  VECTOLITH_TRY(apply_repair(plan, directory));
  report.applied = true;
  VECTOLITH_TRY_ASSIGN(report.after, fsck_locked_directory(directory, fsck_options));
  return report;
}

}  // namespace
}  // namespace engine

Result<RepairReport> repair(const std::string& path, const RepairOptions& options) {
  return catch_no_memory([&]() -> Result<RepairReport> {
    VECTOLITH_TRY_ASSIGN(const auto environment, engine::environment_or_real(options.environment));
    VECTOLITH_TRY_ASSIGN(const auto directory, environment->open_directory(path, false));
    return engine::repair_directory(*environment, *directory, options);
  });
}

}  // namespace vectolith
