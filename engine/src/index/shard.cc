/// @file
/// Growth of a shard: a full table is replaced by a larger one or by two halves, built beside it.
#include "index/shard.h"

#include <algorithm>
#include <new>
#include <utility>

#include "no_memory.h"

namespace vectolith::engine {

namespace {

/// A table is replaced when this share of its slots is taken: above it, room is found by ever longer
/// displacements, and most buckets overflow.
constexpr std::uint64_t kLoadMaxPercent = 90;
/// The load of a table made for a known number of entries.
constexpr std::uint64_t kLoadInitialPercent = 80;
/// Below this load only equal hash bits can make an insert fail, and growth does not help.
constexpr std::uint64_t kLoadHopelessPercent = 12;
constexpr std::uint64_t kBucketsPerPage = 4096 / sizeof(Bucket);

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) noexcept {
  return (value + unit - 1) / unit * unit;
}

/// Small steps keep the mean load high, and so the bytes a row low.
constexpr std::uint64_t grown(std::uint64_t bucket_count) noexcept {
  return round_up(bucket_count + bucket_count / 4, kBucketsPerPage);
}

bool load_above(std::uint64_t entries, std::uint64_t slots, std::uint64_t percent) noexcept {
  return entries * 100 > slots * percent;
}

}  // namespace

std::uint64_t bucket_count_for(std::uint64_t entries, unsigned position_bits) noexcept {
  const std::uint64_t wanted = entries * 100 / (kLoadInitialPercent * kBucketSlots) + 1;
  return std::max(round_up(wanted, kBucketsPerPage), Positions::bucket_count_min(position_bits));
}

std::unique_ptr<ShardDirectory, ShardDirectory::Deleter> ShardDirectory::create(unsigned width,
                                                                                unsigned depth) noexcept {
  void* const memory = ::operator new(sizeof(ShardDirectory) + (sizeof(Slot) << depth), std::nothrow);
  return std::unique_ptr<ShardDirectory, Deleter>(
      memory == nullptr ? nullptr : new (memory) ShardDirectory(width, depth));
}

ShardDirectory::ShardDirectory(unsigned width, unsigned depth) noexcept
    : mask_((std::uint64_t{1} << depth) - 1), shift_(width - depth), depth_(depth) {
  const Slot empty{.buckets = Buckets(Positions(width - depth, 0), nullptr), .table = nullptr};
  for (std::size_t index = 0; index < size(); ++index) new (slots() + index) Slot(empty);
}

void ShardDirectory::Deleter::operator()(const ShardDirectory* directory) const noexcept {
  directory->~ShardDirectory();
  ::operator delete(const_cast<ShardDirectory*>(directory));
}

Shard::~Shard() {
  const ShardDirectory::Owner directory(directory_.load(std::memory_order_acquire));
  if (directory == nullptr) return;
  Table* last = nullptr;  // a table's slots stand side by side
  for (std::size_t index = 0; index < directory->size(); ++index) {
    Table* const table = directory->at(index).table;
    if (table != last) delete table;
    last = table;
  }
}

void Shard::open(const ShardContext& context, ShardDirectory::Owner directory) noexcept {
  context_ = context;
  std::uint64_t bytes = directory->bytes();
  for (std::size_t index = 0; index < directory->size(); ++index) {
    bytes += sizeof(Table) + directory->at(index).table->bytes();
  }
  bytes_.store(bytes, std::memory_order_relaxed);
  directory_.store(directory.release(), std::memory_order_release);
}

Shard::Writer::~Writer() {
  lock_.unlock();
  // Deleters give memory back to the system: not while others wait for the shard.
  if (retired_) shard_.context_.epochs->collect();
}

Result<void> Shard::Writer::insert(std::uint64_t used, Location location) {
  VECTOLITH_TRY(place(used, location));
  shard_.entry_count_.fetch_add(1, std::memory_order_relaxed);
  return {};
}

void Shard::Writer::fill(std::uint64_t used, Location location) noexcept {
  if (replace(used, kReservedLocation, location)) {
    shard_.entry_count_.fetch_add(1, std::memory_order_relaxed);
  }
}

void Shard::Writer::release(std::uint64_t used) noexcept {
  Table& table = shard_.table_of(used);
  static_cast<void>(table.erase(table.positions().rest_of(used), kReservedLocation));
}

Result<void> Shard::Writer::place(std::uint64_t used, Location location) {
  while (true) {
    Table& table = shard_.table_of(used);
    const Table::Entry entry{.rest = table.positions().rest_of(used), .location = location, .frequency = 0};
    const bool full = load_above(table.entry_count() + 1, table.slot_count(), kLoadMaxPercent);
    if (full || !table.insert(entry)) {
      auto made = catch_no_memory([&] { return shard_.make_room(used); });
      if (made.has_value()) {
        retired_ = true;
        continue;
      }
      // Refused memory is no reason to fail while there still is a slot.
      if (!full || !table.insert(entry)) return made;
    }
    return {};
  }
}

bool Shard::Writer::replace(std::uint64_t used, Location from, Location to) noexcept {
  Table& table = shard_.table_of(used);
  return table.replace(table.positions().rest_of(used), from, to);
}

bool Shard::Writer::erase(std::uint64_t used, Location location) noexcept {
  Table& table = shard_.table_of(used);
  if (!table.erase(table.positions().rest_of(used), location)) return false;
  shard_.entry_count_.fetch_sub(1, std::memory_order_relaxed);
  return true;
}

Result<void> Shard::make_room(std::uint64_t used) {
  Table& full = table_of(used);
  const bool split = full.entry_count() >= kTableEntriesMax && full.positions().bits() > kPositionBitsMin;
  VECTOLITH_TRY_ASSIGN(auto successors, build_successors(full, split));
  return publish(full, std::move(successors));
}

Result<Shard::Successors> Shard::build_successors(const Table& full, bool split) {
  const unsigned depth = full.depth() + (split ? 1 : 0);
  const unsigned top = full.positions().bits() - 1;
  std::uint64_t bucket_count =
      split ? bucket_count_for(full.entry_count() / 2, top) : grown(full.positions().bucket_count());
  for (;; bucket_count = grown(bucket_count)) {
    if (bucket_count > kBucketsPerPage &&
        !load_above(full.entry_count(), bucket_count * kBucketSlots, kLoadHopelessPercent)) {
      return fail(ErrorCode::kLimit, "too many keys share the hash bits that the index keeps");
    }
    Successors next{.low = make_table(depth, bucket_count),
                    .high = split ? make_table(depth, bucket_count) : nullptr};
    if (next.low == nullptr || (split && next.high == nullptr)) {
      return std::unexpected(Error(ErrorCode::kNoMemory));
    }
    const Table::Copied copied = full.copy_to(*next.low, next.high.get());
    if (copied == Table::Copied::kNoMemory) return std::unexpected(Error(ErrorCode::kNoMemory));
    if (copied == Table::Copied::kAll) return next;
  }
}

std::unique_ptr<Table> Shard::make_table(unsigned depth, std::uint64_t bucket_count) {
  auto block = PageBlock::allocate(*context_.pages, bucket_count * sizeof(Bucket));
  if (block == nullptr) return nullptr;
  const unsigned bits = kUsedHashBits - context_.shard_bits - depth;
  return Table::create(std::move(block), 0, Positions(bits, bucket_count), depth);
}

Result<void> Shard::publish(Table& old, Successors successors) {
  const ShardDirectory* const before = directory_.load(std::memory_order_relaxed);
  const unsigned table_depth = successors.low->depth();
  const unsigned depth = std::max(before->depth(), table_depth);
  auto next = ShardDirectory::create(kUsedHashBits - context_.shard_bits, depth);
  if (next == nullptr) return std::unexpected(Error(ErrorCode::kNoMemory));
  auto retirement = EpochDomain::prepare([before, table = &old] {
    const ShardDirectory::Owner directory(before);
    delete table;
  });
  Table* const low = successors.low.release();
  Table* const high = successors.high != nullptr ? successors.high.release() : low;
  for (std::size_t index = 0; index < next->size(); ++index) {
    Table* const table = before->at(index >> (depth - before->depth())).table;
    const bool upper = ((index >> (depth - table_depth)) & 1U) != 0;
    next->set(index, table != &old ? table : upper ? high : low);
  }
  std::uint64_t bytes = next->bytes() - before->bytes() + low->bytes() - old.bytes();
  if (high != low) bytes += sizeof(Table) + high->bytes();
  bytes_.fetch_add(bytes, std::memory_order_relaxed);
  directory_.store(next.release(), std::memory_order_release);
  context_.epochs->retire(std::move(retirement));
  return {};
}

}  // namespace vectolith::engine
