/// @file
/// Redis with its append-only file: a server of this process's own, reached by a Unix socket.
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compare/compared_store.h"

namespace vectolith::bench::compare {
namespace {

constexpr const char* kServer = VECTOLITH_BENCH_REDIS_SERVER;
/// The file that Debian installs is one program of several names, which runs as what it is called.
constexpr const char* kServerName = "redis-server";
/// With "everysec" it keeps back its writes while a sync runs: killed then, it loses what it has
/// acknowledged.
constexpr const char* kBufferedSync = "no";
constexpr const char* kSocket = "redis.sock";
constexpr auto kPoll = std::chrono::milliseconds(1);
constexpr auto kStartMax = std::chrono::minutes(10);
constexpr const char* kScanCount = "512";
const std::string_view kSyncKey = "sync";

struct FreeReply {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using Reply = std::unique_ptr<redisReply, FreeReply>;

std::span<const std::byte> bytes_of(const redisReply& reply) {
  return std::as_bytes(std::span(reply.str, static_cast<std::size_t>(reply.len)));
}

/// A path of any length as one that fits into a socket's address.
class ShortPath {
 public:
  explicit ShortPath(const std::filesystem::path& directory)
      : fd_(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    if (fd_ < 0) die(directory.string(), std::strerror(errno));
  }
  ~ShortPath() { ::close(fd_); }
  ShortPath(const ShortPath&) = delete;
  ShortPath& operator=(const ShortPath&) = delete;
  [[nodiscard]] std::string socket() const { return "/proc/self/fd/" + std::to_string(fd_) + "/" + kSocket; }

 private:
  int fd_;
};

/// A connection that sends commands of binary arguments.
class Connection {
 public:
  explicit Connection(const std::string& socket) : context_(redisConnectUnix(socket.c_str())) {}
  ~Connection() {
    if (context_ != nullptr) redisFree(context_);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  [[nodiscard]] bool connected() const { return context_ != nullptr && context_->err == 0; }

  void begin(std::string_view name) {
    pointers_.clear();
    lengths_.clear();
    add(name);
  }
  void add(std::string_view argument) {
    pointers_.push_back(argument.data());
    lengths_.push_back(argument.size());
  }
  /// Nullptr if the server has gone.
  Reply try_send() {
    return Reply(static_cast<redisReply*>(
        redisCommandArgv(context_, static_cast<int>(pointers_.size()), pointers_.data(), lengths_.data())));
  }
  Reply send() {
    Reply reply = try_send();
    if (reply == nullptr) die("Redis", context_->errstr);
    if (reply->type == REDIS_REPLY_ERROR) die("Redis", reply->str);
    return reply;
  }
  Reply send(std::initializer_list<std::string_view> arguments) {
    begin(*arguments.begin());
    for (const auto* argument = arguments.begin() + 1; argument != arguments.end(); ++argument)
      add(*argument);
    return send();
  }

 private:
  redisContext* context_;
  std::vector<const char*> pointers_;
  std::vector<std::size_t> lengths_;
};

class RedisClient final : public Client {
 public:
  explicit RedisClient(const std::string& socket) : connection_(socket) {
    must_be(connection_.connected(), "the server of Redis answers");
  }

  std::span<const std::byte> get(const Key& key) override {
    reply_ = connection_.send({"GET", as_text(digest_of(key))});
    return reply_->type == REDIS_REPLY_NIL ? std::span<const std::byte>() : bytes_of(*reply_);
  }
  std::size_t multi_get(std::span<const Key> keys, std::span<std::byte> matrix) override {
    const std::size_t bytes = matrix.size() / keys.size();
    connection_.begin("MGET");
    for (const auto& key : keys) connection_.add(as_text(digest_of(key)));
    const Reply reply = connection_.send();
    std::size_t hits = 0;
    for (std::size_t i = 0; i < reply->elements; ++i) {
      const redisReply& row = *reply->element[i];
      if (row.type == REDIS_REPLY_NIL) continue;
      std::memcpy(matrix.data() + i * bytes, row.str, bytes);
      ++hits;
    }
    return hits;
  }
  void scan(const RowsVisitor& visit) override {
    std::string cursor = "0";
    do {
      const Reply page = connection_.send({"SCAN", cursor, "COUNT", kScanCount});
      cursor = page->element[0]->str;
      if (page->element[1]->elements == 0) continue;
      connection_.begin("MGET");
      for (std::size_t i = 0; i < page->element[1]->elements; ++i)
        connection_.add(as_text(bytes_of(*page->element[1]->element[i])));
      const Reply rows = connection_.send();
      for (std::size_t i = 0; i < rows->elements; ++i) visit(bytes_of(*rows->element[i]));
    } while (cursor != "0");
  }
  void put(const Key& key, std::span<const std::byte> vector) override {
    connection_.send({"SET", as_text(digest_of(key)), as_text(vector)});
  }
  void insert(std::span<const BatchRow> rows) override {
    connection_.begin("MSET");
    for (const auto& row : rows) {
      connection_.add(as_text(digest_of(row.key)));
      connection_.add(as_text(row.vector));
    }
    connection_.send();
  }

 private:
  Connection connection_;
  Reply reply_;
};

class RedisStore final : public ComparedStore {
 public:
  explicit RedisStore(const OpenOptions& options)
      : path_(options.directory), durable_(options.durability == Durability::kDurable) {
    start(options);
    connect();
  }
  ~RedisStore() override {
    control_->begin("SHUTDOWN");
    control_->try_send();
    int status = 0;
    ::waitpid(server_, &status, 0);
    must_be(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the server of Redis ends well");
  }

  std::unique_ptr<Client> client() override { return std::make_unique<RedisClient>(path_.socket()); }
  /// "always" syncs the file, with all that was appended before, ahead of its next answer.
  void sync() override {
    control_->send({"CONFIG", "SET", "appendfsync", "always"});
    control_->send({"SET", kSyncKey, ""});
    control_->send({"DEL", kSyncKey});
    if (!durable_) control_->send({"CONFIG", "SET", "appendfsync", kBufferedSync});
  }
  void compact() override {
    control_->send({"BGREWRITEAOF"});
    for (;;) {
      const Reply info = control_->send({"INFO", "persistence"});
      const std::string_view text(info->str, static_cast<std::size_t>(info->len));
      must_be(text.find("aof_last_bgrewrite_status:ok") != std::string_view::npos, "BGREWRITEAOF succeeds");
      if (text.find("aof_rewrite_in_progress:0") != std::string_view::npos &&
          text.find("aof_rewrite_scheduled:0") != std::string_view::npos)
        return;
      std::this_thread::sleep_for(kPoll);
    }
  }
  void drop() override {
    control_->send({"CONFIG", "SET", "appendfsync", "always"});
    control_->send({"FLUSHDB", "SYNC"});
  }
  [[nodiscard]] std::vector<pid_t> servers() const override { return {server_}; }

 private:
  /// The server holds a lock until it has ended, however it does: the next one must not append beside it.
  void start(const OpenOptions& options) {
    const auto lock = options.directory / "lock";
    const int held = ::open(lock.c_str(), O_RDWR | O_CREAT, 0600);
    if (held < 0 || ::flock(held, LOCK_EX) != 0) die(lock.string(), std::strerror(errno));
    std::filesystem::remove(options.directory / kSocket);
    const std::string directory = options.directory.string();
    const char* fsync = durable_ ? "always" : kBufferedSync;
    const pid_t parent = ::getpid();
    server_ = ::fork();
    if (server_ < 0) die("fork", std::strerror(errno));
    if (server_ == 0) {
      // A killed bench takes its server along.
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != parent) ::_exit(EXIT_FAILURE);
      ::execl(kServer, kServerName, "--port", "0", "--unixsocket", kSocket, "--dir", directory.c_str(),
              "--appendonly", "yes", "--appendfsync", fsync, "--auto-aof-rewrite-percentage", "0", "--save",
              "", "--logfile", "redis.log", static_cast<char*>(nullptr));
      ::_exit(EXIT_FAILURE);
    }
    ::close(held);
  }
  void connect() {
    const auto deadline = std::chrono::steady_clock::now() + kStartMax;
    for (;; std::this_thread::sleep_for(kPoll)) {
      must_be(::waitpid(server_, nullptr, WNOHANG) == 0, "the server of Redis starts (see redis.log)");
      must_be(std::chrono::steady_clock::now() < deadline, "the server of Redis starts in time");
      control_ = std::make_unique<Connection>(path_.socket());
      if (!control_->connected()) continue;
      // Refused while it still loads its file.
      control_->begin("PING");
      const Reply reply = control_->try_send();
      if (reply != nullptr && reply->type == REDIS_REPLY_STATUS) return;
    }
  }

  ShortPath path_;
  bool durable_;
  pid_t server_ = 0;
  std::unique_ptr<Connection> control_;
};

/// The first number of "Redis server v=7.0.15 sha=…" or "redis-check-rdb 7.0.15".
std::string version() {
  const std::string command = std::string(kServer) + " --version";
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), ::pclose);
  std::array<char, 64> text{};
  if (pipe == nullptr || std::fscanf(pipe.get(), "%*[^0-9]%63[0-9.]", text.data()) != 1) return "unknown";
  return text.data();
}

const Registration kRegistration({
    .rank = 60,
    .name = "redis",
    .title = "Redis AOF",
    .settings =
        "a server of its own behind a Unix socket; appendonly, appendfsync always for durable puts, else "
        "everysec; MSET, MGET; rewriting of the file only on demand (compaction is BGREWRITEAOF); a family "
        "is a "
        "database",
    .version = version,
    .open = [](const OpenOptions& options) -> std::unique_ptr<ComparedStore> {
      return std::make_unique<RedisStore>(options);
    },
    .lacks = {{Ability::kColdReads, "serves from memory only"}},
    .obstacle =
        [] { return ::access(kServer, X_OK) == 0 ? std::string() : std::string(kServer) + " is gone"; },
});

}  // namespace
}  // namespace vectolith::bench::compare
