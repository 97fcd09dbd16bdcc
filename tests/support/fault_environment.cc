/// @file
/// Decorated files, directories and queues that ask before every change of the disk.
#include "support/fault_environment.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <random>

namespace vectolith::testing {
namespace {

using engine::IoOperation;
using engine::LockMode;
using engine::Mapping;
using engine::OpenMode;
using Kind = DiskChange::Kind;

constexpr std::uint64_t kSectorBytes = 512;
using Sector = std::array<std::byte, kSectorBytes>;

Result<void> injected(const DiskChange& change, int error) {
  const ErrorCode code = error == ENOSPC || error == EDQUOT ? ErrorCode::kNoSpace : ErrorCode::kIo;
  return std::unexpected(
      Error(code, "injected fault").with_errno(error).with_file(change.path).with_offset(change.offset));
}

}  // namespace

/// Numbers the changes, asks for verdicts, and remembers what unsynced sectors held before.
class FaultEnvironment::Ledger {
 public:
  Verdict ask(DiskChange& change) {
    const std::scoped_lock lock(mutex_);
    change.number = history_.size();
    history_.push_back(change);
    return decide_ ? decide_(change) : Verdict{};
  }
  /// Keeps the sectors that a write to `file` is about to change.
  void remember(const engine::File& file, std::uint64_t offset, std::uint64_t bytes) {
    const std::scoped_lock lock(mutex_);
    auto& sectors = unsynced_[file.path()];
    for (std::uint64_t at = offset / kSectorBytes * kSectorBytes; at < offset + bytes; at += kSectorBytes) {
      if (sectors.contains(at)) continue;
      Sector before{};
      (void)file.read_at(at, before);
      sectors.emplace(at, before);
    }
  }
  void forget(const std::string& path) {
    const std::scoped_lock lock(mutex_);
    unsynced_.erase(path);
  }
  void rename(const std::string& from, const std::string& to) {
    const std::scoped_lock lock(mutex_);
    auto moved = unsynced_.extract(from);
    unsynced_.erase(to);
    if (moved.empty()) return;
    moved.key() = to;
    unsynced_.insert(std::move(moved));
  }

  mutable std::mutex mutex_;
  std::function<Verdict(const DiskChange&)> decide_;
  std::vector<DiskChange> history_;
  std::map<std::string, std::map<std::uint64_t, Sector>> unsynced_;
};

namespace {

class FaultFile final : public engine::File {
 public:
  FaultFile(std::unique_ptr<File> inner, std::shared_ptr<FaultEnvironment::Ledger> ledger)
      : inner_(std::move(inner)), ledger_(std::move(ledger)) {
    path_ = inner_->path();
  }

  [[nodiscard]] Result<std::uint64_t> size() const override { return inner_->size(); }
  [[nodiscard]] Result<std::uint64_t> allocated_bytes() const override { return inner_->allocated_bytes(); }
  [[nodiscard]] Result<std::uint64_t> link_count() const override { return inner_->link_count(); }
  Result<void> preallocate(std::uint64_t offset, std::uint64_t length) override {
    VECTOLITH_TRY(ask(Kind::kPreallocate, offset, length));
    return inner_->preallocate(offset, length);
  }
  Result<void> punch(std::uint64_t offset, std::uint64_t length) override {
    VECTOLITH_TRY(ask(Kind::kPunch, offset, length));
    return inner_->punch(offset, length);
  }
  Result<bool> try_lock(LockMode mode) override { return inner_->try_lock(mode); }
  Result<void> unlock() override { return inner_->unlock(); }
  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> bytes) const override {
    return inner_->read_at(offset, bytes);
  }
  Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
    DiskChange change{
        .number = 0, .kind = Kind::kWrite, .path = path_, .offset = offset, .bytes = bytes.size()};
    const Verdict verdict = ledger_->ask(change);
    const auto landed =
        verdict.error == 0 ? bytes : bytes.first(std::min<std::size_t>(bytes.size(), verdict.bytes_landed));
    if (!landed.empty()) {
      ledger_->remember(*inner_, offset, landed.size());
      VECTOLITH_TRY(inner_->write_at(offset, landed));
    }
    if (verdict.error != 0) return injected(change, verdict.error);
    return {};
  }
  Result<void> data_sync() override {
    VECTOLITH_TRY(ask(Kind::kDataSync, 0, 0));
    VECTOLITH_TRY(inner_->data_sync());
    ledger_->forget(path_);
    return {};
  }
  [[nodiscard]] Result<std::unique_ptr<Mapping>> map() const override { return inner_->map(); }
  void drop_cache(std::uint64_t offset, std::uint64_t length) const noexcept override {
    inner_->drop_cache(offset, length);
  }

 private:
  Result<void> ask(Kind kind, std::uint64_t offset, std::uint64_t bytes) {
    DiskChange change{.number = 0, .kind = kind, .path = path_, .offset = offset, .bytes = bytes};
    if (const Verdict verdict = ledger_->ask(change); verdict.error != 0)
      return injected(change, verdict.error);
    return {};
  }

  std::unique_ptr<File> inner_;
  std::shared_ptr<FaultEnvironment::Ledger> ledger_;
};

class FaultDirectory final : public engine::Directory {
 public:
  FaultDirectory(std::unique_ptr<Directory> inner, std::shared_ptr<FaultEnvironment::Ledger> ledger)
      : inner_(std::move(inner)), ledger_(std::move(ledger)) {
    path_ = inner_->path();
  }
  [[nodiscard]] Directory& inner() noexcept { return *inner_; }

  Result<std::unique_ptr<engine::File>> open(std::string_view name, OpenMode mode) override {
    if (mode == OpenMode::kCreateNew || mode == OpenMode::kOpenOrCreate)
      VECTOLITH_TRY(ask(Kind::kCreate, path_of(name)));
    VECTOLITH_TRY_ASSIGN(auto file, inner_->open(name, mode));
    return std::make_unique<FaultFile>(std::move(file), ledger_);
  }
  Result<void> rename(std::string_view from, std::string_view to) override {
    VECTOLITH_TRY(ask(Kind::kRename, path_of(from)));
    VECTOLITH_TRY(inner_->rename(from, to));
    ledger_->rename(path_of(from), path_of(to));
    return {};
  }
  Result<void> unlink(std::string_view name) override {
    VECTOLITH_TRY(ask(Kind::kUnlink, path_of(name)));
    VECTOLITH_TRY(inner_->unlink(name));
    ledger_->forget(path_of(name));
    return {};
  }
  [[nodiscard]] Result<std::vector<std::string>> list() const override { return inner_->list(); }
  Result<void> sync() override {
    VECTOLITH_TRY(ask(Kind::kDirectorySync, path_));
    return inner_->sync();
  }
  [[nodiscard]] Result<std::uint64_t> free_bytes() const override { return inner_->free_bytes(); }

 private:
  [[nodiscard]] std::string path_of(std::string_view name) const { return path_ + "/" + std::string(name); }
  Result<void> ask(Kind kind, std::string path) {
    DiskChange change{.number = 0, .kind = kind, .path = std::move(path)};
    if (const Verdict verdict = ledger_->ask(change); verdict.error != 0)
      return injected(change, verdict.error);
    return {};
  }

  std::unique_ptr<Directory> inner_;
  std::shared_ptr<FaultEnvironment::Ledger> ledger_;
};

/// Runs operations one after the other through their files, so that the files' verdicts count.
class FaultQueue final : public engine::IoQueue {
 public:
  Result<void> submit(std::span<IoOperation> operations) override {
    bool canceled = false;
    for (IoOperation& operation : operations) {
      operation.wanted = 0;
      operation.transferred = 0;
      for (const auto& buffer : operation.buffers) operation.wanted += buffer.bytes;
      operation.error = canceled ? ECANCELED : run(operation);
      operation.done = true;
      canceled = operation.linked && operation.error != 0;
    }
    unseen_ += operations.size();
    return {};
  }
  Result<void> wait(const IoOperation&) override { return {}; }
  std::size_t poll() override { return std::exchange(unseen_, 0); }
  [[nodiscard]] std::size_t in_flight() const noexcept override { return 0; }

 private:
  static int run(IoOperation& operation) {
    if (operation.kind == IoOperation::Kind::kDataSync) return error_of(operation.file->data_sync());
    for (const auto& buffer : operation.buffers) {
      const std::uint64_t at = operation.offset + operation.transferred;
      const std::span bytes(static_cast<std::byte*>(buffer.data), buffer.bytes);
      if (operation.kind == IoOperation::Kind::kWrite) {
        if (const int error = error_of(operation.file->write_at(at, bytes)); error != 0) return error;
        operation.transferred += bytes.size();
        continue;
      }
      const auto read = operation.file->read_at(at, bytes);
      if (!read) return read.error().system_errno() == 0 ? EIO : read.error().system_errno();
      operation.transferred += *read;
      if (*read < bytes.size()) return 0;
    }
    return 0;
  }
  static int error_of(const Result<void>& result) {
    if (result) return 0;
    return result.error().system_errno() == 0 ? EIO : result.error().system_errno();
  }

  std::size_t unseen_ = 0;
};

}  // namespace

FaultEnvironment::FaultEnvironment(std::shared_ptr<engine::Environment> inner)
    : inner_(std::move(inner)), ledger_(std::make_shared<Ledger>()) {}
FaultEnvironment::~FaultEnvironment() = default;

void FaultEnvironment::decide(std::function<Verdict(const DiskChange&)> decide) {
  const std::scoped_lock lock(ledger_->mutex_);
  ledger_->decide_ = std::move(decide);
}

void FaultEnvironment::fail_at(std::uint64_t number, int error, std::uint64_t bytes_landed) {
  decide([=](const DiskChange& change) {
    return change.number == number ? Verdict{.error = error, .bytes_landed = bytes_landed} : Verdict{};
  });
}

void FaultEnvironment::die_at(std::uint64_t number, std::uint64_t bytes_landed) {
  decide([=](const DiskChange& change) {
    if (change.number < number) return Verdict{};
    return Verdict{.error = EIO, .bytes_landed = change.number == number ? bytes_landed : 0};
  });
}

std::uint64_t FaultEnvironment::changes() const {
  const std::scoped_lock lock(ledger_->mutex_);
  return ledger_->history_.size();
}

std::vector<DiskChange> FaultEnvironment::history() const {
  const std::scoped_lock lock(ledger_->mutex_);
  return ledger_->history_;
}

void FaultEnvironment::power_cut(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const std::scoped_lock lock(ledger_->mutex_);
  for (const auto& [path, sectors] : ledger_->unsynced_) {
    const auto slash = path.rfind('/');
    const auto directory = inner_->open_directory(path.substr(0, slash), false);
    if (!directory) continue;
    const auto file = (*directory)->open(path.substr(slash + 1), OpenMode::kReadWrite);
    if (!file) continue;
    for (const auto& [offset, before] : sectors) {
      if ((random() & 1) != 0) (void)(*file)->write_at(offset, before);
    }
  }
  ledger_->unsynced_.clear();
}

Result<std::unique_ptr<engine::Directory>> FaultEnvironment::open_directory(const std::string& path,
                                                                            bool create) {
  VECTOLITH_TRY_ASSIGN(auto directory, inner_->open_directory(path, create));
  return std::make_unique<FaultDirectory>(std::move(directory), ledger_);
}

Result<std::unique_ptr<engine::IoQueue>> FaultEnvironment::make_queue(std::uint32_t) {
  return std::make_unique<FaultQueue>();
}

Result<std::unique_ptr<engine::Listener>> FaultEnvironment::listen(engine::Directory& directory,
                                                                   std::string_view name) {
  return inner_->listen(static_cast<FaultDirectory&>(directory).inner(), name);
}

Result<std::unique_ptr<engine::Connection>> FaultEnvironment::connect(engine::Directory& directory,
                                                                      std::string_view name) {
  return inner_->connect(static_cast<FaultDirectory&>(directory).inner(), name);
}

}  // namespace vectolith::testing
