/// @file
/// What shall go wrong: operations that fail, wait or are the last before the power goes.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vectolith::crash {

/// How one operation ends.
struct Outcome {
  int error = 0;          ///< 0 or a positive errno.
  bool is_short = false;  ///< A write that takes only its first half, a read that gives only its first half.
  bool is_stopped = false;  ///< It fails because the disk takes no more.
};

/// Decides for every operation; the control channel sets what it decides.
///
/// Kinds: read, write, direct-write (past the page cache), fsync, fsyncdir, create, unlink, rename, allocate,
/// resize. Threads: any.
class FaultPlan {
 public:
  /// The `nth` operation (from 1, counted from now) of the kind on files with `name_part` in their name
  /// fails, and so do the `count - 1` after it. Error 0: it is short instead.
  struct Fault {
    std::string kind;
    std::string name_part;
    std::uint64_t nth = 1;
    std::uint64_t count = 1;
    int error = 0;
    std::uint64_t seen = 0;
  };

  void add(Fault fault);
  /// Operations of the kind on such files wait until `release`.
  void hold(std::string kind, std::string name_part);
  /// Lets all that wait go on, and none wait any more.
  void release();
  /// Returns when `count` operations wait.
  void wait_held(std::uint64_t count);
  /// After `changes` further changing operations every such operation fails with EIO: the disk takes no more.
  void stop_after(std::uint64_t changes);
  /// Forgets faults and the stop; lets all that wait go on.
  void clear();
  /// Counts of operations by kind, and "stopped" as 0 or 1.
  [[nodiscard]] std::map<std::string, std::uint64_t> counts() const;

  /// Called before each operation, without any lock of the tree: it may wait here.
  Outcome before(std::string_view kind, const std::string& name);

 private:
  struct Hold {
    std::string kind;
    std::string name_part;
  };

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Fault> faults_;
  std::vector<Hold> holds_;
  std::uint64_t held_ = 0;
  std::uint64_t releases_ = 0;
  std::optional<std::uint64_t> changes_left_;
  std::map<std::string, std::uint64_t> counts_;
};

}  // namespace vectolith::crash
