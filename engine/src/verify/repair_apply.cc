/// @file
/// Carrying out a repair. The manifest comes last: until then the store is what it was, or better.
#include <algorithm>
#include <array>
#include <span>

#include <vectolith/format/bytes.h>
#include <vectolith/format/file_name.h>
#include <vectolith/format/superblock.h>

#include "log/journal_file.h"
#include "verify/repair_plan.h"

namespace vectolith::engine {
namespace {

constexpr std::size_t kCopyBytes = std::size_t{1} << 20;
constexpr std::uint64_t kManifestSlackBytes = 65'536;  ///< Room for edits until the first switch.
/// What a repair writes before it gets its name; the next repair begins it anew.
constexpr std::string_view kTemporaryName = "quarantine-repair.tmp";

class RepairRun {
 public:
  RepairRun(const RepairPlan& plan, Directory& directory) : plan_(plan), directory_(directory) {}

  Result<void> run() {
    if (plan_.rewrites_superblock) VECTOLITH_TRY(write_superblock());
    for (const auto& [id, bytes] : plan_.file_sizes) VECTOLITH_TRY(resize(format::segment_name(id), bytes));
    for (const auto& header : plan_.headers) VECTOLITH_TRY(write_header(header));
    // Before a damaged journal goes: what can be read of it must be somewhere.
    if (plan_.journal) VECTOLITH_TRY(write_journal(*plan_.journal));
    for (const std::string& name : plan_.set_aside) VECTOLITH_TRY(set_aside(name));
    if (!plan_.set_aside.empty()) VECTOLITH_TRY(directory_.sync());
    if (plan_.manifest) VECTOLITH_TRY(write_manifest(*plan_.manifest));
    for (const int index : plan_.renewed_manifests) VECTOLITH_TRY(renew_manifest(index));
    return {};
  }

 private:
  Result<void> write_superblock() {
    format::Superblock superblock;
    superblock.store_uuid = plan_.store_uuid;
    superblock.created_at_s = plan_.created_at_s;
    const auto bytes = format::encode_superblock(superblock);
    return replace(format::kSuperblockName, bytes, bytes.size());
  }

  /// Makes `name` a file of `size` bytes that begins with `bytes`, at once and durably.
  Result<void> replace(std::string_view name, std::span<const std::byte> bytes, std::uint64_t size) {
    VECTOLITH_TRY_ASSIGN(const auto file, create_temporary());
    VECTOLITH_TRY(file->preallocate(0, size));
    VECTOLITH_TRY(file->write_at(0, bytes));
    return publish(*file, name);
  }
  Result<std::unique_ptr<File>> create_temporary() {
    VECTOLITH_TRY_ASSIGN(const auto names, directory_.list());
    if (std::ranges::find(names, kTemporaryName) != names.end())
      VECTOLITH_TRY(directory_.unlink(kTemporaryName));
    return directory_.open(kTemporaryName, OpenMode::kCreateNew);
  }
  Result<void> publish(File& file, std::string_view name) {
    VECTOLITH_TRY(file.data_sync());
    VECTOLITH_TRY(directory_.rename(kTemporaryName, name));
    return directory_.sync();
  }

  /// A file that is too short grows by zeros; of one that is too long the front is copied.
  Result<void> resize(const std::string& name, std::uint64_t bytes) {
    VECTOLITH_TRY_ASSIGN(const auto file, directory_.open(name, OpenMode::kReadWrite));
    VECTOLITH_TRY_ASSIGN(const std::uint64_t size, file->size());
    if (size <= bytes) {
      VECTOLITH_TRY(file->preallocate(0, bytes));
      return file->data_sync();
    }
    VECTOLITH_TRY_ASSIGN(const auto copy, create_temporary());
    VECTOLITH_TRY(copy->preallocate(0, bytes));
    VECTOLITH_TRY(copy_bytes(*file, *copy, bytes));
    return publish(*copy, name);
  }
  static Result<void> copy_bytes(const File& from, File& to, std::uint64_t bytes) {
    std::vector<std::byte> buffer(kCopyBytes);
    for (std::uint64_t at = 0; at < bytes;) {
      const auto piece = std::span(buffer).first(std::min<std::uint64_t>(bytes - at, buffer.size()));
      VECTOLITH_TRY(from.read_exact(at, piece));
      VECTOLITH_TRY(to.write_at(at, piece));
      at += piece.size();
    }
    return {};
  }

  Result<void> write_header(const format::SegmentHeader& header) {
    VECTOLITH_TRY_ASSIGN(const auto file,
                         directory_.open(format::segment_name(header.segment_id), OpenMode::kReadWrite));
    VECTOLITH_TRY(file->write_at(0, format::encode_segment_header(header)));
    return file->data_sync();
  }

  Result<void> write_journal(const RepairPlan::NewJournal& made) {
    format::JournalHeader header;
    header.row_capacity = made.capacity();
    header.store_uuid = plan_.store_uuid;
    header.journal_uuid = made.uuid;
    header.journal_id = made.id;
    // Not newer than any manifest: until the new one is there the old one must stay believable.
    header.manifest_version = ManifestVersion(0);
    VECTOLITH_TRY_ASSIGN(const auto journal, JournalFile::create(directory_, header));
    auto rows = made.rows;
    for (format::JournalRow& row : rows) {
      row.manifest_version = 0;
      journal->place(row);
    }
    VECTOLITH_TRY(journal->file().write_at(format::kJournalHeaderBytes, std::as_bytes(std::span(rows))));
    return journal->file().data_sync();
  }

  Result<std::string> quarantine_name(const std::string& name) {
    VECTOLITH_TRY_ASSIGN(const auto names, directory_.list());
    const std::string first = std::string(format::kQuarantinePrefix) + name;
    std::string free = first;
    for (int n = 2; std::ranges::find(names, free) != names.end(); ++n)
      free = first + "." + std::to_string(n);
    return free;
  }
  Result<void> set_aside(const std::string& name) {
    VECTOLITH_TRY_ASSIGN(const std::string to, quarantine_name(name));
    return directory_.rename(name, to);
  }

  /// Whether no manifest ever counted in this file: its header is zeros.
  static bool is_unused(const File& file) {
    std::array<std::byte, format::kManifestHeaderBytes> head{};
    const auto read = file.read_at(0, head);
    return read && std::ranges::all_of(head, [](std::byte b) { return b == std::byte{0}; });
  }

  /// Keeps a copy of a manifest file that is about to be replaced.
  Result<void> keep_copy(int index) {
    const std::string name = format::manifest_name(index);
    auto file = directory_.open(name, OpenMode::kReadOnly);
    if (!file) {
      // Not there, or something else under this name, which may stay.
      return file.error().code() == ErrorCode::kNotFound ? Result<void>() : set_aside(name);
    }
    VECTOLITH_TRY_ASSIGN(const std::uint64_t size, (*file)->size());
    if (is_unused(**file)) return {};
    VECTOLITH_TRY_ASSIGN(const std::string to, quarantine_name(name));
    VECTOLITH_TRY_ASSIGN(const auto copy, create_temporary());
    if (auto copied = copy_bytes(**file, *copy, size); !copied) {
      // What the disk refuses cannot be copied: then the file itself is kept.
      if (copied.error().code() == ErrorCode::kNoSpace) return copied;
      return set_aside(name);
    }
    return publish(*copy, to);
  }

  Result<void> write_manifest(const RepairPlan::NewManifest& made) {
    const auto snapshot =
        format::encode_frame(made.edits, made.version, made.life, format::kManifestHeaderBytes);
    format::ManifestHeader header;
    header.store_uuid = plan_.store_uuid;
    header.life = made.life;
    header.snapshot_version = made.version;
    header.snapshot_bytes = snapshot.size();
    header.file_bytes =
        format::align_up(format::kManifestHeaderBytes + 4 * snapshot.size() + kManifestSlackBytes,
                         format::kManifestFileBytesMin);
    const auto head = format::encode_manifest_header(header);
    std::vector<std::byte> bytes(head.begin(), head.end());
    bytes.insert(bytes.end(), snapshot.begin(), snapshot.end());
    VECTOLITH_TRY(keep_copy(made.index));
    return replace(format::manifest_name(made.index), bytes, header.file_bytes);
  }

  Result<void> renew_manifest(int index) {
    VECTOLITH_TRY(keep_copy(index));
    const std::array<std::byte, format::kManifestHeaderBytes> zeros{};
    return replace(format::manifest_name(index), zeros, format::kManifestFileBytesMin);
  }

  const RepairPlan& plan_;
  Directory& directory_;
};

}  // namespace

Result<void> apply_repair(const RepairPlan& plan, Directory& directory) {
  return RepairRun(plan, directory).run();
}

}  // namespace vectolith::engine
