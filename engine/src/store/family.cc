/// @file
/// The public Family: writes of vectors, and reads without a copy.
#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <limits>
#include <new>
#include <utility>

#include <vectolith/store.h>

#include "no_memory.h"
#include "store/placement.h"
#include "store/read_path.h"
#include "store/scan.h"
#include "store/store_impl.h"
#include "store/validation.h"

namespace vectolith {

using engine::PendingWrite;
using engine::ReadPath;

namespace {

constexpr std::size_t kVectorAlignment = 64;

/// What is wrong with the vector, counted by reason; and the row flags it earns.
Result<std::uint16_t> check_vector(engine::StoreContext& context, const engine::FamilyState& family,
                                   std::span<const std::byte> vector) {
  const auto reject = [&](RejectReason reason, const std::string& message) {
    engine::add(context.counters.rejected[static_cast<std::size_t>(reason)]);
    return fail(ErrorCode::kRejected, "rejected (" + std::string(to_string(reason)) + "): " + message);
  };
  bool is_unit = false;
  if (const auto rejection = engine::validate(vector, family.spec, is_unit))
    return reject(rejection->reason, rejection->message);
  if (const auto validator = family.validator(); validator != nullptr && *validator) {
    try {
      if (const auto reason = (*validator)(vector)) return reject(RejectReason::kValidator, *reason);
    } catch (const std::bad_alloc&) {
      return fail(ErrorCode::kNoMemory, "the validator found no memory");
    } catch (const std::exception& error) {
      return reject(RejectReason::kValidator, std::string("the validator threw: ") + error.what());
    } catch (...) {
      return reject(RejectReason::kValidator, "the validator threw");
    }
  }
  return static_cast<std::uint16_t>(is_unit ? format::kRowNormalised : 0);
}

/// What is wrong with a row but its vector: ids never interned, a created_at that does not fit 32 bits.
Result<void> check_row(const engine::StoreContext& context, const Key& key, const WriteOptions& options) {
  VECTOLITH_TRY(context.check_open());
  VECTOLITH_TRY(context.check_interned(key, options.build));
  constexpr std::uint64_t kLatest = std::numeric_limits<std::uint32_t>::max();
  if (options.created_at_s.value_or(0) <= kLatest) return {};
  return fail(ErrorCode::kInvalidArgument, "created_at_s is " + std::to_string(*options.created_at_s) +
                                               ", at most " + std::to_string(kLatest) + " fits");
}

void fill_options(PendingWrite& write, engine::StoreContext& context, engine::FamilyState& family,
                  const WriteOptions& options) {
  write.family = &family;
  write.level = options.durability.value_or(context.options.durability);
  write.replace = options.replace;
  write.build = options.build;
  write.created_at_ms =
      options.created_at_s ? *options.created_at_s * 1'000 : context.environment->wall_clock_ms();
}

/// A vector read from its file, and what holds its meta row.
class OwnedVector {
 public:
  OwnedVector(std::size_t bytes, std::pmr::memory_resource& heap)
      : heap_(heap), bytes_(bytes), data_(static_cast<std::byte*>(heap.allocate(bytes, kVectorAlignment))) {}
  OwnedVector(const OwnedVector&) = delete;
  OwnedVector& operator=(const OwnedVector&) = delete;
  ~OwnedVector() { heap_.deallocate(data_, bytes_, kVectorAlignment); }

  [[nodiscard]] std::byte* data() const noexcept { return data_; }
  void keep(std::shared_ptr<const void> pin) noexcept { pin_ = std::move(pin); }

 private:
  std::pmr::memory_resource& heap_;
  std::size_t bytes_;
  std::byte* data_;
  std::shared_ptr<const void> pin_;
};

/// Memory that lives as long as `buffers`, which are made when first needed.
std::byte* room_in(std::unique_ptr<std::pmr::monotonic_buffer_resource>& buffers,
                   std::pmr::memory_resource& heap, std::size_t bytes) {
  if (buffers == nullptr) buffers = std::make_unique<std::pmr::monotonic_buffer_resource>(&heap);
  return static_cast<std::byte*>(buffers->allocate(std::max<std::size_t>(bytes, 1), kVectorAlignment));
}

}  // namespace

Family::Family(std::shared_ptr<engine::StoreImpl> store, std::shared_ptr<engine::FamilyState> state) noexcept
    : store_(std::move(store)), state_(std::move(state)) {}

const std::string& Family::name() const noexcept { return state_->name; }
FamilyId Family::id() const noexcept { return state_->id; }
const ModelSpec& Family::spec() const noexcept { return state_->spec; }
std::uint64_t Family::size() const noexcept { return state_->index->size(); }
Result<void> Family::set_validator(Validator validator) {
  return catch_no_memory([&]() -> Result<void> {
    VECTOLITH_TRY(store_->context().check_open());
    state_->set_validator(std::move(validator));
    return {};
  });
}

Result<PutResult> Family::put(const Key& key, std::span<const std::byte> vector,
                              const WriteOptions& options) {
  return catch_no_memory([&]() -> Result<PutResult> {
    auto& context = store_->context();
    VECTOLITH_TRY(check_row(context, key, options));
    VECTOLITH_TRY_ASSIGN(const auto flags, check_vector(context, *state_, vector));
    const BatchRow row{key, vector};
    const std::uint64_t hash = context.hasher(key);
    PutResult result;
    PendingWrite write;
    fill_options(write, context, *state_, options);
    write.flags = flags;
    write.rows = {&row, 1};
    write.hashes = {&hash, 1};
    write.results = {&result, 1};
    VECTOLITH_TRY(store_->run(write));
    return result;
  });
}

Result<PutResult> Family::put(const Key& key, std::span<const float> vector, const WriteOptions& options) {
  return catch_no_memory([&]() -> Result<PutResult> {
    if (state_->spec.dtype != Dtype::kF32) {
      return fail(ErrorCode::kInvalidArgument, "family '" + state_->name + "' holds " +
                                                   std::string(to_string(state_->spec.dtype)) + ", not f32");
    }
    return put(key, std::as_bytes(vector), options);
  });
}

Result<PendingPut> Family::submit_put(const Key& key, std::span<const std::byte> vector,
                                      const WriteOptions& options) {
  return catch_no_memory([&]() -> Result<PendingPut> {
    auto& context = store_->context();
    VECTOLITH_TRY(check_row(context, key, options));
    VECTOLITH_TRY_ASSIGN(const auto flags, check_vector(context, *state_, vector));
    auto write = std::make_shared<PendingWrite>();
    fill_options(*write, context, *state_, options);
    write->flags = flags;
    write->has_waiter = false;
    write->family_owner = state_;
    write->owned_vector.assign(vector.begin(), vector.end());
    write->owned_row = {key, write->owned_vector};
    write->owned_hash = context.hasher(key);
    write->rows = {&write->owned_row, 1};
    write->hashes = {&write->owned_hash, 1};
    write->results = {&write->owned_result, 1};
    VECTOLITH_TRY(store_->submit(write));
    return PendingPut(store_, std::move(write));
  });
}

Result<std::vector<PutResult>> Family::put_batch(std::span<const BatchRow> rows,
                                                 const WriteOptions& options) {
  return catch_no_memory([&]() -> Result<std::vector<PutResult>> {
    auto& context = store_->context();
    std::vector<PutResult> results(rows.size());
    if (rows.empty()) return results;
    std::uint16_t flags = format::kRowNormalised;
    std::vector<std::uint64_t> hashes(rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const auto row = check_row(context, rows[i].key, options);
      auto checked = row ? check_vector(context, *state_, rows[i].vector) : std::unexpected(row.error());
      if (!checked)
        return fail(checked.error().code(),
                    "row " + std::to_string(i) + " of the batch: " + checked.error().message());
      flags &= *checked;
      hashes[i] = context.hasher(rows[i].key);
    }
    auto sorted = hashes;
    std::ranges::sort(sorted);
    if (std::ranges::adjacent_find(sorted) != sorted.end()) {
      std::vector<Key> keys(rows.size());
      std::ranges::transform(rows, keys.begin(), [](const BatchRow& row) { return row.key; });
      std::ranges::sort(keys);
      if (const auto twice = std::ranges::adjacent_find(keys); twice != keys.end()) {
        return fail(ErrorCode::kInvalidArgument,
                    "key " + twice->digest.to_hex() + " occurs twice in the batch");
      }
    }
    PendingWrite write;
    fill_options(write, context, *state_, options);
    write.flags = flags;
    write.rows = rows;
    write.hashes = hashes;
    write.results = results;
    write.is_large = rows.size() > std::min(state_->rows_per_segment, format::kBatchRowsMax);
    VECTOLITH_TRY(store_->run(write));
    return results;
  });
}

Result<EraseResult> Family::erase(const Key& key, std::optional<Durability> durability) {
  return catch_no_memory([&]() -> Result<EraseResult> { return store_->erase(*state_, key, durability); });
}

Result<std::optional<VectorView>> Family::get(const ReadScope& scope, const Key& key,
                                              const ReadOptions& options) const {
  return catch_no_memory([&]() -> Result<std::optional<VectorView>> {
    const ReadPath reads(store_->context(), *state_);
    if (reads.is_cold()) [[unlikely]] {
      VECTOLITH_TRY_ASSIGN(const auto row, reads.get_cold(key, options, [&] {
        return room_in(scope.buffers_, store_->context().heap, state_->row_bytes);
      }));
      return row ? std::optional<VectorView>(reads.view(*row)) : std::nullopt;
    }
    auto found = reads.find(key, options);
    if (!found) [[unlikely]]
      return std::unexpected(std::move(found).error());
    if (!found->has_value()) return std::optional<VectorView>();
    return std::optional<VectorView>(reads.view(**found));
  });
}

Result<std::optional<PinnedVector>> Family::get(const Key& key, const ReadOptions& options) const {
  return catch_no_memory([&]() -> Result<std::optional<PinnedVector>> {
    auto& context = store_->context();
    const auto scope = context.epochs.enter();
    const ReadPath reads(context, *state_);
    if (reads.is_cold()) [[unlikely]] {
      std::shared_ptr<OwnedVector> owned;
      VECTOLITH_TRY_ASSIGN(const auto row, reads.get_cold(key, options, [&] {
        owned = std::make_shared<OwnedVector>(state_->row_bytes, context.heap);
        return owned->data();
      }));
      engine::add(row ? context.counters.hits : context.counters.misses);
      if (!row) return std::optional<PinnedVector>();
      std::shared_ptr<const void> pin = row->row.segment->shared_from_this();
      if (owned != nullptr) {
        owned->keep(std::move(pin));
        pin = std::move(owned);
      }
      return std::optional<PinnedVector>(PinnedVector(reads.view(*row), std::move(pin)));
    }
    VECTOLITH_TRY_ASSIGN(const auto found, reads.find(key, options));
    engine::add(found ? context.counters.hits : context.counters.misses);
    if (!found) return std::optional<PinnedVector>();
    return std::optional<PinnedVector>(PinnedVector(reads.view(*found), found->segment->shared_from_this()));
  });
}

Result<bool> Family::get_copy(const Key& key, std::span<std::byte> out, const ReadOptions& options) const {
  return catch_no_memory([&]() -> Result<bool> {
    if (out.size() != state_->row_bytes) {
      return fail(ErrorCode::kInvalidArgument, "get_copy needs " + std::to_string(state_->row_bytes) +
                                                   " bytes, not " + std::to_string(out.size()));
    }
    auto& context = store_->context();
    const auto scope = context.epochs.enter();
    const ReadPath reads(context, *state_);
    if (reads.is_cold()) [[unlikely]] {
      VECTOLITH_TRY_ASSIGN(const auto row, reads.get_cold(key, options, [&] { return out.data(); }));
      engine::add(row ? context.counters.hits : context.counters.misses);
      if (row && row->bytes != out.data()) std::memcpy(out.data(), row->bytes, out.size());
      return row.has_value();
    }
    VECTOLITH_TRY_ASSIGN(const auto found, reads.find(key, options));
    engine::add(found ? context.counters.hits : context.counters.misses);
    if (!found) return false;
    std::memcpy(out.data(), found->segment->vector(found->row), out.size());
    return true;
  });
}

Result<bool> Family::contains(const Key& key) const {
  return catch_no_memory([&]() -> Result<bool> {
    auto& context = store_->context();
    const auto scope = context.epochs.enter();
    VECTOLITH_TRY(ReadPath(context, *state_).check());
    return state_->find(context.hasher(key), key).has_value();
  });
}

Result<void> Family::multi_get(const ReadScope& scope, std::span<const Key> keys,
                               std::span<Lookup> answers) const {
  return catch_no_memory([&]() -> Result<void> {
    const ReadPath reads(store_->context(), *state_);
    if (!reads.is_cold()) [[likely]]
      return reads.multi_get(keys, answers);
    const std::size_t bytes = keys.size() * state_->row_bytes;
    std::byte* const matrix = room_in(scope.buffers_, store_->context().heap, bytes);
    return reads.multi_get_cold(keys, answers, {matrix, bytes});
  });
}

Result<std::size_t> Family::multi_get_copy(std::span<const Key> keys, std::span<std::byte> matrix,
                                           std::span<bool> found) const {
  return catch_no_memory([&]() -> Result<std::size_t> {
    if (found.size() != keys.size() || matrix.size() != keys.size() * state_->row_bytes) {
      return fail(ErrorCode::kInvalidArgument, "multi_get_copy needs one flag and one matrix row per key");
    }
    auto& context = store_->context();
    const auto scope = context.epochs.enter();
    const ReadPath reads(context, *state_);
    VECTOLITH_TRY_ASSIGN(const std::size_t hits, reads.is_cold()
                                                     ? reads.multi_get_copy_cold(keys, matrix, found)
                                                     : reads.multi_get_copy(keys, matrix, found));
    engine::add(context.counters.hits, hits);
    engine::add(context.counters.misses, keys.size() - hits);
    return hits;
  });
}

Result<std::vector<SegmentView>> Family::segments() const {
  return catch_no_memory([&]() -> Result<std::vector<SegmentView>> {
    VECTOLITH_TRY(store_->context().check_open());
    std::vector<SegmentView> views;
    const engine::Committer::Lock lock(store_->committer());
    VECTOLITH_TRY(engine::StoreImpl::check_listable(*state_));
    for (const auto& segment : state_->by_ordinal) {
      if (segment->live_rows() > 0)
        views.push_back(engine::view_of(engine::freeze_segment(segment, segment->rows()), *state_));
    }
    return views;
  });
}

Result<void> Family::place(Placement vectors, bool pin_metas) {
  return catch_no_memory([&]() -> Result<void> {
    VECTOLITH_TRY(store_->context().check_open());
    VECTOLITH_TRY(ReadPath(store_->context(), *state_).check());
    return engine::place_family(store_->context(), store_->committer(), *state_, {vectors, pin_metas});
  });
}

Placement Family::placement() const noexcept { return state_->placement.load(); }

Result<void> Family::gather(std::span<const RowId> rows, std::span<std::byte> matrix) const {
  return catch_no_memory([&]() -> Result<void> {
    const std::size_t row_bytes = state_->row_bytes;
    if (matrix.size() != rows.size() * row_bytes)
      return fail(ErrorCode::kInvalidArgument, "gather needs one matrix row per row id");
    VECTOLITH_TRY_ASSIGN(const auto by_id, store_->segments_by_id(*state_));
    auto& context = store_->context();
    std::optional<engine::ColdReads::Batch> cold;
    if (ReadPath(context, *state_).is_cold()) {
      VECTOLITH_TRY_ASSIGN(auto batch, context.cold_reads.begin(row_bytes, context.options.verify));
      cold.emplace(std::move(batch));
    }
    for (std::size_t i = 0; i < rows.size(); ++i) {
      constexpr std::size_t kAhead = 4;
      if (!cold && i + kAhead < rows.size()) {
        const auto ahead = by_id.find(rows[i + kAhead].segment);
        if (ahead != by_id.end() && rows[i + kAhead].row.value < ahead->second->rows())
          __builtin_prefetch(ahead->second->vector(rows[i + kAhead].row.value));
      }
      const auto segment = by_id.find(rows[i].segment);
      const std::uint32_t row = rows[i].row.value;
      if (segment == by_id.end() || row >= segment->second->rows() || !segment->second->live().test(row)) {
        return fail(ErrorCode::kNotFound, "row " + std::to_string(row) + " of segment " +
                                              std::to_string(rows[i].segment.value) +
                                              " is no live row of family '" + state_->name + "'");
      }
      if (cold && segment->second->is_settled()) {
        cold->add(*segment->second, row, matrix.data() + i * row_bytes);
        continue;
      }
      VECTOLITH_TRY(segment->second->verify_first_touch(row));
      std::memcpy(matrix.data() + i * row_bytes, segment->second->vector(row), row_bytes);
    }
    if (!cold) return {};
    cold->start();
    cold->finish();
    if (const Error* error = cold->first_error()) return std::unexpected(*error);
    return {};
  });
}

Result<void> Family::scan(const std::function<bool(const RowBlock&)>& visit) const {
  return catch_no_memory([&]() -> Result<void> {
    VECTOLITH_TRY_ASSIGN(const auto views, segments());
    auto& context = store_->context();
    const bool is_cold = ReadPath(context, *state_).is_cold();
    for (const auto& view : views) {
      const auto& segment = *static_cast<const engine::FrozenSegment*>(view.pin.get())->segment;
      VECTOLITH_TRY_ASSIGN(const bool goes_on, engine::scan_segment(context, segment, view, is_cold, visit));
      if (!goes_on) break;
    }
    return {};
  });
}

Result<void> Family::for_each(const std::function<bool(const VectorView&)>& visit) const {
  return catch_no_memory([&]() -> Result<void> {
    return scan([&](const RowBlock& block) {
      for (std::uint32_t row = 0; row < block.rows; ++row) {
        if (!block.is_live(row)) continue;
        const VectorView vector(block.vector(row).data(), block.stride_bytes, &block.meta[row],
                                RowId{block.segment, RowIndex(block.first_row + row)});
        if (!visit(vector)) return false;
      }
      return true;
    });
  });
}

}  // namespace vectolith
