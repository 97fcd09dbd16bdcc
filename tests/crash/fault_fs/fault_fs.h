/// @file
/// The file system as FUSE sees it: a volatile tree, a fault plan and a write log behind the low-level calls.
#pragma once

#define FUSE_USE_VERSION 35

#include <mutex>
#include <string>

#include <fuse3/fuse_lowlevel.h>

#include "fault_fs/fault_plan.h"
#include "fault_fs/volatile_tree.h"
#include "fault_fs/write_log.h"

namespace vectolith::crash {

/// State shared by the FUSE calls and the control channel.
struct FaultFs {
  FaultPlan plan;
  std::mutex mutex;  ///< Guards what follows.
  VolatileTree tree;
  WriteLog log;
  fuse_session* session = nullptr;
};

/// The calls; their user data is a FaultFs.
const fuse_lowlevel_ops& fault_fs_operations();

/// Executes one line of the control channel and returns the line of the answer, which starts with "ok" or
/// "error".
///
/// fail KIND NTH COUNT ERRNO [NAME] | short KIND NTH [NAME] | hold KIND NAME | wait-held N | release | clear
/// stop N | cut SEED KEEP UNIT | wipe | count | unsynced NAME | truncate NAME BYTES | evict NAME
/// load NAME HOSTPATH | record NAME | stream NAME NUMBER | log HOSTPATH | log-end
std::string execute(FaultFs& fs, const std::string& line);

}  // namespace vectolith::crash
