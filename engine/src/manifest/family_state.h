/// @file
/// An open family: its spec, its index, its segments by ordinal, and where the next row goes.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <vectolith/format/ids.h>
#include <vectolith/format/key.h>
#include <vectolith/format/model_spec.h>
#include <vectolith/options.h>

#include "index/index.h"
#include "planted_bug.h"
#include "segment/mapped_segment.h"

namespace vectolith {
namespace engine {

/// Segments by their run-time ordinal. Readers never lock; slots are cleared only before the segment
/// is retired through the epoch domain.
class SegmentTable {
 public:
  static constexpr std::uint32_t kChunk = 1'024;
  static_assert(kOrdinalMax < kChunk * kChunk && format::kSegmentRowsMax <= kRowMax + 1);

  SegmentTable() = default;
  SegmentTable(const SegmentTable&) = delete;
  SegmentTable& operator=(const SegmentTable&) = delete;
  ~SegmentTable() {
    for (auto& chunk : chunks_) delete chunk.load(std::memory_order_relaxed);
  }

  /// Null if the ordinal is free. The caller holds an epoch scope, or is the committer.
  [[nodiscard]] MappedSegment* get(std::uint32_t ordinal) const noexcept {
    const Chunk* chunk = chunks_[ordinal / kChunk].load(std::memory_order_acquire);
    return chunk == nullptr ? nullptr : (*chunk)[ordinal % kChunk].load(std::memory_order_acquire);
  }
  /// Makes room for `set`. Threads: the committer.
  void reserve(std::uint32_t ordinal) {
    auto& chunk = chunks_[ordinal / kChunk];
    if (chunk.load(std::memory_order_relaxed) == nullptr) chunk.store(new Chunk(), std::memory_order_release);
  }
  /// Threads: the committer.
  void set(std::uint32_t ordinal, MappedSegment* segment) noexcept {
    Chunk* chunk = chunks_[ordinal / kChunk].load(std::memory_order_relaxed);
    (*chunk)[ordinal % kChunk].store(segment, std::memory_order_release);
  }

 private:
  using Chunk = std::array<std::atomic<MappedSegment*>, kChunk>;
  std::array<std::atomic<Chunk*>, kChunk> chunks_{};
};

/// One open family. What is marked [committer] is guarded by the commit lock.
struct FamilyState : std::enable_shared_from_this<FamilyState> {
  std::shared_ptr<EpochDomain> epoch_domain;  ///< First, so that it outlives the index.
  FamilyId id;
  format::SegmentKind kind{};
  std::string name;
  ModelSpec spec;               ///< Empty for record families.
  Fingerprint fingerprint;      ///< Nil for record families.
  std::uint32_t row_bytes = 0;  ///< Vector bytes; 64 for records.
  std::uint64_t segment_bytes_target = 0;
  std::uint32_t rows_per_segment = 0;  ///< Capacity of a segment of the target size.

  std::unique_ptr<Index> index;
  SegmentTable segments;
  std::atomic<bool> dropped{false};
  std::atomic<Placement> placement{Placement::kCached};
  std::atomic<bool> pins_metas{false};

  std::vector<std::shared_ptr<MappedSegment>> by_ordinal;  ///< [committer] Owns what `segments` points to.
  std::shared_ptr<MappedSegment> active;                   ///< [committer] Null until the first row.
  std::uint32_t next_row = 0;                              ///< [committer] First free row of `active`.
  std::atomic<std::uint64_t> next_segment_bytes{0};  ///< Size of the next file; the committer writes it.

  std::mutex prepare_mutex;  ///< Held while the next segment is being made.
  std::shared_ptr<MappedSegment>
      prepared;  ///< [prepare_mutex] Ready to become active; named in the manifest.
  std::atomic<bool> wants_prepared{false};

  [[nodiscard]] bool holds_records() const noexcept { return kind == format::SegmentKind::kRecord; }

  void set_validator(Validator validator) {
    const std::lock_guard lock(validator_mutex_);
    validator_ = std::make_shared<const Validator>(std::move(validator));
    has_validator_.store(true, std::memory_order_release);
  }
  [[nodiscard]] std::shared_ptr<const Validator> validator() const {
    if (!has_validator_.load(std::memory_order_acquire)) return nullptr;
    const std::lock_guard lock(validator_mutex_);
    return validator_;
  }

  /// Where the row of `key` lies. The caller holds an epoch scope, or is the committer.
  [[nodiscard]] std::optional<Location> find(std::uint64_t hash, const Key& key) const {
    return index->find(hash, [&](Location at) {
      const MappedSegment* segment = segments.get(at.ordinal);
      return segment != nullptr && holds_key(*segment, at.row, key);
    });
  }
  /// As `find`, and starts to fetch the vector while the key is being compared.
  [[nodiscard]] std::optional<Location> find_and_prefetch(std::uint64_t hash, const Key& key) const {
    return index->find(hash, [&](Location at) {
      const MappedSegment* segment = segments.get(at.ordinal);
      if (segment == nullptr) return false;
      const std::byte* vector = segment->vector(at.row);
      for (std::size_t line = 0; line < 4 && line * 64 < row_bytes; ++line)
        __builtin_prefetch(vector + line * 64);
      return holds_key(*segment, at.row, key);
    });
  }

  static bool holds_key(const MappedSegment& segment, std::uint32_t row, const Key& key) {
    return std::memcmp(segment.head(row), &key, sizeof(Key)) == 0 || is_planted(PlantedBug::kCompareHashOnly);
  }

 private:
  mutable std::mutex validator_mutex_;
  std::shared_ptr<const Validator> validator_;
  std::atomic<bool> has_validator_{false};
};

/// Makes room for `count` more segments, which then are attached without fail. Threads: the committer.
/// Errors: kLimit when ordinals are exhausted.
Result<void> reserve_ordinals(FamilyState& family, std::size_t count);
/// Gives the segment the next free ordinal, which was reserved, and makes it reachable by location. Threads:
/// the committer.
void attach_segment(FamilyState& family, const std::shared_ptr<MappedSegment>& segment) noexcept;

}  // namespace engine
}  // namespace vectolith
