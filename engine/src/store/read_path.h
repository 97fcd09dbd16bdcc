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
  friend bool operator==(const FoundRow&, const FoundRow&) = default;
};

/// A row whose vector may lie outside its segment's mapping.
struct ColdRow {
  FoundRow row;
  const std::byte* bytes = nullptr;
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
  /// Answers keys[i] in answers[i].
  Result<void> multi_get(std::span<const Key> keys, std::span<Lookup> answers) const;
  /// Copies hit i into row i of `matrix`; returns the number of hits. Shapes: a row and a flag for each key.
  Result<std::size_t> multi_get_copy(std::span<const Key> keys, std::span<std::byte> matrix,
                                     std::span<bool> found) const;

  /// Whether reads of settled rows go past the page cache, by the members named `_cold`: they want memory of
  /// the caller's, row_bytes for each key.
  [[nodiscard]] bool is_cold() const noexcept {
    return family_.placement.load(std::memory_order_relaxed) == Placement::kCold;
  }
  /// As `find`. `memory()` is asked for row_bytes if the vector must be read; else it is shown where it lies.
  template <class Memory>
  Result<std::optional<ColdRow>> get_cold(const Key& key, const ReadOptions& options,
                                          const Memory& memory) const {
    VECTOLITH_TRY(check());
    const auto at = find_unverified(context_.hasher(key), key, options);
    if (!at) return std::optional<ColdRow>();
    if (!is_in_file_only(*at->segment)) {
      VECTOLITH_TRY(verify(*at->segment, at->row));
      return std::optional<ColdRow>(ColdRow{*at, at->segment->vector(at->row)});
    }
    std::byte* const into = memory();
    VECTOLITH_TRY(read_cold(*at, into));
    return std::optional<ColdRow>(ColdRow{*at, into});
  }
  /// As `multi_get`; a vector that is read lies in row i of `matrix`.
  Result<void> multi_get_cold(std::span<const Key> keys, std::span<Lookup> answers,
                              std::span<std::byte> matrix) const;
  /// As `multi_get_copy`.
  Result<std::size_t> multi_get_copy_cold(std::span<const Key> keys, std::span<std::byte> matrix,
                                          std::span<bool> found) const;
  /// The row of `key`, whose vector is still to be verified. After `check`.
  [[nodiscard]] std::optional<FoundRow> find_unverified(std::uint64_t hash, const Key& key,
                                                        const ReadOptions& options) const {
    const auto at = family_.find_and_prefetch(hash, key);
    if (!at) return std::nullopt;
    MappedSegment* segment = family_.segments.get(at->ordinal);
    if (options.min_durability == Durability::kDurable && at->row >= segment->rows_durable())
      return std::nullopt;
    return FoundRow{segment, at->row};
  }
  /// Checks a row as Options::verify wants it. Errors: kCorruption, kIo.
  Result<void> verify(const MappedSegment& segment, std::uint32_t row) const {
    if (context_.options.verify == VerifyMode::kFirstTouch) [[likely]] {
      auto verified = segment.verify_first_touch(row);
      if (!verified) [[unlikely]]
        note_corruption(verified.error());
      return verified;
    }
    return verify_slow(segment, row);
  }
  /// Errors: kClosed, kWrongFamily.
  Result<void> check() const;

  [[nodiscard]] VectorView view(const FoundRow& found) const noexcept {
    return view({found, found.segment->vector(found.row)});
  }
  [[nodiscard]] VectorView view(const ColdRow& read) const noexcept {
    return {read.bytes, family_.row_bytes, &read.row.segment->meta(read.row.row),
            RowId{read.row.segment->id(), RowIndex(read.row.row)}};
  }

 private:
  Result<std::optional<FoundRow>> find_hashed(std::uint64_t hash, const Key& key,
                                              const ReadOptions& options) const {
    const auto at = find_unverified(hash, key, options);
    if (!at) return std::optional<FoundRow>();
    if (auto verified = verify(*at->segment, at->row); !verified) [[unlikely]]
      return std::unexpected(std::move(verified).error());
    return at;
  }
  /// In a cold family: rows that may still be written to lie in the page cache anyway.
  [[nodiscard]] static bool is_in_file_only(const MappedSegment& segment) noexcept {
    return segment.is_settled();
  }
  Result<void> read_cold(const FoundRow& found, std::byte* into) const;
  /// The error of a key that was answered kCorrupt; none if it is well by now.
  Result<void> error_of(const Key& key) const;
  Result<void> verify_slow(const MappedSegment& segment, std::uint32_t row) const;
  void note_corruption(const Error& error) const;
  /// Shows `visit(i, row)` the row of each key in turn, null for a miss; probes, row heads and vectors are
  /// fetched ahead. What is not in memory is loaded side by side.
  template <class Visit>
  Result<void> find_grouped(std::span<const Key> keys, const Visit& visit) const;
  /// False if the row was not read since its segment was mapped: it may not be in memory.
  bool prefetch_row(const std::optional<Location>& candidate) const;
  /// Asks for these rows, at most kProbes, to be loaded side by side.
  void bring_in(std::span<const std::optional<Location>> candidates) const;
  /// The row of `key`, whose place `find_candidates` guessed; null for a miss.
  [[nodiscard]] FoundRow row_of(const std::optional<Location>& candidate, std::uint64_t hash,
                                const Key& key) const;
  [[nodiscard]] Lookup look(const FoundRow& found) const;
  [[nodiscard]] FoundRow row_at(Location at) const noexcept {
    return {family_.segments.get(at.ordinal), at.row};
  }

  StoreContext& context_;
  const FamilyState& family_;
};

}  // namespace vectolith::engine
