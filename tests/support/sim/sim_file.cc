/// @file
/// Files and directories over the simulated disk. Transfers go through the engine's own loops.
#include "support/sim/sim_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <sys/uio.h>

#include "io/system_error.h"
#include "io/transfer.h"
#include "support/refused_memory.h"

namespace vectolith::testing::sim {
namespace {

using engine::LockMode;
using engine::OpenMode;

/// Keeps the cache alive as a mapping keeps its pages.
class SimMapping final : public engine::Mapping {
 public:
  explicit SimMapping(SimEnvironment& process, std::string name, std::shared_ptr<HeapBytes> cache)
      : process_(process), name_(std::move(name)), cache_(std::move(cache)) {
    bytes_ = cache_->bytes();
  }
  void advise(std::uint64_t, std::uint64_t, engine::MapAdvice) noexcept override {}
  Result<void> populate(std::uint64_t offset, std::uint64_t length) override {
    const OutsideEngine outside;
    if (offset > bytes_.size() || length > bytes_.size() - offset)
      return engine::fail_errno(EFAULT, "populate", name_);
    const auto outcome = process_.call(CallKind::kPopulate, name_, offset, length);
    if (outcome.error != 0) return engine::fail_errno(outcome.error, "populate", name_);
    return {};
  }

 private:
  SimEnvironment& process_;
  std::string name_;
  std::shared_ptr<HeapBytes> cache_;
};

/// Time passes only in the simulation.
void no_pause(unsigned) noexcept {}

std::uint64_t total_bytes(const iovec* buffers, int count) {
  std::uint64_t total = 0;
  for (int i = 0; i < count; ++i) total += buffers[i].iov_len;
  return total;
}

}  // namespace

SimFile::SimFile(SimEnvironment& process, InodePtr inode, std::string path)
    : process_(process), inode_(std::move(inode)), name_(path.substr(path.rfind('/') + 1)) {
  path_ = std::move(path);
  process_.disk().note_open(inode_);
}

SimFile::~SimFile() {
  inode_->locks.erase(this);
  process_.disk().note_close(inode_);
}

std::int64_t SimFile::write_some(const iovec* buffers, int count, std::uint64_t offset) {
  const std::uint64_t wanted = total_bytes(buffers, count);
  const auto outcome = process_.call(CallKind::kWrite, name_, offset, wanted);
  if (outcome.error != 0 && !outcome.dies) {
    errno = outcome.error;
    return -1;
  }
  std::vector<std::byte> bytes;
  bytes.reserve(wanted);
  for (int i = 0; i < count; ++i) {
    const auto* data = static_cast<const std::byte*>(buffers[i].iov_base);
    bytes.insert(bytes.end(), data, data + buffers[i].iov_len);
  }
  if (outcome.is_cut || outcome.dies) bytes.resize(std::min(outcome.moved, wanted));
  const bool fits = process_.disk().write(*inode_, offset, bytes);
  if (outcome.dies || !fits) {
    errno = outcome.dies ? EIO : ENOSPC;
    return -1;
  }
  return static_cast<std::int64_t>(bytes.size());
}

std::int64_t SimFile::read_some(const iovec* buffers, int count, std::uint64_t offset) const {
  const std::uint64_t wanted = total_bytes(buffers, count);
  const auto outcome = process_.call(CallKind::kRead, name_, offset, wanted);
  if (outcome.error != 0) {
    errno = outcome.error;
    return -1;
  }
  const auto cached = process_.disk().cached(*inode_);
  if (offset >= cached.size()) return 0;
  std::uint64_t left =
      std::min<std::uint64_t>(cached.size() - offset, outcome.is_cut ? outcome.moved : wanted);
  std::uint64_t moved = 0;
  for (int i = 0; i < count && left > 0; ++i) {
    const auto part = std::min<std::uint64_t>(left, buffers[i].iov_len);
    std::memcpy(buffers[i].iov_base, cached.data() + offset + moved, part);
    moved += part;
    left -= part;
  }
  return static_cast<std::int64_t>(moved);
}

int SimFile::sync_once(std::uint64_t before) {
  const auto outcome = process_.call(CallKind::kDataSync, name_);
  if (process_.is_dead()) return EIO;
  if (outcome.error != 0) {
    process_.disk().fail_sync(*inode_, before, process_.random());
    return outcome.error;
  }
  process_.disk().sync(*inode_, before);
  return 0;
}

Result<void> SimFile::preallocate(std::uint64_t offset, std::uint64_t length) {
  const OutsideEngine outside;
  const auto outcome = process_.call(CallKind::kPreallocate, name_, offset, length);
  if (outcome.error != 0) return engine::fail_errno(outcome.error, "fallocate", path_);
  if (!process_.disk().preallocate(*inode_, offset, length))
    return engine::fail_errno(ENOSPC, "fallocate", path_);
  return {};
}

Result<void> SimFile::punch(std::uint64_t offset, std::uint64_t length) {
  const OutsideEngine outside;
  const auto outcome = process_.call(CallKind::kPunch, name_, offset, length);
  if (outcome.error != 0) return engine::fail_errno(outcome.error, "punch", path_);
  process_.disk().punch(*inode_, offset, length);
  return {};
}

Result<bool> SimFile::try_lock(LockMode mode) {
  const OutsideEngine outside;
  const auto outcome = process_.call(CallKind::kLock, name_);
  if (outcome.error != 0) return engine::fail_errno(outcome.error, "flock", path_);
  if (inode_->writes_in_flight > 0) return false;
  for (const auto& [holder, held] : inode_->locks) {
    if (holder != this && (mode == LockMode::kExclusive || held == LockMode::kExclusive)) return false;
  }
  inode_->locks[this] = mode;
  return true;
}

Result<void> SimFile::unlock() {
  const OutsideEngine outside;
  inode_->locks.erase(this);
  return {};
}

Result<std::size_t> SimFile::read_at(std::uint64_t offset, std::span<std::byte> bytes) const {
  const OutsideEngine outside;
  engine::IoOperation::Buffer buffer{.data = bytes.data(), .bytes = bytes.size()};
  const auto call = [this](const iovec* buffers, int count, std::int64_t at) -> std::int64_t {
    return read_some(buffers, count, static_cast<std::uint64_t>(at));
  };
  const auto done = engine::read_fully(call, offset, {&buffer, 1}, process_.cells(), no_pause);
  if (done.error != 0) return engine::fail_errno(done.error, "read", path_);
  return static_cast<std::size_t>(done.bytes);
}

Result<void> SimFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  const OutsideEngine outside;
  engine::IoOperation::Buffer buffer{.data = const_cast<std::byte*>(bytes.data()), .bytes = bytes.size()};
  const auto call = [this](const iovec* buffers, int count, std::int64_t at) -> std::int64_t {
    return write_some(buffers, count, static_cast<std::uint64_t>(at));
  };
  const auto done = engine::write_fully(call, offset, {&buffer, 1}, process_.cells(), no_pause);
  if (done.error != 0) return engine::fail_errno(done.error, "write", path_);
  return {};
}

Result<void> SimFile::data_sync() {
  const OutsideEngine outside;
  if (const int error = sync_once(process_.disk().next_change()); error != 0)
    return engine::fail_errno(error, "fdatasync", path_);
  return {};
}

Result<std::unique_ptr<engine::Mapping>> SimFile::map() const {
  const OutsideEngine outside;
  const auto outcome = process_.call(CallKind::kMap, name_);
  if (outcome.error != 0) return engine::fail_errno(outcome.error, "mmap", path_);
  return std::make_unique<SimMapping>(process_, name_, process_.disk().cache_of(*inode_));
}

SimDirectory::SimDirectory(SimEnvironment& process, std::string path, SimDirectoryState& state)
    : process_(process), state_(state) {
  path_ = std::move(path);
}

Result<void> SimDirectory::ask(CallKind kind, std::string_view name) const {
  const auto outcome = process_.call(kind, std::string(name));
  if (outcome.error == 0) return {};
  return engine::fail_errno(outcome.error, "directory", path_ + "/" + std::string(name));
}

Result<std::unique_ptr<engine::File>> SimDirectory::open(std::string_view name, OpenMode mode) {
  const OutsideEngine outside;
  VECTOLITH_TRY(ask(CallKind::kOpen, name));
  const std::string path = path_ + "/" + std::string(name);
  auto found = state_.names.find(std::string(name));
  if (found != state_.names.end() && mode == OpenMode::kCreateNew)
    return std::unexpected(Error(ErrorCode::kExists, "the file exists").with_file(path));
  if (found == state_.names.end()) {
    if (mode == OpenMode::kReadOnly || mode == OpenMode::kReadDirect || mode == OpenMode::kReadWrite)
      return std::unexpected(Error(ErrorCode::kNotFound, "there is no such file").with_file(path));
    found = state_.names.emplace(std::string(name), std::make_shared<Inode>()).first;
    state_.unsynced.push_back({.from = "", .to = found->first, .inode = found->second});
  }
  return std::make_unique<SimFile>(process_, found->second, path);
}

Result<void> SimDirectory::rename(std::string_view from, std::string_view to) {
  const OutsideEngine outside;
  VECTOLITH_TRY(ask(CallKind::kRename, to));
  auto moved = state_.names.extract(std::string(from));
  if (moved.empty())
    return std::unexpected(
        Error(ErrorCode::kNotFound, "there is no such file").with_file(path_ + "/" + std::string(from)));
  state_.unsynced.push_back({.from = std::string(from), .to = std::string(to), .inode = moved.mapped()});
  state_.names[std::string(to)] = moved.mapped();
  return {};
}

Result<void> SimDirectory::unlink(std::string_view name) {
  const OutsideEngine outside;
  VECTOLITH_TRY(ask(CallKind::kUnlink, name));
  if (state_.names.erase(std::string(name)) == 0)
    return std::unexpected(
        Error(ErrorCode::kNotFound, "there is no such file").with_file(path_ + "/" + std::string(name)));
  state_.unsynced.push_back({.from = std::string(name), .to = "", .inode = nullptr});
  return {};
}

Result<std::vector<std::string>> SimDirectory::list() const {
  const OutsideEngine outside;
  VECTOLITH_TRY(ask(CallKind::kList, "."));
  std::vector<std::string> names;
  for (const auto& [name, inode] : state_.names) names.push_back(name);
  std::ranges::shuffle(names, process_.random());
  return names;
}

Result<void> SimDirectory::sync() {
  const OutsideEngine outside;
  VECTOLITH_TRY(ask(CallKind::kDirectorySync, "."));
  state_.durable = state_.names;
  state_.unsynced.clear();
  return {};
}

}  // namespace vectolith::testing::sim
