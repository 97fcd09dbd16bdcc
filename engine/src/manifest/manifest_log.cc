/// @file
/// Appends manifest frames, and moves to the other file before the reserve of this one is touched.
#include "manifest/manifest_log.h"

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <utility>

#include <vectolith/format/bytes.h>
#include <vectolith/format/file_name.h>

#include "manifest/lock_wait.h"
#include "manifest/manifest_file.h"
#include "no_memory.h"
#include "planted_bug.h"

namespace vectolith::engine {
namespace {

using format::kManifestHeaderBytes;

constexpr int kReadOnlyAttempts = 8;
/// A frame that seals or freezes one segment, with a dozen invalid ranges.
constexpr std::uint64_t kSealFrameBytes = 192;
constexpr std::uint64_t kRemoveFrameBytes = 64;
/// A switch of the journal, a compaction's new segment, a clean close.
constexpr std::uint64_t kReserveBase = 8'192;

/// Room that ordinary commits leave free: one seal and one removal of every segment.
std::uint64_t reserve_bytes(const ManifestState& state) {
  const auto unsealed = std::ranges::count_if(
      state.segments(), [](const auto& entry) { return entry.second.phase != SegmentPhase::kSealed; });
  return kReserveBase + kRemoveFrameBytes * state.segments().size() +
         kSealFrameBytes * static_cast<std::uint64_t>(unsealed);
}

/// File size at which switches stay rare: four snapshots and the reserve, in steps of the smallest size.
std::uint64_t file_bytes_wanted(std::uint64_t snapshot_bytes, std::uint64_t rest_bytes) {
  return format::align_up(kManifestHeaderBytes + 4 * snapshot_bytes + rest_bytes,
                          format::kManifestFileBytesMin);
}

Result<std::unique_ptr<File>> open_manifest(Directory& directory, int index, OpenMode mode) {
  const std::string name = format::manifest_name(index);
  auto file = directory.open(name, mode);
  if (file || file.error().code() != ErrorCode::kNotFound) return file;
  return std::unexpected(advise_fsck(
      Error(ErrorCode::kCorruption, "a manifest file is missing").with_file(directory.path() + "/" + name)));
}

/// A frame may be on the medium all the same when its write or its barrier failed, whatever the reason: who
/// made a file that it names must not take it away again.
Error in_doubt(const Error& error) {
  if (!left_unchanged(error)) return error;
  return Error(ErrorCode::kIo, error.message()).with_errno(error.system_errno()).with_file(error.file());
}

}  // namespace

Result<std::unique_ptr<ManifestLog>> ManifestLog::create(Environment& environment, Directory& directory,
                                                         const Uuid& store_uuid,
                                                         std::span<const format::Edit> edits) {
  std::unique_ptr<ManifestLog> log(new ManifestLog(environment, store_uuid));
  VECTOLITH_TRY(log->stage(edits));
  log->state_ = log->staged_;
  const auto fill = [&]() -> Result<void> {
    VECTOLITH_TRY(log->lock_files(std::chrono::milliseconds(0)));
    const std::uint64_t snapshot_bytes =
        format::encode_frame(log->state_.snapshot(), ManifestVersion(1), {}, 0).size();
    const std::uint64_t file_bytes = file_bytes_wanted(snapshot_bytes, reserve_bytes(log->state_));
    for (int index : {0, 1}) VECTOLITH_TRY(log->file(index).preallocate(0, file_bytes));
    VECTOLITH_TRY(log->file(1).data_sync());
    VECTOLITH_TRY(log->write_file(0, log->state_, file_bytes));
    return directory.sync();
  };
  for (int index : {0, 1}) {
    auto file = directory.open(format::manifest_name(index), OpenMode::kCreateNew);
    if (!file) {
      if (index == 1) (void)directory.unlink(format::manifest_name(0));
      return std::unexpected(std::move(file).error());
    }
    log->files_[static_cast<std::size_t>(index)] = *std::move(file);
  }
  if (auto filled = fill(); !filled) {
    // Half a manifest must not look like a store; the failure itself is what the caller hears of.
    for (int index : {0, 1}) (void)directory.unlink(format::manifest_name(index));
    return std::unexpected(std::move(filled).error());
  }
  return log;
}

Result<std::unique_ptr<ManifestLog>> ManifestLog::open(Environment& environment, Directory& directory,
                                                       const Uuid& store_uuid, bool read_only,
                                                       std::chrono::milliseconds lock_timeout) {
  std::unique_ptr<ManifestLog> log(new ManifestLog(environment, store_uuid));
  log->read_only_ = read_only;
  VECTOLITH_TRY(log->open_files(directory, read_only ? OpenMode::kReadOnly : OpenMode::kReadWrite));
  if (!read_only) VECTOLITH_TRY(log->lock_files(lock_timeout));
  auto replayed = log->replay();
  // A live writer may switch or append between two reads of a reader without a lock.
  for (int attempt = 1; read_only && !replayed && attempt < kReadOnlyAttempts; ++attempt)
    replayed = log->replay();
  VECTOLITH_TRY(std::move(replayed));
  if (!read_only) VECTOLITH_TRY(log->rewrite());
  return log;
}

/// What was read may be in the page cache only. The open acts on it (it removes files that it no longer
/// names), so it must not change back. A barrier alone would not do: if one failed before, the cache shows
/// frames that the medium does not have, and calls them clean. So they are written again, as they are.
Result<void> ManifestLog::rewrite() {
  VECTOLITH_TRY_ASSIGN(auto bytes, load_manifest_bytes(file(current_)));
  bytes.resize(std::min<std::size_t>(bytes.size(), end_));
  return write_durably(file(current_), 0, bytes);
}

Result<void> ManifestLog::commit(std::span<const format::Edit> edits, bool uses_reserve) {
  if (read_only_) return fail(ErrorCode::kReadOnly, "the manifest was opened read-only");
  if (broken_) return std::unexpected(*broken_);
  if (edits.empty()) return {};
  if (auto committed = catch_no_memory([&] { return commit_staged(edits, uses_reserve); }); !committed) {
    is_staged_equal_ = false;
    if (broken_) return std::unexpected(*(broken_ = in_doubt(*broken_)));
    return committed;
  }
  // What is durable must become the state, whatever memory there is: the twin has it already.
  static_assert(std::is_nothrow_swappable_v<ManifestState>);
  std::swap(state_, staged_);
  is_staged_equal_ = catch_no_memory([&] { return stage(edits); }).has_value();
  return {};
}

Result<void> ManifestLog::stage(std::span<const format::Edit> edits) {
  for (const format::Edit& edit : edits) VECTOLITH_TRY(staged_.apply(edit));
  return {};
}

Result<void> ManifestLog::commit_staged(std::span<const format::Edit> edits, bool uses_reserve) {
  if (!is_staged_equal_) staged_ = state_;
  is_staged_equal_ = true;
  VECTOLITH_TRY(stage(edits));
  const auto encode = [&] {
    return format::encode_frame(edits, ManifestVersion(version_.value + 1), life_, end_);
  };
  std::vector<std::byte> frame = encode();
  const std::uint64_t left_free = uses_reserve ? 0 : reserve_bytes(staged_);
  if (end_ + frame.size() + left_free > file_bytes_) {
    VECTOLITH_TRY(switch_file(frame.size(), uses_reserve));
    frame = encode();
  }
  VECTOLITH_TRY(write_durably(file(current_), end_, frame));
  end_ += frame.size();
  ++version_.value;
  return {};
}

Result<void> ManifestLog::switch_file(std::uint64_t frame_bytes, bool uses_reserve) {
  const std::uint64_t snapshot_bytes = format::encode_frame(state_.snapshot(), version_, life_, 0).size();
  const int other = 1 - current_;
  VECTOLITH_TRY_ASSIGN(const std::uint64_t file_bytes,
                       make_room(file(other), snapshot_bytes, frame_bytes, uses_reserve));
  return write_file(other, state_, file_bytes);
}

/// Enlarges the file to its wanted size, or does with what it has if that is enough, and returns its size.
Result<std::uint64_t> ManifestLog::make_room(File& file, std::uint64_t snapshot_bytes,
                                             std::uint64_t frame_bytes, bool uses_reserve) {
  VECTOLITH_TRY_ASSIGN(const std::uint64_t size, file.size());
  const std::uint64_t reserve = reserve_bytes(staged_);
  const std::uint64_t wanted = file_bytes_wanted(snapshot_bytes, frame_bytes + reserve);
  const std::uint64_t needed =
      kManifestHeaderBytes + snapshot_bytes + frame_bytes + (uses_reserve ? 0 : reserve);
  if (size >= wanted) return size;
  if (wanted > kManifestFileBytesMax) {
    if (needed <= size) return size;
    return std::unexpected(Error(ErrorCode::kLimit, "the manifest would grow too large")
                               .with_file(file.path())
                               .with_expected("at most " + std::to_string(kManifestFileBytesMax) + " bytes")
                               .with_found(std::to_string(wanted)));
  }
  if (auto enlarged = file.preallocate(0, wanted); !enlarged) {
    // A full disk: without the usual slack the next switch only comes sooner.
    if (enlarged.error().code() == ErrorCode::kNoSpace && needed <= size) return size;
    return std::unexpected(std::move(enlarged).error());
  }
  return wanted;
}

/// Writes a snapshot of `state` and then the header that makes it count, and goes on in that file.
Result<void> ManifestLog::write_file(int index, const ManifestState& state, std::uint64_t file_bytes) {
  std::array<std::byte, sizeof(Uuid)> random{};
  environment_->fill_random(random);
  format::ManifestHeader header;
  header.store_uuid = store_uuid_;
  std::memcpy(&header.life, random.data(), sizeof header.life);
  header.snapshot_version = ManifestVersion(version_.value + 1);
  header.file_bytes = file_bytes;
  const auto snapshot =
      format::encode_frame(state.snapshot(), header.snapshot_version, header.life, kManifestHeaderBytes);
  header.snapshot_bytes = snapshot.size();
  if (is_planted(PlantedBug::kManifestValidBeforeSync)) {
    VECTOLITH_TRY(file(index).write_at(kManifestHeaderBytes, snapshot));
  } else {
    VECTOLITH_TRY(write_durably(file(index), kManifestHeaderBytes, snapshot));
  }
  VECTOLITH_TRY(write_durably(file(index), 0, format::encode_manifest_header(header)));
  current_ = index;
  life_ = header.life;
  file_bytes_ = file_bytes;
  end_ = kManifestHeaderBytes + snapshot.size();
  version_ = header.snapshot_version;
  return {};
}

Result<void> ManifestLog::write_durably(File& file, std::uint64_t offset, std::span<const std::byte> bytes) {
  auto written = file.write_at(offset, bytes);
  if (written) written = file.data_sync();
  if (!written) broken_ = written.error();
  return written;
}

Result<void> ManifestLog::open_files(Directory& directory, OpenMode mode) {
  for (int index : {0, 1}) {
    VECTOLITH_TRY_ASSIGN(files_[static_cast<std::size_t>(index)], open_manifest(directory, index, mode));
  }
  return {};
}

Result<void> ManifestLog::lock_files(std::chrono::milliseconds lock_timeout) {
  for (int index : {0, 1}) {
    VECTOLITH_TRY(lock_within(*environment_, file(index), LockMode::kExclusive, lock_timeout));
  }
  return {};
}

Result<void> ManifestLog::replay() {
  ManifestPair pair;
  for (int index : {0, 1}) {
    VECTOLITH_TRY_ASSIGN(const auto bytes, load_manifest_bytes(file(index)));
    pair.files[static_cast<std::size_t>(index)] = read_manifest_file(bytes, file(index).path(), store_uuid_);
  }
  VECTOLITH_TRY_ASSIGN(current_, pair.choose());
  ManifestFile& chosen = pair.files[static_cast<std::size_t>(current_)];
  state_ = std::move(chosen.state);
  is_staged_equal_ = false;
  version_ = chosen.version;
  life_ = chosen.life;
  file_bytes_ = chosen.file_bytes;
  end_ = chosen.end;
  return {};
}

}  // namespace vectolith::engine
