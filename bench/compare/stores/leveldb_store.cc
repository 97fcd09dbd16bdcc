/// @file
/// LevelDB.
#include <memory>
#include <string>

#include <leveldb/cache.h>
#include <leveldb/db.h>
#include <leveldb/filter_policy.h>
#include <leveldb/write_batch.h>

#include "compare/compared_store.h"

namespace vectolith::bench::compare {
namespace {

constexpr std::size_t kMemtableBytes = std::size_t{64} << 20;

void check(const leveldb::Status& status, std::string_view what) {
  if (!status.ok()) die(what, status.ToString());
}

leveldb::Slice slice_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class LeveldbClient final : public Client {
 public:
  LeveldbClient(leveldb::DB& database, Durability durability) : database_(database) {
    write_.sync = durability == Durability::kDurable;
  }

  std::span<const std::byte> get(const Key& key) override {
    const auto status = database_.Get({}, slice_of(digest_of(key)), &value_);
    if (status.IsNotFound()) return {};
    check(status, "Get");
    return std::as_bytes(std::span(value_));
  }
  void scan(const RowsVisitor& visit) override {
    leveldb::ReadOptions options;
    options.fill_cache = false;
    const std::unique_ptr<leveldb::Iterator> rows(database_.NewIterator(options));
    for (rows->SeekToFirst(); rows->Valid(); rows->Next())
      visit(std::as_bytes(std::span(rows->value().data(), rows->value().size())));
    check(rows->status(), "scan");
  }
  void put(const Key& key, std::span<const std::byte> vector) override {
    check(database_.Put(write_, slice_of(digest_of(key)), slice_of(vector)), "Put");
  }
  void insert(std::span<const BatchRow> rows) override {
    leveldb::WriteBatch batch;
    for (const auto& row : rows) batch.Put(slice_of(digest_of(row.key)), slice_of(row.vector));
    check(database_.Write({}, &batch), "Write");
  }

 private:
  leveldb::DB& database_;
  leveldb::WriteOptions write_;
  std::string value_;
};

class LeveldbStore final : public ComparedStore {
 public:
  explicit LeveldbStore(const OpenOptions& setup)
      : cache_(leveldb::NewLRUCache(setup.memory_bytes)),
        filter_(leveldb::NewBloomFilterPolicy(10)),
        durability_(setup.durability) {
    leveldb::Options options;
    options.create_if_missing = true;
    options.compression = leveldb::kNoCompression;
    options.block_cache = cache_.get();
    options.filter_policy = filter_.get();
    options.write_buffer_size = kMemtableBytes;
    options.max_file_size = kMemtableBytes;
    leveldb::DB* database = nullptr;
    check(leveldb::DB::Open(options, setup.directory.string(), &database), "open");
    database_.reset(database);
  }

  std::unique_ptr<Client> client() override {
    return std::make_unique<LeveldbClient>(*database_, durability_);
  }
  /// A sync of the newest log leaves out those before it, so the memtables are flushed: a compaction of the
  /// range behind the last key does so first, and then finds nothing to do.
  void sync() override {
    const std::string behind(sizeof(Digest) + 1, '\xff');
    const leveldb::Slice key(behind);
    database_->CompactRange(&key, &key);
  }
  void settle() override { compact(); }
  void compact() override { database_->CompactRange(nullptr, nullptr); }

 private:
  std::unique_ptr<leveldb::Cache> cache_;
  std::unique_ptr<const leveldb::FilterPolicy> filter_;
  std::unique_ptr<leveldb::DB> database_;
  Durability durability_;
};

const Registration kRegistration({
    .rank = 30,
    .name = "leveldb",
    .title = "LevelDB",
    .settings =
        "no compression; bloom filter of 10 bits, blocks of 4 KiB; it maps up to 1,000 tables; memtable and "
        "tables of 64 MiB; load through its log, which cannot be left out, then a flush; settled by "
        "CompactRange",
    .version =
        [] { return std::to_string(leveldb::kMajorVersion) + "." + std::to_string(leveldb::kMinorVersion); },
    .open = [](const OpenOptions& options) -> std::unique_ptr<ComparedStore> {
      return std::make_unique<LeveldbStore>(options);
    },
    .lacks = {{Ability::kDrop, "has no families"}},
});

}  // namespace
}  // namespace vectolith::bench::compare
