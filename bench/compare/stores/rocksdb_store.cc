/// @file
/// RocksDB with the vectors in its tables, and with BlobDB beside them.
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#include <rocksdb/version.h>
#include <rocksdb/write_batch.h>

#include "compare/compared_store.h"

namespace vectolith::bench::compare {
namespace {

constexpr const char* kColumnFamily = "vectors";
constexpr std::size_t kScanReadaheadBytes = std::size_t{4} << 20;
constexpr std::size_t kMemtableBytes = std::size_t{128} << 20;

void check(const rocksdb::Status& status, std::string_view what) {
  if (!status.ok()) die(what, status.ToString());
}

rocksdb::Slice slice_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

rocksdb::DBOptions database_options(const OpenOptions& options) {
  rocksdb::DBOptions result;
  result.create_if_missing = true;
  result.create_missing_column_families = true;
  result.max_open_files = -1;
  result.use_direct_reads = options.purpose == Purpose::kColdReads;
  result.enable_pipelined_write = true;
  // A log in blocks written before spares each fdatasync a change of metadata; only this mode allows it.
  result.recycle_log_file_num = 4;
  result.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  result.IncreaseParallelism(4);
  return result;
}

rocksdb::ColumnFamilyOptions family_options(const OpenOptions& options, bool blobs) {
  rocksdb::ColumnFamilyOptions result;
  const auto cache = rocksdb::NewLRUCache(options.memory_bytes);
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.filter_policy.reset(rocksdb::NewRibbonFilterPolicy(10));
  table.format_version = 5;
  table.data_block_index_type = rocksdb::BlockBasedTableOptions::kDataBlockBinaryAndHash;
  result.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  result.compression = rocksdb::kNoCompression;
  result.bottommost_compression = rocksdb::kNoCompression;
  result.level_compaction_dynamic_level_bytes = true;
  result.write_buffer_size = kMemtableBytes;
  result.max_write_buffer_number = 4;
  result.target_file_size_base = kMemtableBytes;
  result.max_bytes_for_level_base = 4 * kMemtableBytes;
  if (blobs) {
    result.enable_blob_files = true;
    result.min_blob_size = 0;
    result.blob_compression_type = rocksdb::kNoCompression;
    result.enable_blob_garbage_collection = true;
    result.blob_cache = cache;
  }
  return result;
}

class RocksdbClient final : public Client {
 public:
  RocksdbClient(rocksdb::DB& database, rocksdb::ColumnFamilyHandle& family, Durability durability)
      : database_(database), family_(family) {
    write_.sync = durability == Durability::kDurable;
    read_.async_io = true;
  }

  std::span<const std::byte> get(const Key& key) override {
    value_.Reset();
    const auto status = database_.Get(read_, &family_, slice_of(digest_of(key)), &value_);
    if (status.IsNotFound()) return {};
    check(status, "Get");
    return std::as_bytes(std::span(value_.data(), value_.size()));
  }
  std::size_t multi_get(std::span<const Key> keys, std::span<std::byte> matrix) override {
    const std::size_t bytes = matrix.size() / keys.size();
    slices_.clear();
    for (const auto& key : keys) slices_.push_back(slice_of(digest_of(key)));
    values_.resize(keys.size());
    statuses_.resize(keys.size());
    database_.MultiGet(read_, &family_, keys.size(), slices_.data(), values_.data(), statuses_.data());
    std::size_t hits = 0;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (statuses_[i].IsNotFound()) continue;
      check(statuses_[i], "MultiGet");
      std::memcpy(matrix.data() + i * bytes, values_[i].data(), bytes);
      values_[i].Reset();
      ++hits;
    }
    return hits;
  }
  void scan(const RowsVisitor& visit) override {
    rocksdb::ReadOptions options;
    options.fill_cache = false;
    options.readahead_size = kScanReadaheadBytes;
    options.async_io = true;
    const std::unique_ptr<rocksdb::Iterator> rows(database_.NewIterator(options, &family_));
    for (rows->SeekToFirst(); rows->Valid(); rows->Next())
      visit(std::as_bytes(std::span(rows->value().data(), rows->value().size())));
    check(rows->status(), "scan");
  }
  void put(const Key& key, std::span<const std::byte> vector) override {
    check(database_.Put(write_, &family_, slice_of(digest_of(key)), slice_of(vector)), "Put");
  }
  void insert(std::span<const BatchRow> rows) override {
    rocksdb::WriteBatch batch;
    for (const auto& row : rows)
      check(batch.Put(&family_, slice_of(digest_of(row.key)), slice_of(row.vector)), "WriteBatch::Put");
    rocksdb::WriteOptions options;
    options.disableWAL = true;
    check(database_.Write(options, &batch), "Write");
  }

 private:
  rocksdb::DB& database_;
  rocksdb::ColumnFamilyHandle& family_;
  rocksdb::WriteOptions write_;
  rocksdb::ReadOptions read_;
  rocksdb::PinnableSlice value_;
  std::vector<rocksdb::Slice> slices_;
  std::vector<rocksdb::PinnableSlice> values_;
  std::vector<rocksdb::Status> statuses_;
};

class RocksdbStore final : public ComparedStore {
 public:
  RocksdbStore(const OpenOptions& options, bool blobs) : durability_(options.durability) {
    const auto family = family_options(options, blobs);
    const std::vector<rocksdb::ColumnFamilyDescriptor> families{
        {rocksdb::kDefaultColumnFamilyName, rocksdb::ColumnFamilyOptions()}, {kColumnFamily, family}};
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    rocksdb::DB* database = nullptr;
    check(rocksdb::DB::Open(database_options(options), options.directory.string(), families, &handles,
                            &database),
          "open");
    database_.reset(database);
    check(database_->DestroyColumnFamilyHandle(handles[0]), "handle");
    family_ = handles[1];
  }
  ~RocksdbStore() override {
    if (family_ != nullptr) check(database_->DestroyColumnFamilyHandle(family_), "handle");
    check(database_->Close(), "close");
  }

  std::unique_ptr<Client> client() override {
    return std::make_unique<RocksdbClient>(*database_, *family_, durability_);
  }
  void sync() override {
    check(database_->Flush(rocksdb::FlushOptions(), family_), "Flush");
    check(database_->SyncWAL(), "SyncWAL");
  }
  void settle() override { compact_range({}); }
  void compact() override {
    rocksdb::CompactRangeOptions options;
    options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
    options.blob_garbage_collection_policy = rocksdb::BlobGarbageCollectionPolicy::kForce;
    options.blob_garbage_collection_age_cutoff = 1.0;
    compact_range(options);
  }
  void drop() override {
    check(database_->DropColumnFamily(family_), "DropColumnFamily");
    check(database_->DestroyColumnFamilyHandle(std::exchange(family_, nullptr)), "handle");
  }

 private:
  void compact_range(const rocksdb::CompactRangeOptions& options) {
    check(database_->CompactRange(options, family_, nullptr, nullptr), "CompactRange");
  }

  std::unique_ptr<rocksdb::DB> database_;
  rocksdb::ColumnFamilyHandle* family_ = nullptr;
  Durability durability_;
};

std::string version() { return rocksdb::GetRocksVersionAsString(); }

const Registration kTables({
    .rank = 10,
    .name = "rocksdb",
    .title = "RocksDB",
    .settings = "no compression; ribbon filter of 10 bits, hash index in blocks of 4 KiB; LRU cache; cold: "
                "direct reads, "
                "index and filters loaded at open; MultiGet with async_io, which needs a library built with "
                "io_uring; "
                "4 memtables of 128 MiB; recycled log files, pipelined writes; load without log, then Flush; "
                "settled by "
                "CompactRange",
    .zero_copy = true,
    .version = version,
    .open = [](const OpenOptions& options) -> std::unique_ptr<ComparedStore> {
      return std::make_unique<RocksdbStore>(options, false);
    },
});
const Registration kBlobs({
    .rank = 11,
    .name = "rocksdb_blob",
    .title = "RocksDB BlobDB",
    .settings =
        "as RocksDB, with every vector in a blob file; blob cache shared with the block cache; collection of "
        "garbage on, forced for all files by CompactRange",
    .zero_copy = true,
    .version = version,
    .open = [](const OpenOptions& options) -> std::unique_ptr<ComparedStore> {
      return std::make_unique<RocksdbStore>(options, true);
    },
});

}  // namespace
}  // namespace vectolith::bench::compare
