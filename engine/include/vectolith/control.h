/// @file
/// Client of a running store's control socket: what tools use when another process owns the store.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <vectolith/stats.h>
#include <vectolith/store.h>
#include <vectolith/verify.h>

namespace vectolith {

/// One row as it comes over the socket.
struct RemoteRow {
  std::string family;
  Key key;
  Sequence sequence;
  std::uint32_t created_at_s = 0;
  std::vector<std::byte> vector;
};

/// A connection to the process that has the store open. One request at a time.
///
/// Memory: every call answers kNoMemory where memory is refused before the request goes, or by the owner. An
/// answer for which there is none is kIo and ends the connection: what the owner did is then unknown.
class ControlClient {
 public:
  /// Errors: kNotFound when no process serves the socket (the owner did not set Options::control),
  ///         kUnsupported for another protocol version, kIo.
  static Result<ControlClient> connect(const std::string& path);
  ControlClient(ControlClient&&) noexcept;
  ControlClient& operator=(ControlClient&&) noexcept;
  ~ControlClient();

  Result<StoreStats> stats();
  Result<std::vector<FamilyInfo>> families();
  Result<std::optional<RemoteRow>> get(std::string_view family, const Key& key);
  Result<PutResult> put(std::string_view family, const Key& key, std::span<const std::byte> vector,
                        Durability durability, bool replace);
  Result<EraseResult> erase(std::string_view family, const Key& key, Durability durability);
  Result<void> sync();
  /// Calls `visit` per live row of `family` until it returns false.
  Result<void> scan(std::string_view family, const std::function<bool(const RemoteRow&)>& visit);
  /// fsck of the live store by its owner.
  Result<FsckReport> fsck();
  /// Scrub of the live store by its owner, a piece of at most a second or 64 MiB at a time; the pauses are
  /// this side's. Of `options` counts what is read, how fast, from where, and `should_stop` after each piece.
  Result<ScrubReport> scrub(const ScrubOptions& options = {});

 private:
  struct State;
  explicit ControlClient(std::unique_ptr<State> state) noexcept;
  std::unique_ptr<State> state_;
};

}  // namespace vectolith
