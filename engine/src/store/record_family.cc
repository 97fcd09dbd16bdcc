/// @file
/// The public RecordFamily: variable-length records with the same levels, keys and contract.
#include <utility>

#include <vectolith/format/record.h>
#include <vectolith/store.h>

#include "no_memory.h"
#include "store/read_path.h"
#include "store/store_impl.h"

namespace vectolith {

using engine::PendingWrite;

namespace {

Result<Record> to_record(const engine::MappedSegment& segment, std::uint32_t unit) {
  VECTOLITH_TRY_ASSIGN(const auto view, segment.record(unit));
  auto payload = format::record_payload(view);
  if (!payload)
    return std::unexpected(
        std::move(payload).error().with_file(segment.path()).with_offset(segment.meta_offset(unit)));
  return Record{.key = view.header.key,
                .sequence = view.header.sequence(),
                .created_at_ms = view.header.created_at_ms,
                .payload = *std::move(payload)};
}

}  // namespace

RecordFamily::RecordFamily(std::shared_ptr<engine::StoreImpl> store,
                           std::shared_ptr<engine::FamilyState> state) noexcept
    : store_(std::move(store)), state_(std::move(state)) {}

const std::string& RecordFamily::name() const noexcept { return state_->name; }
FamilyId RecordFamily::id() const noexcept { return state_->id; }
std::uint64_t RecordFamily::size() const noexcept { return state_->index->size(); }

Result<PutResult> RecordFamily::put(const Key& key, std::span<const std::byte> payload,
                                    const WriteOptions& options) {
  return catch_no_memory([&]() -> Result<PutResult> {
    auto& context = store_->context();
    const std::uint64_t longest =
        std::min<std::uint64_t>(format::kRecordPayloadBytesMax, state_->segment_bytes_target / 4);
    if (payload.size() > longest) {
      return fail(ErrorCode::kInvalidArgument, "the record has " + std::to_string(payload.size()) +
                                                   " bytes, at most " + std::to_string(longest) +
                                                   " fit into family '" + state_->name + "'");
    }
    VECTOLITH_TRY(context.check_interned(key, BuildId()));
    VECTOLITH_TRY_ASSIGN(const auto prepared, format::prepare_payload(payload));
    const BatchRow row{key, payload};
    const std::uint64_t hash = context.hasher(key);
    PutResult result;
    PendingWrite write;
    write.family = state_.get();
    write.level = options.durability.value_or(context.options.durability);
    write.replace = options.replace;
    write.created_at_ms =
        options.created_at_s ? *options.created_at_s * 1'000 : context.environment->wall_clock_ms();
    write.rows = {&row, 1};
    write.hashes = {&hash, 1};
    write.results = {&result, 1};
    write.payload = &prepared;
    VECTOLITH_TRY(store_->run(write));
    return result;
  });
}

Result<PutResult> RecordFamily::put(const Key& key, std::string_view payload, const WriteOptions& options) {
  return put(key, std::as_bytes(std::span(payload)), options);
}

Result<std::optional<Record>> RecordFamily::get(const Key& key) const {
  return catch_no_memory([&]() -> Result<std::optional<Record>> {
    auto& context = store_->context();
    const auto scope = context.epochs.enter();
    const engine::ReadPath reads(context, *state_);
    VECTOLITH_TRY(reads.check());
    const auto at = state_->find(context.hasher(key), key);
    engine::add(at ? context.counters.hits : context.counters.misses);
    if (!at) return std::optional<Record>();
    auto record = to_record(*state_->segments.get(at->ordinal), at->row);
    if (!record) {
      engine::add(context.counters.corruptions);
      context.report(Event::Kind::kCorruption, "a record read is damaged", record.error());
      return std::unexpected(std::move(record).error());
    }
    return std::optional<Record>(*std::move(record));
  });
}

Result<bool> RecordFamily::contains(const Key& key) const {
  return catch_no_memory([&]() -> Result<bool> {
    auto& context = store_->context();
    const auto scope = context.epochs.enter();
    VECTOLITH_TRY(engine::ReadPath(context, *state_).check());
    return state_->find(context.hasher(key), key).has_value();
  });
}

Result<EraseResult> RecordFamily::erase(const Key& key, std::optional<Durability> durability) {
  return catch_no_memory([&]() -> Result<EraseResult> { return store_->erase(*state_, key, durability); });
}

Result<void> RecordFamily::for_each(const std::function<bool(const Record&)>& visit) const {
  return catch_no_memory([&]() -> Result<void> {
    VECTOLITH_TRY(store_->context().check_open());
    std::vector<std::shared_ptr<engine::FrozenSegment>> frozen;
    {
      const engine::Committer::Lock lock(store_->committer());
      VECTOLITH_TRY(engine::StoreImpl::check_listable(*state_));
      for (const auto& segment : state_->by_ordinal)
        frozen.push_back(engine::freeze_segment(segment, segment->rows()));
    }
    for (const auto& view : frozen) {
      for (std::uint32_t unit = 0; unit < view->rows; ++unit) {
        if ((view->live[unit / 64] >> (unit % 64) & 1) == 0) continue;
        VECTOLITH_TRY_ASSIGN(const auto record, to_record(*view->segment, unit));
        if (!visit(record)) return {};
      }
    }
    return {};
  });
}

}  // namespace vectolith
