/// @file
/// LMDB: one named database in one mapped file.
#include <filesystem>
#include <memory>
#include <string>

#include <fcntl.h>
#include <lmdb.h>
#include <unistd.h>

#include "compare/compared_store.h"

namespace vectolith::bench::compare {
namespace {

constexpr const char* kDatabase = "vectors";
constexpr mdb_mode_t kMode = 0600;

void check(int code, std::string_view what) {
  if (code != MDB_SUCCESS) die(what, mdb_strerror(code));
}

MDB_val value_of(std::span<const std::byte> bytes) {
  // LMDB's only type of value is mutable; it never writes through what a caller hands in.
  return {.mv_size = bytes.size(), .mv_data = const_cast<std::byte*>(bytes.data())};
}

/// Room for every row twice, as an overwrite keeps the pages of the old tree until its commit. Costs no disk.
std::size_t map_bytes(const OpenOptions& options) {
  const std::size_t row_bytes = (options.vector_bytes() / 4096 + 2) * 4096;
  return options.rows_max() * row_bytes * 3 + (std::size_t{1} << 30);
}

class LmdbClient final : public Client {
 public:
  LmdbClient(MDB_env* environment, MDB_dbi database) : environment_(environment), database_(database) {
    check(mdb_txn_begin(environment_, nullptr, MDB_RDONLY, &reader_), "mdb_txn_begin");
  }
  ~LmdbClient() override {
    commit();
    mdb_txn_abort(reader_);
  }

  void refresh() override {
    mdb_txn_reset(reader_);
    check(mdb_txn_renew(reader_), "mdb_txn_renew");
  }
  std::span<const std::byte> get(const Key& key) override {
    auto name = value_of(digest_of(key));
    MDB_val value{};
    const int code = mdb_get(reader_, database_, &name, &value);
    if (code == MDB_NOTFOUND) return {};
    check(code, "mdb_get");
    return {static_cast<const std::byte*>(value.mv_data), value.mv_size};
  }
  void scan(const RowsVisitor& visit) override {
    MDB_cursor* cursor = nullptr;
    check(mdb_cursor_open(reader_, database_, &cursor), "mdb_cursor_open");
    MDB_val name{};
    MDB_val value{};
    int code = mdb_cursor_get(cursor, &name, &value, MDB_FIRST);
    for (; code == MDB_SUCCESS; code = mdb_cursor_get(cursor, &name, &value, MDB_NEXT))
      visit({static_cast<const std::byte*>(value.mv_data), value.mv_size});
    if (code != MDB_NOTFOUND) check(code, "mdb_cursor_get");
    mdb_cursor_close(cursor);
  }
  void put(const Key& key, std::span<const std::byte> vector) override {
    write({.key = key, .vector = vector});
    commit();
    refresh();
  }
  void insert(std::span<const BatchRow> rows) override {
    for (const auto& row : rows) write(row);
    if (written_ < kTransactionRows) return;
    commit();
    // A reader of an old state would keep its pages from being used again.
    refresh();
  }

 private:
  void write(const BatchRow& row) {
    if (writer_ == nullptr) check(mdb_txn_begin(environment_, nullptr, 0, &writer_), "mdb_txn_begin");
    auto name = value_of(digest_of(row.key));
    auto value = value_of(row.vector);
    check(mdb_put(writer_, database_, &name, &value, 0), "mdb_put");
    ++written_;
  }
  void commit() {
    if (writer_ != nullptr) check(mdb_txn_commit(writer_), "mdb_txn_commit");
    writer_ = nullptr;
    written_ = 0;
  }

  MDB_env* environment_;
  MDB_dbi database_;
  MDB_txn* reader_ = nullptr;
  MDB_txn* writer_ = nullptr;
  std::size_t written_ = 0;
};

class LmdbStore final : public ComparedStore {
 public:
  explicit LmdbStore(const OpenOptions& options) : options_(options) { open(); }
  ~LmdbStore() override { mdb_env_close(environment_); }

  std::unique_ptr<Client> client() override { return std::make_unique<LmdbClient>(environment_, database_); }
  void sync() override { check(mdb_env_sync(environment_, 1), "mdb_env_sync"); }
  /// As its tool mdb_copy -c: a packed copy takes the place of the file.
  void compact() override {
    const auto copy = options_.directory / "compacted";
    std::filesystem::create_directory(copy);
    check(mdb_env_copy2(environment_, copy.c_str(), MDB_CP_COMPACT), "mdb_env_copy2");
    mdb_env_close(environment_);
    std::filesystem::rename(copy / "data.mdb", options_.directory / "data.mdb");
    std::filesystem::remove(copy);
    open();
    sync();
  }
  void drop() override {
    MDB_txn* writer = nullptr;
    check(mdb_txn_begin(environment_, nullptr, 0, &writer), "mdb_txn_begin");
    check(mdb_drop(writer, database_, 1), "mdb_drop");
    check(mdb_txn_commit(writer), "mdb_txn_commit");
  }

 private:
  void open() {
    check(mdb_env_create(&environment_), "mdb_env_create");
    check(mdb_env_set_mapsize(environment_, map_bytes(options_)), "mdb_env_set_mapsize");
    check(mdb_env_set_maxdbs(environment_, 1), "mdb_env_set_maxdbs");
    // MDB_NOTLS: a thread may write while its reader is open.
    unsigned flags = MDB_NOTLS | MDB_NOMEMINIT;
    if (options_.purpose == Purpose::kColdReads) flags |= MDB_NORDAHEAD;
    if (options_.durability == Durability::kBuffered) flags |= MDB_NOSYNC;
    check(mdb_env_open(environment_, options_.directory.c_str(), flags, kMode), "mdb_env_open");
    MDB_txn* writer = nullptr;
    check(mdb_txn_begin(environment_, nullptr, 0, &writer), "mdb_txn_begin");
    check(mdb_dbi_open(writer, kDatabase, MDB_CREATE, &database_), "mdb_dbi_open");
    check(mdb_txn_commit(writer), "mdb_txn_commit");
  }

  OpenOptions options_;
  MDB_env* environment_ = nullptr;
  MDB_dbi database_ = 0;
};

const Registration kRegistration({
    .rank = 20,
    .name = "lmdb",
    .title = "LMDB",
    .settings =
        "transactions of 16,384 rows with MDB_NOSYNC, then mdb_env_sync; durable puts by its own commit; one "
        "read "
        "transaction for 64 gets; cold: MDB_NORDAHEAD; compaction is mdb_env_copy2 with MDB_CP_COMPACT",
    .zero_copy = true,
    .version =
        [] {
          int major = 0;
          int minor = 0;
          int patch = 0;
          mdb_version(&major, &minor, &patch);
          return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch);
        },
    .open = [](const OpenOptions& options) -> std::unique_ptr<ComparedStore> {
      return std::make_unique<LmdbStore>(options);
    },
});

}  // namespace
}  // namespace vectolith::bench::compare
