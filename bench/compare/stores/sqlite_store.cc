/// @file
/// SQLite: blobs in one table, in write-ahead mode.
#include <memory>
#include <mutex>
#include <string>

#include <sqlite3.h>

#include "compare/compared_store.h"

namespace vectolith::bench::compare {
namespace {

constexpr const char* kCreate =
    "CREATE TABLE IF NOT EXISTS vectors(key BLOB PRIMARY KEY, vector BLOB NOT NULL)";
constexpr const char* kGet = "SELECT vector FROM vectors WHERE key = ?1";
constexpr const char* kScan = "SELECT vector FROM vectors";
constexpr const char* kInsert = "INSERT INTO vectors(key, vector) VALUES(?1, ?2)";
constexpr const char* kUpsert =
    "INSERT INTO vectors(key, vector) VALUES(?1, ?2) ON CONFLICT(key) DO UPDATE SET vector = excluded.vector";

/// The smallest page that rows fill to 70 %: it is what a cold get reads and an overwrite writes.
std::size_t page_bytes(std::size_t vector_bytes) {
  constexpr std::size_t kRowOverhead = 48;
  constexpr std::size_t kPageOverhead = 64;
  const std::size_t row = vector_bytes + kRowOverhead;
  std::size_t page = 4096;
  while (page < 65536 && (page - kPageOverhead) / row * row * 10 < page * 7) page *= 2;
  return page;
}

/// After so much a checkpoint moves the log into the table.
constexpr std::size_t kLogBytes = std::size_t{64} << 20;

class Connection {
 public:
  explicit Connection(const OpenOptions& options) {
    const auto path = options.directory / "vectors.sqlite";
    constexpr int kFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    check(sqlite3_open_v2(path.c_str(), &database_, kFlags, nullptr), "sqlite3_open_v2");
    const bool cold = options.purpose == Purpose::kColdReads;
    const auto page = page_bytes(options.vector_bytes());
    run("PRAGMA page_size=" + std::to_string(page));
    run("PRAGMA journal_mode=WAL");
    run(options.durability == Durability::kDurable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
    run("PRAGMA wal_autocheckpoint=" + std::to_string(kLogBytes / page));
    run("PRAGMA cache_size=-" + std::to_string(options.memory_bytes / 1024));
    run("PRAGMA mmap_size=" + std::to_string(cold ? 0 : options.rows_max() * options.vector_bytes() * 3));
    run(kCreate);
  }
  ~Connection() { check(sqlite3_close(database_), "sqlite3_close"); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void run(const std::string& sql) {
    check(sqlite3_exec(database_, sql.c_str(), nullptr, nullptr, nullptr), sql);
  }
  void check(int code, std::string_view what) const {
    if (code != SQLITE_OK) die(what, sqlite3_errmsg(database_));
  }
  [[nodiscard]] sqlite3* handle() const noexcept { return database_; }

 private:
  sqlite3* database_ = nullptr;
};

class Statement {
 public:
  Statement(Connection& connection, const char* sql) : connection_(connection) {
    connection_.check(
        sqlite3_prepare_v3(connection_.handle(), sql, -1, SQLITE_PREPARE_PERSISTENT, &statement_, nullptr),
        sql);
  }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  void bind(int index, std::span<const std::byte> bytes) {
    connection_.check(
        sqlite3_bind_blob(statement_, index, bytes.data(), static_cast<int>(bytes.size()), SQLITE_STATIC),
        "sqlite3_bind_blob");
  }
  /// True if there is a row.
  bool step() {
    const int code = sqlite3_step(statement_);
    if (code != SQLITE_ROW && code != SQLITE_DONE) connection_.check(code, "sqlite3_step");
    return code == SQLITE_ROW;
  }
  void reset() { sqlite3_reset(statement_); }
  std::span<const std::byte> blob() {
    return {static_cast<const std::byte*>(sqlite3_column_blob(statement_, 0)),
            static_cast<std::size_t>(sqlite3_column_bytes(statement_, 0))};
  }

 private:
  Connection& connection_;
  sqlite3_stmt* statement_ = nullptr;
};

class SqliteClient final : public Client {
 public:
  SqliteClient(const OpenOptions& options, std::mutex& writer)
      : connection_(options), writing_(writer, std::defer_lock) {}
  ~SqliteClient() override {
    end_reading();
    end_writing();
  }

  void refresh() override {
    end_reading();
    connection_.run("BEGIN");
    reading_ = true;
  }
  std::span<const std::byte> get(const Key& key) override {
    if (!reading_) refresh();
    get_.reset();
    get_.bind(1, digest_of(key));
    return get_.step() ? get_.blob() : std::span<const std::byte>();
  }
  void scan(const RowsVisitor& visit) override {
    end_reading();
    while (scan_.step()) visit(scan_.blob());
    scan_.reset();
  }
  void put(const Key& key, std::span<const std::byte> vector) override {
    end_reading();
    writing_.lock();
    run(upsert_, {.key = key, .vector = vector});
    writing_.unlock();
  }
  void insert(std::span<const BatchRow> rows) override { write(insert_, rows); }
  void overwrite(std::span<const BatchRow> rows) override { write(upsert_, rows); }

 private:
  void end_reading() {
    get_.reset();
    if (reading_) connection_.run("COMMIT");
    reading_ = false;
  }
  static void run(Statement& statement, const BatchRow& row) {
    statement.bind(1, digest_of(row.key));
    statement.bind(2, row.vector);
    statement.step();
    statement.reset();
  }
  void write(Statement& statement, std::span<const BatchRow> rows) {
    if (!writing_.owns_lock()) {
      end_reading();
      writing_.lock();
      connection_.run("BEGIN IMMEDIATE");
    }
    for (const auto& row : rows) run(statement, row);
    written_ += rows.size();
    if (written_ >= kTransactionRows) end_writing();
  }
  void end_writing() {
    if (!writing_.owns_lock()) return;
    connection_.run("COMMIT");
    writing_.unlock();
    written_ = 0;
  }

  Connection connection_;
  std::unique_lock<std::mutex> writing_;  ///< Held while a transaction writes.
  std::size_t written_ = 0;
  Statement get_{connection_, kGet};
  Statement scan_{connection_, kScan};
  Statement insert_{connection_, kInsert};
  Statement upsert_{connection_, kUpsert};
  bool reading_ = false;
};

class SqliteStore final : public ComparedStore {
 public:
  explicit SqliteStore(const OpenOptions& options) : options_(options), connection_(options) {}

  std::unique_ptr<Client> client() override { return std::make_unique<SqliteClient>(options_, writer_); }
  void sync() override { connection_.run("PRAGMA wal_checkpoint(TRUNCATE)"); }
  /// Rows are overwritten in place, so only the log is garbage; VACUUM would write everything again for
  /// nothing.
  void compact() override { sync(); }
  void drop() override {
    connection_.run("PRAGMA synchronous=FULL");
    connection_.run("DROP TABLE vectors");
  }

 private:
  OpenOptions options_;
  /// One writer at a time is all it can do: a lock spares the sleeps of its busy handler.
  std::mutex writer_;
  Connection connection_;
};

const Registration kRegistration({
    .rank = 40,
    .name = "sqlite",
    .title = "SQLite",
    .settings =
        "table (key BLOB PRIMARY KEY, vector BLOB), transactions of 16,384 rows in a load, pages of 4 to 16 "
        "KiB that rows fill to 70 %, WAL with a "
        "checkpoint every 64 MiB, "
        "synchronous FULL for durable puts, else NORMAL; mmap_size as large as allowed, none when cold; "
        "prepared "
        "statements, one read transaction for 64 gets, a mutex around writers; after a load: "
        "wal_checkpoint(TRUNCATE)",
    .zero_copy = true,
    .version = [] { return std::string(sqlite3_libversion()); },
    .open = [](const OpenOptions& options) -> std::unique_ptr<ComparedStore> {
      return std::make_unique<SqliteStore>(options);
    },
});

}  // namespace
}  // namespace vectolith::bench::compare
