/// @file
/// Asynchronous reads.
#include "store/async_reads.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <utility>

#include "no_memory.h"

namespace vectolith::engine {
namespace {

constexpr std::size_t kGroup = 16;
constexpr std::size_t kUnit = 4'096;  // At least what a direct read is aligned to.

}  // namespace

Result<std::unique_ptr<AsyncReads>> AsyncReads::make(std::shared_ptr<StoreImpl> store,
                                                     const ReadQueueOptions& options) {
  VECTOLITH_TRY(store->context().check_open());
  if (options.depth == 0 || options.depth > 4'096)
    return fail(ErrorCode::kInvalidArgument,
                "a read queue's depth is 1 to 4096, not " + std::to_string(options.depth));
  VECTOLITH_TRY_ASSIGN(auto queue, store->context().environment->make_read_queue(options.depth));
  queue->reserve(options.depth);
  return std::make_unique<AsyncReads>(std::move(store), options, std::move(queue));
}

AsyncReads::AsyncReads(std::shared_ptr<StoreImpl> store, const ReadQueueOptions& options,
                       std::unique_ptr<IoQueue> queue)
    : store_(std::move(store)),
      keys_pending_max_(options.keys_pending),
      slots_(options.depth),
      operations_(options.depth),
      queue_(std::move(queue)) {
  free_.reserve(options.depth);
  busy_.reserve(options.depth);
  sent_.reserve(options.depth);
  for (std::uint32_t slot = options.depth; slot-- > 0;) free_.push_back(slot);
}

AsyncReads::~AsyncReads() {
  queue_.reset();
  auto& heap = store_->context().heap;
  for (auto& slot : slots_) {
    if (!slot.memory.empty()) heap.deallocate(slot.memory.data(), slot.memory.size(), kUnit);
  }
}

Result<void> AsyncReads::submit(FamilyState& family, std::span<const Key> keys, std::span<std::byte> matrix,
                                std::span<bool> found, std::uint64_t tag, const AsyncReadOptions& options) {
  auto& context = store_->context();
  const auto scope = context.epochs.enter();
  const ReadPath reads(context, family);
  VECTOLITH_TRY(reads.check());
  if (keys.size() > keys_pending_max_ - keys_pending_)
    return fail(ErrorCode::kBusy, "the read queue has " + std::to_string(keys_pending_) + " of " +
                                      std::to_string(keys_pending_max_) + " keys pending");
  auto request = std::make_shared<Request>(
      Request{.tag = tag,
              .matrix = matrix.data(),
              .found = found.data(),
              .row_bytes = family.row_bytes,
              .keys = keys.size(),
              .deadline_ns = options.timeout ? deadline_after(*options.timeout) : 0});
  const auto take = [&]() -> Result<void> {
    active_.emplace(tag, request);
    if (request->deadline_ns != 0) deadlines_.emplace(request->deadline_ns, request);
    std::array<std::uint64_t, kGroup> hashes;
    for (std::size_t first = 0; first < keys.size(); first += kGroup) {
      const auto group = keys.subspan(first, std::min(kGroup, keys.size() - first));
      for (std::size_t i = 0; i < group.size(); ++i) {
        hashes[i] = context.hasher(group[i]);
        family.index->prefetch(hashes[i]);
      }
      for (std::size_t i = 0; i < group.size(); ++i)
        look_up(reads, family, hashes[i], group[i], first + i, request, options.min_durability);
    }
    return {};
  };
  if (auto taken = catch_no_memory(take); !taken) {
    request->has_ended = true;  // What it left in waiting_ is passed over.
    forget(*request);
    return taken;
  }
  keys_pending_ += keys.size();
  if (request->left == 0) complete(*request, std::nullopt);
  send_waiting();
  return {};
}

std::uint64_t AsyncReads::deadline_after(std::chrono::nanoseconds timeout) const {
  const auto left = static_cast<std::uint64_t>(std::max<std::int64_t>(0, timeout.count()));
  return store_->context().environment->steady_ns() + left;
}

void AsyncReads::look_up(const ReadPath& reads, const FamilyState& family, std::uint64_t hash, const Key& key,
                         std::size_t index, const RequestPtr& request, Durability min_durability) {
  if (request->found != nullptr) request->found[index] = false;
  const auto at = reads.find_unverified(hash, key, {.min_durability = min_durability});
  if (!at) return;
  auto& context = store_->context();
  const bool is_cold = family.placement.load(std::memory_order_relaxed) == Placement::kCold;
  const bool is_in_memory = !at->segment->is_settled() || (!is_cold && at->segment->was_verified(at->row) &&
                                                           !context.memory_is_short.load());
  if (!is_in_memory) {
    ++request->left;
    waiting_.push_back({.request = request,
                        .index = index,
                        .segment = at->segment->shared_from_this(),
                        .row = at->row,
                        .mode = is_cold ? OpenMode::kReadDirect : OpenMode::kReadOnly});
    return;
  }
  if (auto holds = reads.verify(*at->segment, at->row); !holds) {
    if (!request->error) request->error = std::move(holds).error();
    return;
  }
  std::memcpy(request->matrix + index * request->row_bytes, at->segment->vector(at->row), request->row_bytes);
  if (request->found != nullptr) request->found[index] = true;
  ++request->hits;
}

void AsyncReads::send_waiting() noexcept {
  sent_.clear();
  while (!waiting_.empty() && !free_.empty()) {
    const std::uint32_t slot = free_.back();
    slots_[slot].row = std::move(waiting_.front());
    waiting_.pop_front();
    if (slots_[slot].row.request->has_ended || !send(slot)) {
      slots_[slot].row = {};
      continue;
    }
    free_.pop_back();
    busy_.push_back(slot);
    sent_.push_back(slot);
  }
  // One submit for each run of neighbours; mostly that is one.
  std::ranges::sort(sent_);
  for (std::size_t first = 0; first < sent_.size();) {
    std::size_t count = 1;
    while (first + count < sent_.size() && sent_[first + count] == sent_[first] + count) ++count;
    // A broken queue ends the operations with an error, which take_done finds there.
    static_cast<void>(queue_->submit(std::span(operations_).subspan(sent_[first], count)));
    first += count;
  }
}

bool AsyncReads::send(std::uint32_t index) noexcept {
  Slot& slot = slots_[index];
  auto prepared = catch_no_memory([&] { return prepare(slot, operations_[index]); });
  if (prepared) return true;
  const RequestPtr request = slot.row.request;
  row_failed(*request, std::move(prepared).error());
  row_ended(request);
  return false;
}

Result<void> AsyncReads::prepare(Slot& slot, IoOperation& operation) {
  auto& context = store_->context();
  const MappedSegment& segment = *slot.row.segment;
  VECTOLITH_TRY_ASSIGN(File* const file, segment.read_file(*context.directory, slot.row.mode));
  const auto range =
      align_range(segment.vector_offset(slot.row.row), slot.row.request->row_bytes, file->direct_alignment());
  if (slot.memory.size() < range.bytes) {
    if (!slot.memory.empty()) context.heap.deallocate(slot.memory.data(), slot.memory.size(), kUnit);
    slot.memory = {};
    const std::size_t bytes = (range.bytes + kUnit - 1) / kUnit * kUnit;
    slot.memory = {static_cast<std::byte*>(context.heap.allocate(bytes, kUnit)), bytes};
  }
  slot.buffer = {.data = slot.memory.data(), .bytes = range.bytes};
  slot.head = range.head;
  slot.busy = true;
  operation = {
      .kind = IoOperation::Kind::kRead, .file = file, .offset = range.offset, .buffers = {&slot.buffer, 1}};
  return {};
}

void AsyncReads::take_done() noexcept {
  static_cast<void>(queue_->poll());
  std::erase_if(busy_, [&](std::uint32_t index) {
    if (!operations_[index].done) return false;
    Slot& slot = slots_[index];
    const Row row = std::exchange(slot.row, {});
    if (!row.request->has_ended) {
      slot.row = row;
      auto settled = catch_no_memory([&] { return settle(slot, operations_[index]); });
      if (!settled) row_failed(*row.request, std::move(settled).error());
      slot.row = {};
      row_ended(row.request);
    }
    free_.push_back(index);
    return true;
  });
}

Result<void> AsyncReads::settle(Slot& slot, const IoOperation& operation) {
  Request& request = *slot.row.request;
  const MappedSegment& segment = *slot.row.segment;
  const std::span<const std::byte> bytes(slot.memory.data() + slot.head, request.row_bytes);
  if (operation.error != 0) {
    return std::unexpected(Error(ErrorCode::kIo, "read of a vector")
                               .with_errno(operation.error)
                               .with_file(segment.path())
                               .with_offset(operation.offset));
  }
  if (operation.transferred < slot.head + request.row_bytes)
    return std::unexpected(segment.truncated_at(slot.row.row));
  if (store_->context().options.verify != VerifyMode::kOff) {
    VECTOLITH_TRY(segment.check_row_bytes(slot.row.row, bytes));
    if (slot.row.mode == OpenMode::kReadOnly) segment.mark_verified(slot.row.row);
  }
  std::memcpy(request.matrix + slot.row.index * request.row_bytes, bytes.data(), bytes.size());
  if (request.found != nullptr) request.found[slot.row.index] = true;
  ++request.hits;
  return {};
}

void AsyncReads::row_failed(Request& request, Error error) noexcept {
  if (error.code() != ErrorCode::kNoMemory) {
    add(store_->context().counters.corruptions);
    store_->context().report(Event::Kind::kCorruption, "a row read is damaged", error);
  }
  if (!request.error) request.error = std::move(error);
}

void AsyncReads::row_ended(const RequestPtr& request) noexcept {
  if (--request->left == 0 && !request->has_ended) complete(*request, std::nullopt);
}

void AsyncReads::complete(Request& request, std::optional<Error> error) noexcept {
  request.has_ended = true;
  if (error) request.error = std::move(error);
  auto& counters = store_->context().counters;
  add(counters.hits, request.hits);
  if (!request.error) add(counters.misses, request.keys - request.hits);
  keys_pending_ -= request.keys;
  request.completion.front() = {.tag = request.tag, .hits = request.hits, .error = std::move(request.error)};
  ready_.splice(ready_.end(), request.completion);
  queue_->notify();
  forget(request);
}

void AsyncReads::forget(const Request& request) noexcept {
  const auto erase_from = [&](auto& container, std::uint64_t key) {
    const auto [first, last] = container.equal_range(key);
    const auto found =
        std::find_if(first, last, [&](const auto& entry) { return entry.second.get() == &request; });
    if (found != last) container.erase(found);
  };
  if (request.deadline_ns != 0) erase_from(deadlines_, request.deadline_ns);
  erase_from(active_, request.tag);  // Last: it may hold the request.
}

void AsyncReads::end_overdue() noexcept {
  if (deadlines_.empty()) return;
  const std::uint64_t now = store_->context().environment->steady_ns();
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const RequestPtr request = deadlines_.begin()->second;
    complete(*request, Error(ErrorCode::kDeadlineExceeded, "the read was not through at its deadline"));
  }
}

std::size_t AsyncReads::cancel(std::uint64_t tag) noexcept {
  std::size_t count = 0;
  for (auto entry = active_.find(tag); entry != active_.end(); entry = active_.find(tag)) {
    const RequestPtr request = entry->second;
    complete(*request, Error(ErrorCode::kCancelled, "the read was cancelled"));
    ++count;
  }
  return count;
}

std::size_t AsyncReads::poll(std::span<ReadCompletion> completions) noexcept {
  if (store_->context().is_inherited()) return 0;
  take_done();
  end_overdue();
  send_waiting();
  std::size_t count = 0;
  for (; count < completions.size() && !ready_.empty(); ++count) {
    completions[count] = std::move(ready_.front());
    ready_.pop_front();
  }
  return count;
}

std::size_t AsyncReads::wait(std::span<ReadCompletion> completions,
                             std::chrono::nanoseconds timeout) noexcept {
  auto& environment = *store_->context().environment;
  const std::uint64_t begin = environment.steady_ns();
  const auto limit = static_cast<std::uint64_t>(std::max<std::int64_t>(0, timeout.count()));
  for (;;) {
    const std::size_t count = poll(completions);
    const std::uint64_t now = environment.steady_ns();
    if (count > 0 || active_.empty() || completions.empty() || now - begin >= limit) return count;
    std::uint64_t pause = limit - (now - begin);
    if (!deadlines_.empty()) {
      const std::uint64_t next = deadlines_.begin()->first;
      pause = std::min(pause, next > now ? next - now : 0);
    }
    static_cast<void>(queue_->wait_some(std::chrono::nanoseconds(pause)));
  }
}

}  // namespace vectolith::engine
