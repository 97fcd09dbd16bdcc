/// @file
/// The FUSE calls.
#include "fault_fs/fault_fs.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>

namespace vectolith::crash {

namespace {

/// Attributes change through this kernel only; names are asked for again, for a loss of power replaces the
/// nodes.
constexpr double kAttributeSeconds = 3600;
constexpr double kNameSeconds = 0;

FaultFs& fs_of(fuse_req_t request) { return *static_cast<FaultFs*>(fuse_req_userdata(request)); }

struct stat status_of(const Node& node) {
  struct stat status{};
  status.st_ino = node.id;
  status.st_mode = node.mode;
  status.st_nlink = node.links;
  status.st_size = static_cast<off_t>(node.file.size());
  status.st_blocks = static_cast<blkcnt_t>(node.file.allocated_bytes() / kSectorBytes);
  status.st_blksize = 4096;
  status.st_mtim = status.st_ctim = status.st_atim = node.modified;
  return status;
}

fuse_entry_param entry_of(Node& node) {
  fuse_entry_param entry{};
  entry.ino = node.id;
  entry.attr = status_of(node);
  entry.attr_timeout = kAttributeSeconds;
  entry.entry_timeout = kNameSeconds;
  ++node.lookups;
  return entry;
}

/// The last name of a node; empty for one of before the loss of power.
std::string name_of(FaultFs& fs, fuse_ino_t id) {
  const std::lock_guard lock(fs.mutex);
  const auto node = fs.tree.find(id);
  return node == nullptr ? "" : node->name;
}

/// Asks the plan, then calls `action` with the node under the mutex; answers errors itself.
template <class Action>
void with_node(fuse_req_t request, fuse_ino_t id, std::string_view kind, const Action& action) {
  auto& fs = fs_of(request);
  Outcome outcome;
  if (!kind.empty()) outcome = fs.plan.before(kind, name_of(fs, id));
  int error = outcome.error;
  if (error == 0) {
    const std::lock_guard lock(fs.mutex);
    const auto node = fs.tree.find(id);
    error = node == nullptr ? EIO : -action(fs, *node, outcome);
  }
  if (error > 0) fuse_reply_err(request, error);
}

void lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  with_node(request, parent, "", [&](FaultFs&, Node& directory, Outcome) {
    const auto found = directory.entries.find(name);
    if (found == directory.entries.end()) return -ENOENT;
    const auto entry = entry_of(*found->second);
    fuse_reply_entry(request, &entry);
    return 0;
  });
}

void forget(fuse_req_t request, fuse_ino_t id, std::uint64_t lookups) {
  auto& fs = fs_of(request);
  {
    const std::lock_guard lock(fs.mutex);
    fs.tree.forget(id, lookups);
  }
  fuse_reply_none(request);
}

void get_attributes(fuse_req_t request, fuse_ino_t id, fuse_file_info*) {
  with_node(request, id, "", [&](FaultFs&, Node& node, Outcome) {
    const auto status = status_of(node);
    fuse_reply_attr(request, &status, kAttributeSeconds);
    return 0;
  });
}

void set_attributes(fuse_req_t request, fuse_ino_t id, struct stat* wanted, int to_set, fuse_file_info*) {
  const bool resizes = (to_set & FUSE_SET_ATTR_SIZE) != 0;
  with_node(request, id, resizes ? "resize" : "", [&](FaultFs&, Node& node, Outcome) {
    if (resizes) node.file.resize(static_cast<std::uint64_t>(wanted->st_size));
    if ((to_set & FUSE_SET_ATTR_MODE) != 0) {
      node.mode = (node.mode & S_IFMT) | (wanted->st_mode & ~static_cast<mode_t>(S_IFMT));
    }
    const auto status = status_of(node);
    fuse_reply_attr(request, &status, kAttributeSeconds);
    return 0;
  });
}

void make_node(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, fuse_file_info* file) {
  auto& fs = fs_of(request);
  const auto outcome = fs.plan.before("create", name);
  if (outcome.error != 0) {
    fuse_reply_err(request, outcome.error);
    return;
  }
  with_node(request, parent, "", [&](FaultFs&, Node& directory, Outcome) {
    if (directory.entries.contains(name)) return -EEXIST;
    const auto entry = entry_of(*fs.tree.make(directory, name, mode));
    if (file != nullptr) {
      fuse_reply_create(request, &entry, file);
    } else {
      fuse_reply_entry(request, &entry);
    }
    return 0;
  });
}

void create(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, fuse_file_info* file) {
  make_node(request, parent, name, S_IFREG | (mode & 07777), file);
}
void mknod(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, dev_t) {
  make_node(request, parent, name, mode, nullptr);
}
void mkdir(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode) {
  make_node(request, parent, name, S_IFDIR | (mode & 07777), nullptr);
}

void remove_name(fuse_req_t request, fuse_ino_t parent, const char* name, bool is_directory) {
  auto& fs = fs_of(request);
  const auto outcome = fs.plan.before("unlink", name);
  if (outcome.error != 0) {
    fuse_reply_err(request, outcome.error);
    return;
  }
  with_node(request, parent, "", [&](FaultFs&, Node& directory, Outcome) {
    const int result = fs.tree.remove(directory, name, is_directory);
    if (result == 0) fuse_reply_err(request, 0);
    return result;
  });
}

void unlink(fuse_req_t request, fuse_ino_t parent, const char* name) {
  remove_name(request, parent, name, false);
}
void rmdir(fuse_req_t request, fuse_ino_t parent, const char* name) {
  remove_name(request, parent, name, true);
}

void rename(fuse_req_t request, fuse_ino_t parent, const char* name, fuse_ino_t new_parent,
            const char* new_name, unsigned flags) {
  auto& fs = fs_of(request);
  const auto outcome = fs.plan.before("rename", name);
  if (outcome.error != 0 || flags != 0) {
    fuse_reply_err(request, outcome.error != 0 ? outcome.error : EINVAL);
    return;
  }
  with_node(request, parent, "", [&](FaultFs&, Node& directory, Outcome) {
    const auto target = fs.tree.find(new_parent);
    const int result = target == nullptr ? -EIO : fs.tree.rename(directory, name, *target, new_name);
    if (result == 0) fuse_reply_err(request, 0);
    return result;
  });
}

void open(fuse_req_t request, fuse_ino_t id, fuse_file_info* file) {
  with_node(request, id, "", [&](FaultFs&, Node& node, Outcome) {
    file->keep_cache = 1;
    if ((file->flags & O_TRUNC) != 0) node.file.resize(0);
    fuse_reply_open(request, file);
    return 0;
  });
}

void read(fuse_req_t request, fuse_ino_t id, std::size_t bytes, off_t offset, fuse_file_info*) {
  with_node(request, id, "read", [&](FaultFs&, Node& node, Outcome outcome) {
    std::vector<std::byte> buffer(outcome.is_short ? bytes / 2 : bytes);
    const auto length = node.file.read(static_cast<std::uint64_t>(offset), buffer);
    fuse_reply_buf(request, reinterpret_cast<const char*>(buffer.data()), length);
    return 0;
  });
}

void write(fuse_req_t request, fuse_ino_t id, const char* data, std::size_t bytes, off_t offset,
           fuse_file_info* file) {
  const bool direct = (file->flags & O_DIRECT) != 0;
  with_node(request, id, direct ? "direct-write" : "write", [&](FaultFs& fs, Node& node, Outcome outcome) {
    const auto taken = std::as_bytes(std::span(data, outcome.is_short ? bytes / 2 : bytes));
    const auto at = static_cast<std::uint64_t>(offset);
    node.file.write(at, taken);
    if (node.recorded) fs.log.write(at, taken);
    if (node.stream != 0) fs.log.mark(node.stream, taken);
    (void)::clock_gettime(CLOCK_REALTIME, &node.modified);
    fuse_reply_write(request, taken.size());
    return 0;
  });
}

void sync_file(fuse_req_t request, fuse_ino_t id, int, fuse_file_info*) {
  const auto outcome = fs_of(request).plan.before("fsync", name_of(fs_of(request), id));
  with_node(request, id, "", [&](FaultFs& fs, Node& node, Outcome) {
    if (outcome.error != 0) {
      // Where the power is about to go the medium may have taken any of it.
      if (!outcome.is_stopped) node.file.fail_sync();
      return -outcome.error;
    }
    node.file.sync();
    if (node.recorded) fs.log.flush();
    fuse_reply_err(request, 0);
    return 0;
  });
}

void sync_directory(fuse_req_t request, fuse_ino_t id, int, fuse_file_info*) {
  with_node(request, id, "fsyncdir", [&](FaultFs& fs, Node& node, Outcome) {
    fs.tree.sync_directory(node);
    fuse_reply_err(request, 0);
    return 0;
  });
}

void allocate(fuse_req_t request, fuse_ino_t id, int mode, off_t offset, off_t length, fuse_file_info*) {
  with_node(request, id, "allocate", [&](FaultFs&, Node& node, Outcome) {
    // A recorded disk refuses: then loop devices write zeros, which the log shows.
    if (node.recorded) return -EOPNOTSUPP;
    const auto at = static_cast<std::uint64_t>(offset);
    const auto bytes = static_cast<std::uint64_t>(length);
    if (mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)) {
      node.file.zero(at, std::min(bytes, node.file.size() - std::min(node.file.size(), at)));
    } else if (mode == 0) {
      node.file.resize(std::max(node.file.size(), at + bytes));
    } else {
      return -EOPNOTSUPP;
    }
    fuse_reply_err(request, 0);
    return 0;
  });
}

void read_directory(fuse_req_t request, fuse_ino_t id, std::size_t bytes, off_t offset, fuse_file_info*) {
  with_node(request, id, "", [&](FaultFs&, Node& directory, Outcome) {
    std::vector<char> buffer(bytes);
    std::size_t used = 0;
    off_t number = 0;
    for (const auto& [name, node] : directory.entries) {
      if (number++ < offset) continue;
      const auto status = status_of(*node);
      const auto needed =
          fuse_add_direntry(request, buffer.data() + used, bytes - used, name.c_str(), &status, number);
      if (needed > bytes - used) break;
      used += needed;
    }
    fuse_reply_buf(request, buffer.data(), used);
    return 0;
  });
}

void file_system_status(fuse_req_t request, fuse_ino_t) {
  struct statvfs status{};
  status.f_bsize = status.f_frsize = 4096;
  status.f_blocks = status.f_bfree = status.f_bavail = 1U << 20;
  status.f_files = status.f_ffree = status.f_favail = 1U << 20;
  status.f_namemax = 255;
  fuse_reply_statfs(request, &status);
}

}  // namespace

const fuse_lowlevel_ops& fault_fs_operations() {
  static const fuse_lowlevel_ops operations = [] {
    fuse_lowlevel_ops ops{};
    ops.lookup = lookup;
    ops.forget = forget;
    ops.getattr = get_attributes;
    ops.setattr = set_attributes;
    ops.create = create;
    ops.mknod = mknod;
    ops.mkdir = mkdir;
    ops.unlink = unlink;
    ops.rmdir = rmdir;
    ops.rename = rename;
    ops.open = open;
    ops.read = read;
    ops.write = write;
    ops.fsync = sync_file;
    ops.fsyncdir = sync_directory;
    ops.fallocate = allocate;
    ops.readdir = read_directory;
    ops.statfs = file_system_status;
    return ops;
  }();
  return operations;
}

}  // namespace vectolith::crash
