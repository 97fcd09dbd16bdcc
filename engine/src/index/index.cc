/// @file
/// Making an index, and its writers' way to the shards.
#include "index/index.h"

#include <algorithm>
#include <bit>
#include <string>

namespace vectolith::engine {

namespace {

/// Tables smaller than this share one block of memory, so that an empty index is 64 KiB, not a page a shard.
constexpr std::uint64_t kOwnBlockBytes = 64 << 10;
/// Keys whose cache misses overlap: about as many as a core keeps in flight.
constexpr std::size_t kGroupKeys = 16;

/// The tables every shard starts with.
struct FirstTables {
  unsigned depth = 0;
  std::uint64_t bucket_count = 0;
};

FirstTables first_tables(unsigned shard_bits, std::uint64_t expected_rows) {
  FirstTables first;
  const unsigned depth_max = kUsedHashBits - shard_bits - kPositionBitsMin;
  // Tables made for three quarters of their limit split late, whatever the last of the rows brings.
  while (first.depth < depth_max &&
         (expected_rows >> (shard_bits + first.depth)) > kTableEntriesMax / 4 * 3) {
    ++first.depth;
  }
  const unsigned bits = kUsedHashBits - shard_bits - first.depth;
  const std::uint64_t rows = expected_rows >> (shard_bits + first.depth);
  first.bucket_count = rows == 0 ? Positions::bucket_count_min(bits) : bucket_count_for(rows, bits);
  return first;
}

Result<void> check_range(Location location) {
  if (location.ordinal <= kOrdinalMax && location.row <= kRowMax) return {};
  return std::unexpected(
      Error(ErrorCode::kInvalidArgument, "location out of the index's range")
          .with_expected("ordinal <= " + std::to_string(kOrdinalMax) + ", row <= " + std::to_string(kRowMax))
          .with_found(std::to_string(location.ordinal) + ", " + std::to_string(location.row)));
}

/// Makes the tables of one shard; `shared` is the block that small ones lie in, if any.
Result<ShardDirectory::Owner> make_directory(unsigned shard_bits, const FirstTables& first, PageSource& pages,
                                             const std::shared_ptr<PageBlock>& shared, std::size_t& offset) {
  const unsigned bits = kUsedHashBits - shard_bits;
  const std::size_t bytes = first.bucket_count * sizeof(Bucket);
  auto directory = ShardDirectory::create(bits, first.depth);
  for (std::size_t index = 0; directory != nullptr && index < directory->size(); ++index) {
    auto block = shared != nullptr ? shared : PageBlock::allocate(pages, bytes);
    if (block == nullptr) break;
    auto table = Table::create(std::move(block), offset, Positions(bits - first.depth, first.bucket_count),
                               first.depth);
    if (table == nullptr) break;
    if (shared != nullptr) offset += bytes;
    directory->set(index, table.release());
    if (index + 1 == directory->size()) return directory;
  }
  // A directory does not own its tables.
  for (std::size_t index = 0; directory != nullptr && index < directory->size(); ++index) {
    delete directory->at(index).table;
  }
  return std::unexpected(Error(ErrorCode::kNoMemory));
}

}  // namespace

unsigned Index::shift_for(std::uint32_t shards) noexcept {
  return kUsedHashBits - static_cast<unsigned>(std::countr_zero(shards));
}

Result<std::unique_ptr<Index>> Index::create(const IndexOptions& options, EpochDomain& epochs,
                                             PageSource& pages) {
  if (!std::has_single_bit(options.shards) || options.shards > kShardsMax) {
    return std::unexpected(Error(ErrorCode::kInvalidArgument, "bad number of index shards")
                               .with_expected("a power of two up to " + std::to_string(kShardsMax))
                               .with_found(std::to_string(options.shards)));
  }
  std::unique_ptr<Index> index(new Index(options.shards));
  const auto shard_bits = static_cast<unsigned>(std::countr_zero(options.shards));
  const FirstTables first = first_tables(shard_bits, options.expected_rows);
  const std::size_t table_bytes = first.bucket_count * sizeof(Bucket);
  std::shared_ptr<PageBlock> shared;
  if (table_bytes < kOwnBlockBytes) {
    shared = PageBlock::allocate(pages, (table_bytes << first.depth) * options.shards);
    if (shared == nullptr) return std::unexpected(Error(ErrorCode::kNoMemory));
  }
  std::size_t offset = 0;
  const ShardContext context{.epochs = &epochs, .pages = &pages, .shard_bits = shard_bits};
  for (Shard& shard : index->shards_) {
    VECTOLITH_TRY_ASSIGN(auto directory, make_directory(shard_bits, first, pages, shared, offset));
    shard.open(context, std::move(directory));
  }
  return index;
}

void Index::find_candidates(std::span<const std::uint64_t> hashes,
                            std::span<std::optional<Location>> candidates) const noexcept {
  for (std::size_t first = 0; first < hashes.size(); first += kGroupKeys) {
    const std::size_t end = std::min(hashes.size(), first + kGroupKeys);
    for (std::size_t key = first; key < end; ++key) prefetch(hashes[key]);
    for (std::size_t key = first; key < end; ++key) {
      const std::uint64_t used = used_hash(hashes[key]);
      const Buckets buckets = shard_of_used(used).buckets_of(used);
      candidates[key] = buckets.peek(buckets.positions().rest_of(used));
    }
    for (std::size_t key = first; key < end; ++key) {
      if (!candidates[key]) candidates[key] = find(hashes[key], [](Location) noexcept { return true; });
    }
  }
}

void Index::touch(std::uint64_t hash, Location location) const noexcept {
  const std::uint64_t used = used_hash(hash);
  const Buckets buckets = shard_of_used(used).buckets_of(used);
  buckets.touch(buckets.positions().rest_of(used), location);
}

std::uint32_t Index::frequency(std::uint64_t hash, Location location) const noexcept {
  const std::uint64_t used = used_hash(hash);
  const Buckets buckets = shard_of_used(used).buckets_of(used);
  return buckets.frequency(buckets.positions().rest_of(used), location);
}

bool Index::set_frequency(std::uint64_t hash, Location location, std::uint32_t frequency) const noexcept {
  const std::uint64_t used = used_hash(hash);
  const Buckets buckets = shard_of_used(used).buckets_of(used);
  return buckets.set_frequency(buckets.positions().rest_of(used), location,
                               std::min(frequency, kFrequencyMax));
}

Result<void> Index::insert(std::uint64_t hash, Location location) {
  VECTOLITH_TRY(check_range(location));
  const std::uint64_t used = used_hash(hash);
  return Shard::Writer(shard_of_used(used)).insert(used, location);
}

Result<void> Index::reserve(std::uint64_t hash) {
  const std::uint64_t used = used_hash(hash);
  return Shard::Writer(shard_of_used(used)).reserve(used);
}

void Index::fill(std::uint64_t hash, Location location) noexcept {
  const std::uint64_t used = used_hash(hash);
  Shard::Writer(shard_of_used(used)).fill(used, location);
}

void Index::release(std::uint64_t hash) noexcept {
  const std::uint64_t used = used_hash(hash);
  Shard::Writer(shard_of_used(used)).release(used);
}

bool Index::replace(std::uint64_t hash, Location from, Location to) {
  const std::uint64_t used = used_hash(hash);
  return check_range(to).has_value() && Shard::Writer(shard_of_used(used)).replace(used, from, to);
}

bool Index::erase(std::uint64_t hash, Location location) {
  const std::uint64_t used = used_hash(hash);
  return Shard::Writer(shard_of_used(used)).erase(used, location);
}

Index::Rebuild::Rebuild(Index& index, std::size_t part, std::size_t parts)
    : index_(index), part_(part), parts_(parts) {
  for (std::size_t shard = part; shard < index.shards_.size(); shard += parts)
    writers_.emplace_back(index.shards_[shard]);
}

Result<void> Index::Rebuild::insert(std::uint64_t hash, Location location) {
  VECTOLITH_TRY(check_range(location));
  const std::uint64_t used = used_hash(hash);
  return writer_of(used).insert(used, location);
}

bool Index::Rebuild::replace(std::uint64_t hash, Location from, Location to) {
  const std::uint64_t used = used_hash(hash);
  return check_range(to).has_value() && writer_of(used).replace(used, from, to);
}

std::uint64_t Index::size() const noexcept {
  std::uint64_t entries = 0;
  for (const Shard& shard : shards_) entries += shard.entry_count();
  return entries;
}

std::uint64_t Index::memory_bytes() const noexcept {
  std::uint64_t bytes = sizeof(Index) + shards_.size() * sizeof(Shard);
  for (const Shard& shard : shards_) bytes += shard.memory_bytes();
  return bytes;
}

}  // namespace vectolith::engine
