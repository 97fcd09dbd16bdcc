/// @file
/// WiredTiger: one table in a B-tree with its cache, log and checkpoints.
#include <algorithm>
#include <bit>
#include <memory>
#include <string>

#include <wiredtiger.h>

#include "compare/compared_store.h"

namespace vectolith::bench::compare {
namespace {

constexpr const char* kTable = "table:vectors";

void check(int code, std::string_view what) {
  if (code != 0) die(what, wiredtiger_strerror(code));
}

WT_ITEM item_of(std::span<const std::byte> bytes) {
  WT_ITEM item{};
  item.data = bytes.data();
  item.size = bytes.size();
  return item;
}

std::string connection_config(const OpenOptions& options) {
  std::string config = "create,session_max=64,cache_size=" +
                       std::to_string(std::max<std::uint64_t>(options.memory_bytes, 16U << 20)) +
                       ",eviction=(threads_min=1,threads_max=4)";
  if (options.purpose == Purpose::kColdReads) config += ",direct_io=[data]";
  if (options.purpose == Purpose::kLoad) return config + ",log=(enabled=false)";
  const bool durable = options.durability == Durability::kDurable;
  return config + ",log=(enabled=true,file_max=32MB),transaction_sync=(enabled=true,method=" +
         (durable ? "fsync" : "none") + ")";
}

/// Leaves as small as a cold get likes them, that never move a vector to an overflow page.
std::string table_config(const OpenOptions& options) {
  const auto leaf = std::bit_ceil(2 * options.vector_bytes());
  return "key_format=u,value_format=u,leaf_page_max=" + std::to_string(leaf) +
         ",leaf_value_max=" + std::to_string(leaf) + ",leaf_key_max=1024,internal_page_max=16KB";
}

class WiredtigerClient final : public Client {
 public:
  explicit WiredtigerClient(WT_CONNECTION* connection) {
    check(connection->open_session(connection, nullptr, nullptr, &session_), "open_session");
    check(session_->open_cursor(session_, kTable, nullptr, nullptr, &reader_), "open_cursor");
    check(session_->open_cursor(session_, kTable, nullptr, nullptr, &writer_), "open_cursor");
  }
  ~WiredtigerClient() override { check(session_->close(session_, nullptr), "session close"); }

  void refresh() override { check(reader_->reset(reader_), "reset"); }
  std::span<const std::byte> get(const Key& key) override {
    const auto name = item_of(digest_of(key));
    reader_->set_key(reader_, &name);
    const int code = reader_->search(reader_);
    if (code == WT_NOTFOUND) return {};
    check(code, "search");
    return value();
  }
  void scan(const RowsVisitor& visit) override {
    refresh();
    int code = 0;
    while ((code = reader_->next(reader_)) == 0) visit(value());
    if (code != WT_NOTFOUND) check(code, "next");
    refresh();
  }
  void put(const Key& key, std::span<const std::byte> vector) override {
    refresh();
    insert_row(key, vector);
  }
  void remove(const Key& key) {
    const auto name = item_of(digest_of(key));
    writer_->set_key(writer_, &name);
    check(writer_->remove(writer_), "remove");
  }
  void insert(std::span<const BatchRow> rows) override {
    refresh();
    check(session_->begin_transaction(session_, nullptr), "begin_transaction");
    for (const auto& row : rows) insert_row(row.key, row.vector);
    check(session_->commit_transaction(session_, nullptr), "commit_transaction");
  }

 private:
  std::span<const std::byte> value() {
    WT_ITEM item{};
    check(reader_->get_value(reader_, &item), "get_value");
    return {static_cast<const std::byte*>(item.data), item.size};
  }
  void insert_row(const Key& key, std::span<const std::byte> vector) {
    const auto name = item_of(digest_of(key));
    const auto value = item_of(vector);
    writer_->set_key(writer_, &name);
    writer_->set_value(writer_, &value);
    check(writer_->insert(writer_), "insert");
  }

  WT_SESSION* session_ = nullptr;
  WT_CURSOR* reader_ = nullptr;
  WT_CURSOR* writer_ = nullptr;
};

class WiredtigerStore final : public ComparedStore {
 public:
  explicit WiredtigerStore(const OpenOptions& options) : options_(options) { open(); }
  ~WiredtigerStore() override { close(); }

  std::unique_ptr<Client> client() override { return std::make_unique<WiredtigerClient>(connection_); }
  void sync() override { check(session_->checkpoint(session_, nullptr), "checkpoint"); }
  /// Until its first checkpoint with a log, a table that was loaded without one is not recovered from logs. A
  /// checkpoint passes over a table that nobody has changed.
  void settle() override {
    close();
    options_.purpose = Purpose::kServe;
    open();
    const Key mark{};
    WiredtigerClient client(connection_);
    client.put(mark, digest_of(mark));
    client.remove(mark);
    sync();
  }
  void compact() override {
    check(session_->compact(session_, kTable, "timeout=0"), "compact");
    sync();
  }
  void drop() override { check(session_->drop(session_, kTable, nullptr), "drop"); }

 private:
  void open() {
    check(wiredtiger_open(options_.directory.c_str(), nullptr, connection_config(options_).c_str(),
                          &connection_),
          "wiredtiger_open");
    check(connection_->open_session(connection_, nullptr, nullptr, &session_), "open_session");
    check(session_->create(session_, kTable, table_config(options_).c_str()), "create");
  }
  void close() { check(connection_->close(connection_, nullptr), "close"); }

  OpenOptions options_;
  WT_CONNECTION* connection_ = nullptr;
  WT_SESSION* session_ = nullptr;
};

const Registration kRegistration({
    .rank = 50,
    .name = "wiredtiger",
    .title = "WiredTiger",
    .settings =
        "B-tree with leaves of two vectors, no overflow pages, no compression; load and "
        "overwrite without log, then a checkpoint; puts through the log with fsync (buffered: written, not "
        "synced); cold: direct reads",
    .zero_copy = true,
    .version =
        [] {
          int major = 0;
          int minor = 0;
          int patch = 0;
          wiredtiger_version(&major, &minor, &patch);
          return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch);
        },
    .open = [](const OpenOptions& options) -> std::unique_ptr<ComparedStore> {
      return std::make_unique<WiredtigerStore>(options);
    },
});

}  // namespace
}  // namespace vectolith::bench::compare
