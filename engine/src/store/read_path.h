/// @file
/// Reads: probe, compare the whole key, verify, hand out where the row lies.
#pragma once

#include <optional>
#include <span>

#include <vectolith/store.h>

#include "manifest/family_state.h"
#include "store/store_context.h"

namespace vectolith::engine {

/// A row that was found and may be looked at inside the epoch scope.
struct FoundRow {
  MappedSegment* segment = nullptr;
  std::uint32_t row = 0;
};

/// Reads of one family. The caller is inside an epoch scope for every call.
class ReadPath {
 public:
  ReadPath(StoreContext& context, const FamilyState& family) : context_(context), family_(family) {}

  /// Errors: kClosed, kWrongFamily (dropped), kCorruption, kIo. A miss is nullopt.
  Result<std::optional<FoundRow>> find(const Key& key, const ReadOptions& options) const {
    if (auto open = check(); !open) [[unlikely]]
      return std::unexpected(std::move(open).error());
    return find_hashed(context_.hasher(key), key, options);
  }
  /// Answers keys[i] in answers[i]; probes, row heads and vectors are fetched ahead in groups.
  Result<void> multi_get(std::span<const Key> keys, std::span<Lookup> answers) const;
  /// Errors: kClosed, kWrongFamily.
  Result<void> check() const;

  [[nodiscard]] VectorView view(const FoundRow& found) const noexcept {
    return {found.segment->vector(found.row), family_.row_bytes, &found.segment->meta(found.row),
            RowId{found.segment->id(), RowIndex(found.row)}};
  }

 private:
  Result<std::optional<FoundRow>> find_hashed(std::uint64_t hash, const Key& key,
                                              const ReadOptions& options) const {
    const auto at = family_.find_and_prefetch(hash, key);
    if (!at) return std::optional<FoundRow>();
    MappedSegment* segment = family_.segments.get(at->ordinal);
    if (options.min_durability == Durability::kDurable && at->row >= segment->rows_durable())
      return std::optional<FoundRow>();
    if (auto verified = verify(*segment, at->row); !verified) [[unlikely]]
      return std::unexpected(std::move(verified).error());
    return std::optional<FoundRow>(FoundRow{segment, at->row});
  }
  Result<void> verify(const MappedSegment& segment, std::uint32_t row) const {
    if (context_.options.verify == VerifyMode::kFirstTouch) [[likely]] {
      auto verified = segment.verify_first_touch(row);
      if (!verified) [[unlikely]]
        note_corruption(verified.error());
      return verified;
    }
    return verify_slow(segment, row);
  }
  Result<void> verify_slow(const MappedSegment& segment, std::uint32_t row) const;
  void note_corruption(const Error& error) const;
  void prefetch_candidate(std::uint64_t hash) const;
  void multi_get_group(std::span<const Key> keys, std::span<Lookup> answers) const;

  StoreContext& context_;
  const FamilyState& family_;
};

}  // namespace vectolith::engine
