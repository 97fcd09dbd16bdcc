/// @file
/// fsck: takes the store's lock, then checks structure, journals, segments and names in this order.
#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <vectolith/format/file_name.h>
#include <vectolith/verify.h>

#include "io/environment.h"
#include "no_memory.h"
#include "verify/fsck_context.h"
#include "verify/fsck_directory.h"
#include "verify/fsck_findings.h"
#include "verify/fsck_journal.h"
#include "verify/fsck_segment.h"
#include "verify/fsck_structure.h"

namespace vectolith {
namespace engine {
namespace {

using NameKind = format::ParsedName::Kind;

void expect_bytes(FsckContext& context, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const auto parsed = format::parse_name(name);
    if (!parsed || parsed->kind == NameKind::kLock || parsed->kind == NameKind::kControlSocket ||
        parsed->kind == NameKind::kPool)
      continue;
    const auto file = context.directory.open(name, OpenMode::kReadOnly);
    if (!file) continue;
    if (const auto size = (*file)->size()) context.findings.expect_bytes(*size);
  }
}

void check_journals(FsckContext& context) {
  const auto& journals = context.state->journals();
  for (const auto& [id, entry] : journals) check_journal(context, entry, id == journals.rbegin()->first);
}

void check_segments(FsckContext& context) {
  std::map<Uuid, SegmentId> lives;
  for (const auto& [id, entry] : context.state->segments()) {
    if (const auto [other, is_new] = lives.emplace(entry.uuid, id); !is_new) {
      context.findings.damage(Finding::Kind::kStaleEpoch,
                              {context.directory.path() + "/" + format::segment_name(id), 0},
                              "two segments of the manifest share one life", "a life of its own",
                              "that of " + format::segment_name(other->second));
    }
    if (context.window.begin(id, context.findings.bytes_read())) check_segment(context, entry);
  }
}

void check_segments_alone(FsckContext& context, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const auto parsed = format::parse_name(name);
    if (!parsed || parsed->kind != NameKind::kSegment) continue;
    const SegmentId id(parsed->number);
    if (context.window.begin(id, context.findings.bytes_read())) check_segment_alone(context, name, id);
  }
}

}  // namespace

Result<std::shared_ptr<Environment>> environment_or_real(std::shared_ptr<Environment> given) {
  if (given != nullptr) return given;
  VECTOLITH_TRY_ASSIGN(auto made, make_environment(BackendChoice::kAuto));
  return std::shared_ptr<Environment>(std::move(made));
}

/// A lost superblock is damage of a store; what a creation cut short leaves behind is none yet.
Result<void> expect_store(const Directory& directory) {
  VECTOLITH_TRY_ASSIGN(const auto names, directory.list());
  const bool is_store = std::ranges::any_of(names, [](const std::string& name) {
    const auto parsed = format::parse_name(name);
    return parsed && (parsed->kind == NameKind::kSuperblock || parsed->kind == NameKind::kSegment ||
                      parsed->kind == NameKind::kJournal);
  });
  if (is_store) return {};
  return std::unexpected(
      Error(ErrorCode::kNotAStore, "the directory holds no vectolith store").with_file(directory.path()));
}

Result<std::unique_ptr<File>> lock_shared(Directory& directory) {
  auto file = directory.open(format::kLockName, OpenMode::kReadOnly);
  if (!file) {
    if (file.error().code() == ErrorCode::kNotFound) return std::unique_ptr<File>();
    return file;
  }
  VECTOLITH_TRY_ASSIGN(const bool locked, (*file)->try_lock(LockMode::kShared));
  if (locked) return file;
  return std::unexpected(
      Error(ErrorCode::kLocked, "another process has the store open").with_file((*file)->path()));
}

Result<FsckReport> fsck_directory(Directory& directory, const FsckOptions& options) {
  std::unique_ptr<File> lock;
  if (!options.online) {
    VECTOLITH_TRY_ASSIGN(lock, lock_shared(directory));
  }
  return fsck_locked_directory(directory, options);
}

Result<FsckReport> fsck_locked_directory(Directory& directory, const FsckOptions& options) {
  ScrubWindow everything;
  return fsck_window(directory, options, everything, nullptr);
}

Result<FsckReport> fsck_window(Directory& directory, const FsckOptions& options, ScrubWindow& window,
                               ReadPacer* pacer) {
  VECTOLITH_TRY(expect_store(directory));
  VECTOLITH_TRY_ASSIGN(auto names, directory.list());
  std::ranges::sort(names);
  FsckFindings findings(options, pacer);
  FsckContext context{.directory = directory,
                      .findings = findings,
                      .online = options.online,
                      .window = window,
                      .store_uuid = std::nullopt,
                      .state = std::nullopt,
                      .version = {},
                      .watermarks = {},
                      .undefined_interned = {}};
  expect_bytes(context, names);
  VECTOLITH_TRY(check_superblock(context));
  VECTOLITH_TRY(check_manifest(context));
  if (context.state) {
    check_journals(context);
    check_segments(context);
  } else {
    check_segments_alone(context, names);
  }
  check_directory(context, names);
  window = context.window;
  return std::move(findings).take();
}

}  // namespace engine

Result<FsckReport> fsck(const std::string& path, const FsckOptions& options) {
  return catch_no_memory([&]() -> Result<FsckReport> {
    VECTOLITH_TRY_ASSIGN(const auto environment, engine::environment_or_real(options.environment));
    VECTOLITH_TRY_ASSIGN(const auto directory, environment->open_directory(path, false));
    return engine::fsck_directory(*directory, options);
  });
}

}  // namespace vectolith
