/// @file
/// The manifest's two files: pick the valid one, replay it, append durable frames, switch when full.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include <vectolith/format/manifest.h>
#include <vectolith/format/result.h>

#include "io/environment.h"
#include "manifest/manifest_state.h"

namespace vectolith::engine {

/// Whether the error of a commit says that the manifest is as it was: then files made for it can go again.
[[nodiscard]] inline bool left_unchanged(const Error& error) noexcept {
  return error.code() == ErrorCode::kNoSpace || error.code() == ErrorCode::kNoMemory ||
         error.code() == ErrorCode::kLimit;
}

/// Appends atomic frames of edits to the manifest and keeps the state they build.
///
/// Each file is `[header | snapshot frame | edit frames]`, preallocated and written in place. When one
/// is full, a snapshot goes to the other as a frame with a number of its own; its header, and with it its
/// version, is written only after the snapshot is durable, and an edit only after the header is. Threads: one
/// at a time (the committer's lock).
class ManifestLog {
 public:
  /// Creates both files with an empty state plus `edits`, durable (the directory too) on return.
  static Result<std::unique_ptr<ManifestLog>> create(Environment& environment, Directory& directory,
                                                     const Uuid& store_uuid,
                                                     std::span<const format::Edit> edits);
  /// Takes the file with the highest valid version and replays it.
  ///
  /// A torn last frame is dropped; an invalid frame with a valid one behind it is damage.
  /// Errors: kCorruption naming fsck when neither file is valid or a frame is damaged; kLocked when a
  /// file stays locked by a dead predecessor's writes beyond `lock_timeout`; kUnsupported; kIo.
  static Result<std::unique_ptr<ManifestLog>> open(Environment& environment, Directory& directory,
                                                   const Uuid& store_uuid, bool read_only,
                                                   std::chrono::milliseconds lock_timeout);

  [[nodiscard]] const ManifestState& state() const noexcept { return state_; }
  /// Number of the last durable frame.
  [[nodiscard]] ManifestVersion version() const noexcept { return version_; }
  /// Applies the edits and makes them durable as one frame.
  ///
  /// `uses_reserve`: this commit seals, freezes or removes, and may use the space that ordinary commits
  /// must leave free for one seal and one removal of every segment.
  /// Errors: kNoSpace, kNoMemory, kLimit (nothing changed, see `left_unchanged`), kReadOnly; kCorruption if
  /// `state().apply` refuses (nothing changed); kIo: after a failed write or sync the log is broken and
  /// repeats that error for every later commit.
  Result<void> commit(std::span<const format::Edit> edits, bool uses_reserve = false);

 private:
  ManifestLog(Environment& environment, const Uuid& store_uuid)
      : environment_(&environment), store_uuid_(store_uuid) {}

  Result<void> open_files(Directory& directory, OpenMode mode);
  Result<void> lock_files(std::chrono::milliseconds lock_timeout);
  Result<void> replay();
  Result<void> rewrite();
  Result<void> stage(std::span<const format::Edit> edits);
  Result<void> commit_staged(std::span<const format::Edit> edits, bool uses_reserve);
  Result<void> switch_file(std::uint64_t frame_bytes, bool uses_reserve);
  Result<std::uint64_t> make_room(File& file, std::uint64_t snapshot_bytes, std::uint64_t frame_bytes,
                                  bool uses_reserve);
  Result<void> write_file(int index, const ManifestState& state, std::uint64_t file_bytes);
  Result<void> write_durably(File& file, std::uint64_t offset, std::span<const std::byte> bytes);
  [[nodiscard]] File& file(int index) noexcept { return *files_[static_cast<std::size_t>(index)]; }

  Environment* environment_ = nullptr;
  Uuid store_uuid_;
  std::array<std::unique_ptr<File>, 2> files_;
  bool read_only_ = false;
  std::optional<Error> broken_;  ///< The first failed write or sync; sticky.
  ManifestState state_;
  ManifestState staged_;         ///< Edits are tried here first.
  bool is_staged_equal_ = true;  ///< Unless it is to be copied from `state_` before the next commit.
  ManifestVersion version_;
  int current_ = 0;               ///< The file that frames go to.
  Uuid life_;                     ///< Of the current file.
  std::uint64_t file_bytes_ = 0;  ///< Of the current file, by its header.
  std::uint64_t end_ = 0;         ///< Where the next frame goes.
};

}  // namespace vectolith::engine
