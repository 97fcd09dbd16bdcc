/// @file
/// How a table's entries are placed, displaced, changed and found again by the writer.
#include "index/table.h"

#include <atomic>
#include <new>
#include <utility>

namespace vectolith::engine {

std::unique_ptr<Table> Table::create(std::shared_ptr<PageBlock> block, std::size_t offset,
                                     Positions positions, unsigned depth) noexcept {
  return std::unique_ptr<Table>(new (std::nothrow) Table(std::move(block), offset, positions, depth));
}

Table::Table(std::shared_ptr<PageBlock> block, std::size_t offset, Positions positions,
             unsigned depth) noexcept
    : buckets_(positions, reinterpret_cast<Bucket*>(block->data() + offset)),
      depth_(depth),
      block_(std::move(block)) {}

bool Table::insert(const Entry& entry) noexcept {
  const std::uint64_t primary = positions().bucket_of(entry.rest, BucketRole::kPrimary);
  if (put(entry, BucketRole::kPrimary, primary, empty_slot(primary))) return true;
  const std::uint64_t secondary = positions().bucket_of(entry.rest, BucketRole::kSecondary);
  // In the same bucket the second role would only cost readers a probe.
  const bool one_bucket = secondary == primary;
  if (!one_bucket && put(entry, BucketRole::kSecondary, secondary, empty_slot(secondary))) return true;
  for (const unsigned moves : {1U, 2U}) {
    if (put(entry, BucketRole::kPrimary, primary, make_room(primary, moves))) return true;
    if (!one_bucket && put(entry, BucketRole::kSecondary, secondary, make_room(secondary, moves)))
      return true;
  }
  return false;
}

bool Table::put(const Entry& entry, BucketRole role, std::uint64_t bucket, unsigned slot) noexcept {
  if (slot == kNoSlot) return false;
  if (role == BucketRole::kSecondary) {
    count_overflow(positions().bucket_of(entry.rest, BucketRole::kPrimary), true, false);
  }
  publish(entry, role, bucket, slot);
  ++entry_count_;
  return true;
}

bool Table::replace(std::uint64_t rest, Location from, Location to) noexcept {
  // Only frequency bumps can race with the holder of the lock, so the loop ends with the old word.
  while (const auto seen = buckets_.see(rest, from)) {
    IndexWord expected = seen->word;
    const IndexWord wanted = (seen->word & ~kLocationMask) | location_bits(to);
    if (buckets_[seen->bucket]
            .at(seen->slot)
            .compare_exchange_strong(expected, wanted, std::memory_order_acq_rel)) {
      return true;
    }
  }
  return false;
}

bool Table::erase(std::uint64_t rest, Location location) noexcept {
  const auto seen = buckets_.see(rest, location);
  if (!seen) return false;
  clear(seen->bucket, seen->slot);
  if (role_of(seen->word) == BucketRole::kSecondary) {
    count_overflow(positions().bucket_of(rest, BucketRole::kPrimary), false, false);
  }
  --entry_count_;
  return true;
}

void Table::publish(const Entry& entry, BucketRole role, std::uint64_t bucket, unsigned slot) noexcept {
  const std::uint64_t position = positions().position(entry.rest, role);
  const auto control = buckets_[bucket].control();
  control.store(
      with_extra(control.load(std::memory_order_relaxed), slot, Positions::extra_of_position(position)),
      std::memory_order_release);
  const IndexWord word = make_word(Positions::tag_of_rest(entry.rest), role, entry.frequency, entry.location);
  // An empty slot has no other writer: readers exchange exact non-zero words only.
  buckets_[bucket].at(slot).store(word, std::memory_order_release);
}

Table::Copied Table::copy_to(Table& low, Table* high) const noexcept {
  // As long as nothing is displaced, a count says which slot of a new bucket is the next, and the
  // entries of a bucket go to few buckets side by side. What does not fit is marked for a second pass.
  const std::uint64_t count = positions().bucket_count();
  const std::uint64_t target_count = low.positions().bucket_count();
  const std::unique_ptr<std::uint8_t[]> late(new (std::nothrow) std::uint8_t[count]());
  const std::unique_ptr<std::uint8_t[]> filled(new (std::nothrow) std::uint8_t[2 * target_count]());
  if (late == nullptr || filled == nullptr) return Copied::kNoMemory;
  const unsigned low_bits = low.positions().bits();
  const auto target_of = [&](Entry& entry) -> Table& {
    Table& target = high != nullptr && (entry.rest >> low_bits) != 0 ? *high : low;
    entry.rest = target.positions().rest_of(entry.rest);
    return target;
  };
  for (std::uint64_t from = 0; from < count; ++from) {
    for_each_in(from, taken_slots(from), [&](unsigned slot, Entry entry) {
      Table& target = target_of(entry);
      const std::uint64_t to = target.positions().bucket_of(entry.rest, BucketRole::kPrimary);
      std::uint8_t& next = filled[&target == &low ? to : target_count + to];
      if (next == kNoSlot) {
        late[from] = static_cast<std::uint8_t>(late[from] | (1U << slot));
      } else {
        target.put(entry, BucketRole::kPrimary, to, next++);
      }
    });
  }
  bool room = true;
  for (std::uint64_t from = 0; from < count && room; ++from) {
    for_each_in(from, late[from],
                [&](unsigned, Entry entry) { room = target_of(entry).insert(entry) && room; });
  }
  return room ? Copied::kAll : Copied::kNoRoom;
}

void Table::count_overflow(std::uint64_t primary_bucket, bool added, bool moved) noexcept {
  const auto control = buckets_[primary_bucket].control();
  BucketControl next = control.load(std::memory_order_relaxed);
  next = added ? with_overflow_added(next) : with_overflow_removed(next);
  if (moved) next = with_next_version(next);
  control.store(next, std::memory_order_release);
}

void Table::clear(std::uint64_t bucket, unsigned slot) noexcept {
  const auto word = buckets_[bucket].at(slot);
  IndexWord expected = word.load(std::memory_order_relaxed);
  // Retries only while readers bump the frequency.
  while (!word.compare_exchange_weak(expected, 0, std::memory_order_acq_rel, std::memory_order_relaxed)) {
  }
}

bool Table::move_away(std::uint64_t bucket, unsigned slot, const Entry& entry, BucketRole role,
                      std::uint64_t target) noexcept {
  const unsigned room = empty_slot(target);
  if (room == kNoSlot) return false;
  // Published anew, then counted and versioned, then cleared: a reader that finds it in neither place
  // has loaded a primary control word from before the second step, and will see that it changed.
  publish(entry, role, target, room);
  const bool overflows = role == BucketRole::kSecondary;
  count_overflow(overflows ? bucket : target, overflows, true);
  clear(bucket, slot);
  return true;
}

unsigned Table::make_room(std::uint64_t bucket, unsigned moves) noexcept {
  const std::uint64_t first = positions().first_position(bucket);
  for (unsigned slot = 0; slot < kBucketSlots; ++slot) {
    const IndexWord word = buckets_[bucket].at(slot).load(std::memory_order_relaxed);
    const Entry entry = entry_at(bucket, slot, word, first);
    const BucketRole role = opposite(role_of(word));
    const std::uint64_t target = positions().bucket_of(entry.rest, role);
    if (target == bucket) continue;
    if (moves > 1 && make_room(target, moves - 1) == kNoSlot) continue;
    if (move_away(bucket, slot, entry, role, target)) return slot;
  }
  return kNoSlot;
}

}  // namespace vectolith::engine
