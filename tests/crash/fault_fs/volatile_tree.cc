/// @file
/// Names that may be lost.
#include "fault_fs/volatile_tree.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <sys/stat.h>

namespace vectolith::crash {

VolatileTree::VolatileTree() : root_(std::make_shared<Node>()) {
  root_->mode = S_IFDIR | 0700;
  root_->links = 1;
  root_->id = next_id_++;  // The kernel knows the root as 1, always.
  nodes_[root_->id] = root_;
}

NodePtr VolatileTree::find(std::uint64_t id) const {
  const auto found = nodes_.find(id);
  return found == nodes_.end() ? nullptr : found->second;
}

NodePtr VolatileTree::find_name(const std::string& name) const {
  std::vector<NodePtr> directories = {root_};
  while (!directories.empty()) {
    const NodePtr directory = directories.back();
    directories.pop_back();
    for (const auto& [entry, node] : directory->entries) {
      if (entry == name) return node;
      if (S_ISDIR(node->mode)) directories.push_back(node);
    }
  }
  return nullptr;
}

void VolatileTree::change(Node& directory, DirectoryChange change) {
  for (const auto& [name, node] : change.assignments) {
    auto& entry = directory.entries[name];
    if (entry != nullptr) --entry->links;
    entry = node;
    if (node == nullptr) {
      directory.entries.erase(name);
    } else {
      ++node->links;
      node->name = name;
    }
  }
  (void)::clock_gettime(CLOCK_REALTIME, &directory.modified);
  directory.unsynced_changes.push_back(std::move(change));
}

NodePtr VolatileTree::make(Node& directory, const std::string& name, mode_t mode) {
  auto node = std::make_shared<Node>();
  node->id = next_id_++;
  node->mode = mode;
  (void)::clock_gettime(CLOCK_REALTIME, &node->modified);
  nodes_[node->id] = node;
  change(directory, {.assignments = {{name, node}}});
  return node;
}

int VolatileTree::remove(Node& directory, const std::string& name, bool is_directory) {
  const auto found = directory.entries.find(name);
  if (found == directory.entries.end()) return -ENOENT;
  const NodePtr node = found->second;
  if (is_directory != static_cast<bool>(S_ISDIR(node->mode))) return is_directory ? -ENOTDIR : -EISDIR;
  if (!node->entries.empty()) return -ENOTEMPTY;
  change(directory, {.assignments = {{name, nullptr}}});
  if (node->links == 0 && node->lookups == 0) nodes_.erase(node->id);
  return 0;
}

int VolatileTree::rename(Node& from, const std::string& old_name, Node& to, const std::string& new_name) {
  const auto found = from.entries.find(old_name);
  if (found == from.entries.end()) return -ENOENT;
  const NodePtr node = found->second;
  if (&from == &to) {
    change(from, {.assignments = {{old_name, nullptr}, {new_name, node}}});
  } else {
    change(to, {.assignments = {{new_name, node}}});
    change(from, {.assignments = {{old_name, nullptr}}});
  }
  node->name = new_name;
  return 0;
}

void VolatileTree::sync_directory(Node& directory) {
  directory.synced_entries = directory.entries;
  directory.unsynced_changes.clear();
}

void VolatileTree::forget(std::uint64_t id, std::uint64_t lookups) {
  const auto found = nodes_.find(id);
  if (found == nodes_.end() || found->second == root_) return;
  Node& node = *found->second;
  node.lookups -= std::min(node.lookups, lookups);
  if (node.lookups == 0 && node.links == 0) nodes_.erase(found);
}

void VolatileTree::cut_power(std::uint64_t seed, const CutShape& shape) {
  std::mt19937_64 random(seed);
  nodes_.clear();
  adopt(root_, random, shape);
}

void VolatileTree::adopt(const NodePtr& node, std::mt19937_64& random, const CutShape& shape) {
  // A file may have two names, after a rename whose halves met different fates. Ids of before are never used
  // again.
  if (!nodes_.contains(node->id)) {
    node->id = node == root_ ? root_->id : next_id_++;
    nodes_[node->id] = node;
    node->links = 0;
    node->lookups = 0;
    node->file.cut_power(random, shape);
    std::bernoulli_distribution keep(shape.keep);
    for (const auto& lost_or_kept : node->unsynced_changes) {
      if (!keep(random)) continue;
      for (const auto& [name, target] : lost_or_kept.assignments) {
        if (target == nullptr) {
          node->synced_entries.erase(name);
        } else {
          node->synced_entries[name] = target;
        }
      }
    }
    node->unsynced_changes.clear();
    node->entries = node->synced_entries;
    for (const auto& [name, entry] : node->entries) {
      adopt(entry, random, shape);
      entry->name = name;
    }
  }
  ++node->links;
}

void VolatileTree::wipe() {
  root_->entries.clear();
  root_->synced_entries.clear();
  root_->unsynced_changes.clear();
  nodes_.clear();
  nodes_[root_->id] = root_;
}

}  // namespace vectolith::crash
