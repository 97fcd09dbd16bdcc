/// @file
/// Opens stores for verbs, and falls back to the owner's control socket.
#include "store_access.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <vectolith/format/file_name.h>

#include "output.h"

namespace vectolith::tools {

namespace {

std::string known_names(const std::vector<FamilyInfo>& families) {
  std::string names;
  for (const auto& family : families) names.append(names.empty() ? "" : ", ").append(family.name);
  return names.empty() ? "none" : names;
}

Result<void> visit_local(Store& store, const FamilyInfo& info,
                         const std::function<bool(const RowView&)>& visit) {
  if (info.kind == format::SegmentKind::kVector) {
    VECTOLITH_TRY_ASSIGN(const auto family, store.family(info.name));
    return family.for_each([&](const VectorView& view) {
      return visit({info, view.key(), view.sequence(), view.created_at_s(), view.bytes()});
    });
  }
  VECTOLITH_TRY_ASSIGN(const auto family, store.existing_record_family(info.name));
  return family.for_each([&](const Record& record) {
    return visit({info, record.key, record.sequence, record.created_at_ms / 1'000, record.payload});
  });
}

}  // namespace

Options make_options(const CommonOptions& common, Purpose purpose) {
  Options options;
  options.io = common.io == "uring"  ? IoChoice::kUring
               : common.io == "sync" ? IoChoice::kSync
                                     : IoChoice::kAuto;
  options.read_only = purpose == Purpose::kRead;
  options.control = purpose == Purpose::kServe;
  options.on_event = report_event;
  return options;
}

Result<ReaderLock> ReaderLock::take(const std::string& directory) {
  ReaderLock lock;
  const std::string path = directory + "/" + std::string(format::kLockName);
  lock.fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  // A copy on a medium that nobody writes to may have no LOCK; what else is wrong, the open says better.
  if (lock.fd_ < 0) return lock;
  while (::flock(lock.fd_, LOCK_SH | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    const int cause = errno;
    if (cause == EWOULDBLOCK) {
      return std::unexpected(Error(ErrorCode::kLocked, "another process has the store open").with_file(path));
    }
    return std::unexpected(Error(ErrorCode::kIo, "cannot lock the store").with_file(path).with_errno(cause));
  }
  return lock;
}

ReaderLock::ReaderLock(ReaderLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
ReaderLock& ReaderLock::operator=(ReaderLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}
ReaderLock::~ReaderLock() {
  if (fd_ >= 0) ::close(fd_);
}

Result<ReachedStore> open_store(const CommonOptions& common, Purpose purpose) {
  ReachedStore reached;
  // The engine lets readers in beside a writer; a verb shows a state that nobody changes meanwhile.
  if (purpose == Purpose::kRead) {
    VECTOLITH_TRY_ASSIGN(reached.lock, ReaderLock::take(common.directory));
  }
  VECTOLITH_TRY_ASSIGN(reached.store, Store::open(common.directory, make_options(common, purpose)));
  return reached;
}

Result<ReachedStore> reach_store(const CommonOptions& common, Purpose purpose) {
  auto opened = open_store(common, purpose);
  if (opened.has_value() || opened.error().code() != ErrorCode::kLocked) return opened;
  auto client = ControlClient::connect(common.directory);
  if (client.has_value()) {
    ReachedStore reached;
    reached.remote.emplace(*std::move(client));
    return reached;
  }
  if (client.error().code() != ErrorCode::kNotFound) return std::unexpected(std::move(client).error());
  return std::unexpected(Error(ErrorCode::kLocked, opened.error().message() + " and serves no control socket")
                             .with_file(common.directory));
}

Result<std::vector<FamilyInfo>> families_of(ReachedStore& reached) {
  if (reached.remote.has_value()) return reached.remote->families();
  return reached.store->families();
}

Result<FamilyInfo> find_family(ReachedStore& reached, const std::string& name) {
  VECTOLITH_TRY_ASSIGN(const auto families, families_of(reached));
  const auto found = std::ranges::find(families, name, &FamilyInfo::name);
  if (found != families.end()) return *found;
  return std::unexpected(Error(ErrorCode::kNotFound, "the store has no family '" + name + "'")
                             .with_expected("one of: " + known_names(families))
                             .with_found(name));
}

Result<std::optional<RemoteRow>> read_row(ReachedStore& reached, const FamilyInfo& info, const Key& key) {
  if (reached.remote.has_value()) return reached.remote->get(info.name, key);
  RemoteRow row{.family = info.name, .key = key, .sequence = {}, .created_at_s = 0, .vector = {}};
  if (info.kind == format::SegmentKind::kVector) {
    VECTOLITH_TRY_ASSIGN(const auto family, reached.store->family(info.name));
    VECTOLITH_TRY_ASSIGN(const auto pinned, family.get(key));
    if (!pinned.has_value()) return std::nullopt;
    const auto& view = **pinned;
    row.sequence = view.sequence();
    row.created_at_s = view.created_at_s();
    row.vector.assign(view.bytes().begin(), view.bytes().end());
    return row;
  }
  VECTOLITH_TRY_ASSIGN(const auto family, reached.store->existing_record_family(info.name));
  VECTOLITH_TRY_ASSIGN(auto record, family.get(key));
  if (!record.has_value()) return std::nullopt;
  row.sequence = record->sequence;
  row.created_at_s = static_cast<std::uint32_t>(record->created_at_ms / 1'000);
  row.vector = std::move(record->payload);
  return row;
}

Result<void> visit_rows(ReachedStore& reached, const FamilyInfo& info,
                        const std::function<bool(const RowView&)>& visit) {
  if (!reached.remote.has_value()) return visit_local(*reached.store, info, visit);
  return reached.remote->scan(info.name, [&](const RemoteRow& row) {
    return visit({info, row.key, row.sequence, row.created_at_s, row.vector});
  });
}

Result<int> close_after(ReachedStore& reached, Result<int> result) {
  if (reached.store == nullptr) return result;
  auto closed = reached.store->close();
  // The first failure is the cause; that of the close usually only repeats it.
  if (result.has_value() && !closed.has_value()) return std::unexpected(std::move(closed).error());
  return result;
}

}  // namespace vectolith::tools
