/// @file
/// Files and directories on a disk that forgets what was not synced: contents, sizes and names.
#pragma once

#include <cstdint>
#include <ctime>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <sys/types.h>

#include "fault_fs/sector_file.h"

namespace vectolith::crash {

struct Node;
using NodePtr = std::shared_ptr<Node>;

/// One change of a directory that survives or is lost as a whole; a rename changes two names.
struct DirectoryChange {
  struct Assignment {
    std::string name;
    NodePtr node;  ///< Null: the name is gone.
  };
  std::vector<Assignment> assignments;
};

/// A file, directory or socket.
struct Node {
  std::uint64_t id = 0;  ///< What the kernel knows it by; a new one after each loss of power.
  mode_t mode = 0;       ///< Kind and permissions.
  timespec modified{};
  std::string name;           ///< Its last name, for the control channel.
  std::uint32_t links = 0;    ///< Names that lead to it now.
  std::uint64_t lookups = 0;  ///< How often the kernel was told of it and has not forgotten it.

  SectorFile file;
  std::map<std::string, NodePtr> entries;         ///< Of a directory: as seen now.
  std::map<std::string, NodePtr> synced_entries;  ///< Of a directory: what a loss of power keeps in any case.
  std::vector<DirectoryChange> unsynced_changes;

  bool recorded = false;    ///< Its writes and syncs go to the write log.
  std::uint8_t stream = 0;  ///< Not 0: what is appended to it goes to the write log under this number.
};

/// The whole tree. All paths are names in the root or in one directory below it.
/// Threads: externally synchronised. Errors: negative errno.
class VolatileTree {
 public:
  VolatileTree();

  [[nodiscard]] const NodePtr& root() const noexcept { return root_; }
  /// Null for a node of before the last loss of power.
  [[nodiscard]] NodePtr find(std::uint64_t id) const;
  /// By the name at the end of a path, anywhere in the tree; null if there is none.
  [[nodiscard]] NodePtr find_name(const std::string& name) const;

  NodePtr make(Node& directory, const std::string& name, mode_t mode);
  int remove(Node& directory, const std::string& name, bool is_directory);
  int rename(Node& from, const std::string& old_name, Node& to, const std::string& new_name);
  void sync_directory(Node& directory);
  void forget(std::uint64_t id, std::uint64_t lookups);

  /// Keeps or loses each unsynced thing, and gives all that is left new ids.
  void cut_power(std::uint64_t seed, const CutShape& shape);
  /// Empties the tree, durably.
  void wipe();

 private:
  void adopt(const NodePtr& node, std::mt19937_64& random, const CutShape& shape);
  static void change(Node& directory, DirectoryChange change);

  NodePtr root_;
  std::uint64_t next_id_ = 1;
  std::map<std::uint64_t, NodePtr> nodes_;
};

}  // namespace vectolith::crash
