/// @file
/// Reads one manifest file and tells a torn tail from damage.
#include "manifest/manifest_file.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <vectolith/format/bytes.h>
#include <vectolith/format/checksum.h>

namespace vectolith::engine {
namespace {

using Condition = ManifestFile::Condition;
using format::kFrameAlignment;
using format::kManifestHeaderBytes;

constexpr std::size_t kFrameHeadBytes = 32;
constexpr std::size_t kFrameVersionOffset = 8;
constexpr std::size_t kFramePayloadOffset = 16;
constexpr std::uint64_t kSearchSumsPerByte = 64;

template <class T>
T load(std::span<const std::byte> bytes, std::size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

/// A frame by its sum: where it starts and its number.
struct Straggler {
  std::uint64_t offset = 0;
  ManifestVersion version;
};

/// Bytes of the frame whose head stands at the front of `rest`; nullopt if it would leave the file.
std::optional<std::uint64_t> frame_bytes_at(std::span<const std::byte> rest) {
  if (rest.size() < kFrameAlignment) return std::nullopt;
  const std::uint64_t payload = load<std::uint32_t>(rest, kFramePayloadOffset);
  const std::uint64_t bytes = format::align_up(kFrameHeadBytes + payload, kFrameAlignment);
  return bytes <= rest.size() ? std::optional(bytes) : std::nullopt;
}

/// Whether the sum of the frame at the front of `rest` holds. It tells what was written from what was
/// torn, also where the edits inside do not decode.
bool frame_sum_holds(std::span<const std::byte> rest, const Uuid& life, std::uint64_t offset) {
  const auto bytes = frame_bytes_at(rest);
  if (!bytes) return false;
  const auto summed = rest.first(*bytes).subspan(sizeof(std::uint64_t));
  return format::checksum64(summed, format::position_seed(life, offset)) == load<std::uint64_t>(rest, 0);
}

/// Looks at every 64-byte boundary from `from` for frames of `life` newer than `newer_than`, and
/// returns the newest. Heads are filtered by version and length first: stale frames of an earlier life
/// are older, so few sums are computed. A file made to defeat the filter exhausts the budget: kCorruption.
Result<std::optional<Straggler>> find_straggler(std::span<const std::byte> bytes, const Uuid& life,
                                                std::uint64_t from, ManifestVersion newer_than) {
  std::optional<Straggler> newest;
  std::uint64_t budget = kSearchSumsPerByte * bytes.size();
  for (std::uint64_t offset = from; offset + kFrameAlignment <= bytes.size(); offset += kFrameAlignment) {
    const auto rest = bytes.subspan(offset);
    const ManifestVersion version(load<std::uint64_t>(rest, kFrameVersionOffset));
    if (version <= newer_than || (newest && version <= newest->version)) continue;
    const auto frame_bytes = frame_bytes_at(rest);
    if (!frame_bytes) continue;
    if (*frame_bytes > budget) {
      return std::unexpected(Error(ErrorCode::kCorruption, "too many frame-like remains in a manifest file")
                                 .with_offset(offset));
    }
    budget -= *frame_bytes;
    if (frame_sum_holds(rest, life, offset)) newest = Straggler{offset, version};
  }
  return newest;
}

/// Reads one file; the steps share its bytes and the answer they fill in.
class ManifestFileReader {
 public:
  ManifestFileReader(std::span<const std::byte> bytes, std::string_view name) : bytes_(bytes), name_(name) {}

  ManifestFile read(const Uuid& store_uuid) {
    const auto head = bytes_.first(std::min(bytes_.size(), kManifestHeaderBytes));
    if (std::ranges::all_of(head, [](std::byte b) { return b == std::byte{0}; })) return {};
    answer_.condition = Condition::kValid;
    if (auto done = read_all(store_uuid); !done) invalidate(std::move(done).error());
    return std::move(answer_);
  }

 private:
  Result<void> read_all(const Uuid& store_uuid) {
    auto header = format::decode_manifest_header(bytes_);
    if (!header) {
      witness_under_damaged_header(store_uuid);
      return std::unexpected(std::move(header).error());
    }
    VECTOLITH_TRY(check_header(*header, store_uuid));
    bytes_ = bytes_.first(header->file_bytes);
    answer_.life = header->life;
    answer_.file_bytes = header->file_bytes;
    answer_.snapshot_version = header->snapshot_version;
    // The header is written after the snapshot is durable, so its sum proves that version.
    bear_witness({0, header->snapshot_version});
    if (auto snapshot = read_snapshot(*header); !snapshot) {
      VECTOLITH_TRY_ASSIGN(const auto later,
                           find_straggler(bytes_, answer_.life, kManifestHeaderBytes + kFrameAlignment,
                                          answer_.snapshot_version));
      if (later) bear_witness(*later);
      return snapshot;
    }
    return read_edits();
  }

  Result<void> check_header(const format::ManifestHeader& header, const Uuid& store_uuid) const {
    if (header.store_uuid != store_uuid) {
      return fail(ErrorCode::kCorruption, "the manifest belongs to another store");
    }
    if (header.file_bytes > bytes_.size() || header.file_bytes < kManifestHeaderBytes + kFrameAlignment) {
      return std::unexpected(
          Error(ErrorCode::kCorruption, "the manifest file is shorter than its header says")
              .with_offset(bytes_.size())
              .with_expected(std::to_string(header.file_bytes) + " bytes")
              .with_found(std::to_string(bytes_.size()) + " bytes"));
    }
    return {};
  }

  Result<void> read_snapshot(const format::ManifestHeader& header) {
    VECTOLITH_TRY_ASSIGN(const format::Frame frame, format::decode_frame(bytes_.subspan(kManifestHeaderBytes),
                                                                         answer_.life, kManifestHeaderBytes));
    if (frame.version != header.snapshot_version || frame.frame_bytes != header.snapshot_bytes) {
      return std::unexpected(
          Error(ErrorCode::kCorruption, "the snapshot is not the one that the header names")
              .with_offset(kManifestHeaderBytes)
              .with_expected("version " + std::to_string(header.snapshot_version.value) + ", " +
                             std::to_string(header.snapshot_bytes) + " bytes")
              .with_found("version " + std::to_string(frame.version.value) + ", " +
                          std::to_string(frame.frame_bytes) + " bytes"));
    }
    return apply(frame, kManifestHeaderBytes);
  }

  Result<void> read_edits() {
    while (bytes_.size() - answer_.end >= kFrameAlignment) {
      const auto frame = format::decode_frame(bytes_.subspan(answer_.end), answer_.life, answer_.end);
      if (!frame) return check_tail(frame.error());
      if (frame->version.value != answer_.version.value + 1) {
        bear_witness({answer_.end, frame->version});
        return std::unexpected(Error(ErrorCode::kCorruption, "manifest frames are not numbered consecutively")
                                   .with_offset(answer_.end)
                                   .with_expected(std::to_string(answer_.version.value + 1))
                                   .with_found(std::to_string(frame->version.value)));
      }
      bear_witness({answer_.end, frame->version});
      VECTOLITH_TRY(apply(*frame, answer_.end));
    }
    return {};
  }

  /// What is not a frame ends the file, unless a frame that was written later still stands behind it.
  Result<void> check_tail(const Error& error) {
    if (frame_sum_holds(bytes_.subspan(answer_.end), answer_.life, answer_.end)) {
      bear_witness({answer_.end, ManifestVersion(answer_.version.value + 1)});
      return std::unexpected(Error(error).with_offset(answer_.end));
    }
    VECTOLITH_TRY_ASSIGN(const auto later, find_straggler(bytes_, answer_.life, answer_.end + kFrameAlignment,
                                                          answer_.version));
    if (!later) return {};
    bear_witness(*later);
    return std::unexpected(Error(ErrorCode::kCorruption, "a damaged manifest frame has a valid one behind it")
                               .with_offset(answer_.end)
                               .with_expected("frame " + std::to_string(answer_.version.value + 1))
                               .with_found(error.message() + "; frame " +
                                           std::to_string(later->version.value) + " is valid at offset " +
                                           std::to_string(later->offset)));
  }

  Result<void> apply(const format::Frame& frame, std::uint64_t offset) {
    for (const format::Edit& edit : frame.edits) {
      if (auto applied = answer_.state.apply(edit); !applied) {
        return std::unexpected(Error(applied.error()).with_offset(offset));
      }
    }
    answer_.version = frame.version;
    answer_.end = offset + frame.frame_bytes;
    return {};
  }

  /// A torn header is what a crash inside a switch leaves: its snapshot holds under the life it names,
  /// or its first sector is still that of an older life, and no edit follows. Anything else was in use.
  void witness_under_damaged_header(const Uuid& store_uuid) {
    if (bytes_.size() < kManifestHeaderBytes + kFrameAlignment) return;
    const Uuid life = load<Uuid>(bytes_, offsetof(format::ManifestHeader, life));
    const auto area = bytes_.subspan(kManifestHeaderBytes);
    const bool whole = frame_sum_holds(area, life, kManifestHeaderBytes);
    const bool ours =
        std::memcmp(bytes_.data(), format::kManifestMagic.data(), format::kManifestMagic.size()) == 0 &&
        load<Uuid>(bytes_, offsetof(format::ManifestHeader, store_uuid)) == store_uuid;
    const std::uint64_t from = kManifestHeaderBytes + (whole ? *frame_bytes_at(area) : kFrameAlignment);
    const ManifestVersion snapshot(whole ? load<std::uint64_t>(area, kFrameVersionOffset) : 0);
    // The first sector of a new header names a new life, and its snapshot was durable before: if it
    // does not hold under that life, the life or the snapshot was damaged later.
    if (!whole && ours)
      bear_witness({0, ManifestVersion(
                           load<std::uint64_t>(bytes_, offsetof(format::ManifestHeader, snapshot_version)))});
    if (const auto later = find_straggler(bytes_, life, from, snapshot); later && *later)
      bear_witness(**later);
  }

  void bear_witness(const Straggler& frame) {
    if (frame.version <= answer_.witness) return;
    answer_.witness = frame.version;
    answer_.witness_offset = frame.offset;
  }

  void invalidate(Error error) {
    answer_.condition = Condition::kInvalid;
    answer_.state = ManifestState();
    answer_.error = std::move(error).with_file(name_);
  }

  std::span<const std::byte> bytes_;
  std::string_view name_;
  ManifestFile answer_;
};

}  // namespace

ManifestFile read_manifest_file(std::span<const std::byte> bytes, std::string_view name,
                                const Uuid& store_uuid) {
  return ManifestFileReader(bytes, name).read(store_uuid);
}

Result<int> ManifestPair::choose() const {
  for (const ManifestFile& file : files) {
    if (file.error && file.error->code() == ErrorCode::kUnsupported) return std::unexpected(*file.error);
  }
  const auto valid = [this](int i) {
    return files[static_cast<std::size_t>(i)].condition == Condition::kValid;
  };
  if (!valid(0) && !valid(1)) {
    const std::optional<Error>& error = files[0].error ? files[0].error : files[1].error;
    return std::unexpected(
        advise_fsck(error ? *error : Error(ErrorCode::kCorruption, "both manifest files are empty")));
  }
  const int best = !valid(1) || (valid(0) && files[0].version >= files[1].version) ? 0 : 1;
  const ManifestFile& chosen = files[static_cast<std::size_t>(best)];
  const ManifestFile& other = files[static_cast<std::size_t>(1 - best)];
  if (other.condition == Condition::kInvalid && other.witness > chosen.version) {
    return std::unexpected(advise_fsck(*other.error));
  }
  return best;
}

Result<std::vector<std::byte>> load_manifest_bytes(const File& file) {
  VECTOLITH_TRY_ASSIGN(const std::uint64_t size, file.size());
  if (size > kManifestFileBytesMax) {
    return std::unexpected(Error(ErrorCode::kCorruption, "the manifest file is too large to be one")
                               .with_file(file.path())
                               .with_expected("at most " + std::to_string(kManifestFileBytesMax) + " bytes")
                               .with_found(std::to_string(size) + " bytes"));
  }
  std::vector<std::byte> bytes(size);
  VECTOLITH_TRY_ASSIGN(const std::size_t read, file.read_at(0, bytes));
  bytes.resize(read);
  return bytes;
}

Error advise_fsck(const Error& error) {
  Error advised(error.code(), error.message() + "; run fsck (vectolith check)");
  advised =
      std::move(advised).with_file(error.file()).with_expected(error.expected()).with_found(error.found());
  if (error.offset()) advised = std::move(advised).with_offset(*error.offset());
  return error.system_errno() == 0 ? advised : std::move(advised).with_errno(error.system_errno());
}

}  // namespace vectolith::engine
