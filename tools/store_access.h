/// @file
/// Ways to a store: opened here, or reached through the control socket of the process that has it open.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <vectolith/control.h>
#include <vectolith/store.h>

#include "command.h"

namespace vectolith::tools {

/// What a verb wants of the store.
enum class Purpose : std::uint8_t {
  kRead,   ///< Opens read-only: any number of readers beside each other.
  kWrite,  ///< A short write.
  kServe,  ///< A long run that writes: serves the control socket meanwhile.
};

Options make_options(const CommonOptions& common, Purpose purpose);

/// A shared lock on a store's LOCK file: while a reader holds it, nobody opens the store for writing.
class ReaderLock {
 public:
  /// Holds nothing.
  ReaderLock() = default;
  /// Errors: kLocked when a writer has the store open; kIo. A directory without LOCK needs none.
  static Result<ReaderLock> take(const std::string& directory);
  ReaderLock(ReaderLock&& other) noexcept;
  ReaderLock& operator=(ReaderLock&& other) noexcept;
  ~ReaderLock();

 private:
  int fd_ = -1;
};

/// A store that is open here, or whose owner answers on its socket: exactly one of the two.
struct ReachedStore {
  ReaderLock lock;  ///< Of a store that is open read-only; goes last.
  std::unique_ptr<Store> store;
  std::optional<ControlClient> remote;
};
/// Opens the store of `common.directory`. Errors: as Store::open.
Result<ReachedStore> open_store(const CommonOptions& common, Purpose purpose);
/// Opens the store, or connects to the process that has it open.
/// Errors: as Store::open; kLocked when that process serves no socket.
Result<ReachedStore> reach_store(const CommonOptions& common, Purpose purpose);

Result<std::vector<FamilyInfo>> families_of(ReachedStore& reached);
/// Errors: kNotFound naming the families there are.
Result<FamilyInfo> find_family(ReachedStore& reached, const std::string& name);
/// The vector of a vector family or the payload of a record family. A miss is a value.
Result<std::optional<RemoteRow>> read_row(ReachedStore& reached, const FamilyInfo& family, const Key& key);

/// One live row while it is visited.
struct RowView {
  const FamilyInfo& family;
  const Key& key;
  Sequence sequence;
  std::uint64_t created_at_s = 0;
  std::span<const std::byte> bytes;
};
/// Calls `visit` for each live row of `family` until it returns false.
Result<void> visit_rows(ReachedStore& reached, const FamilyInfo& family,
                        const std::function<bool(const RowView&)>& visit);
/// Closes a store that was opened here; keeps `result` unless closing is what failed.
Result<int> close_after(ReachedStore& reached, Result<int> result);

}  // namespace vectolith::tools
