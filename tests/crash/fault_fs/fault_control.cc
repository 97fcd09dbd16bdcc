/// @file
/// The commands of the control channel.
#include <algorithm>
#include <cerrno>
#include <fstream>
#include <sstream>

#include <sys/stat.h>

#include "fault_fs/fault_fs.h"

namespace vectolith::crash {

namespace {

using Words = std::istringstream;

template <class... Values>
bool take(Words& words, Values&... values) {
  (words >> ... >> values);
  return !words.fail();
}

/// What follows is optional and may be missing.
std::string take_name(Words& words) {
  std::string name;
  words >> name;
  return name;
}

std::string add_fault(FaultFs& fs, Words& words, bool is_short) {
  FaultPlan::Fault fault;
  if (!take(words, fault.kind, fault.nth)) return "error: KIND NTH";
  if (!is_short && !take(words, fault.count, fault.error)) return "error: COUNT ERRNO";
  fault.name_part = take_name(words);
  fs.plan.add(std::move(fault));
  return "ok";
}

std::string cut(FaultFs& fs, Words& words) {
  std::uint64_t seed = 0;
  CutShape shape;
  if (!take(words, seed, shape.keep, shape.unit)) return "error: SEED KEEP UNIT";
  fs.plan.clear();
  const std::lock_guard lock(fs.mutex);
  fs.tree.cut_power(seed, shape);
  return "ok";
}

std::string count(const FaultFs& fs) {
  std::string line = "ok";
  for (const auto& [kind, number] : fs.plan.counts()) line += " " + kind + "=" + std::to_string(number);
  return line;
}

std::string load(Node& node, const std::string& path) {
  std::ifstream input(path, std::ios::binary);
  if (!input) return "error: cannot read " + path;
  constexpr std::size_t kChunkBytes = 1U << 16;
  std::vector<char> chunk(kChunkBytes);
  std::uint64_t offset = 0;
  node.file.forget_history();
  while (input.read(chunk.data(), kChunkBytes), input.gcount() > 0) {
    const auto bytes = std::as_bytes(std::span(chunk.data(), static_cast<std::size_t>(input.gcount())));
    const bool zeros = std::ranges::all_of(bytes, [](std::byte byte) { return byte == std::byte{0}; });
    if (!zeros) node.file.write(offset, bytes);
    offset += bytes.size();
  }
  node.file.resize(offset);
  return "ok";
}

/// Commands about one node.
std::string execute_on(Node& node, const std::string& command, Words& words) {
  if (command == "unsynced") return "ok " + std::to_string(node.file.unsynced_sectors());
  if (command == "load") return load(node, take_name(words));
  if (command == "record") {
    node.recorded = true;
    return "ok";
  }
  std::uint64_t number = 0;
  if (command != "evict" && !take(words, number)) return "error: a number is missing";
  if (command == "stream") {
    node.stream = static_cast<std::uint8_t>(number);
    return "ok";
  }
  if (command == "truncate") node.file.resize(number);
  return "ok";
}

std::string on_node(FaultFs& fs, const std::string& command, Words& words) {
  std::string name;
  if (!take(words, name)) return "error: NAME";
  std::string answer;
  std::uint64_t id = 0;
  {
    const std::lock_guard lock(fs.mutex);
    auto node = fs.tree.find_name(name);
    // Files for recording can be made by the channel: nobody has opened them yet.
    const bool makes = command == "load" || command == "stream";
    if (node == nullptr && makes) node = fs.tree.make(*fs.tree.root(), name, S_IFREG | 0600);
    if (node == nullptr) return "error: no file " + name;
    answer = execute_on(*node, command, words);
    id = node->id;
  }
  // Without the mutex: the kernel waits for reads of the pages that it drops.
  if (command == "evict" || command == "truncate" || command == "load") {
    const int result = fuse_lowlevel_notify_inval_inode(fs.session, id, 0, 0);
    if (result != 0 && result != -ENOENT) return "error: notify " + std::to_string(result);
  }
  return answer;
}

}  // namespace

std::string execute(FaultFs& fs, const std::string& line) {
  Words words(line);
  std::string command;
  words >> command;
  std::uint64_t number = 0;
  if (command == "fail" || command == "short") return add_fault(fs, words, command == "short");
  if (command == "cut") return cut(fs, words);
  if (command == "count") return count(fs);
  if (command == "hold") {
    std::string kind;
    if (!take(words, kind)) return "error: KIND";
    fs.plan.hold(kind, take_name(words));
  } else if (command == "wait-held" && take(words, number)) {
    fs.plan.wait_held(number);
  } else if (command == "release") {
    fs.plan.release();
  } else if (command == "clear") {
    fs.plan.clear();
  } else if (command == "stop" && take(words, number)) {
    fs.plan.stop_after(number);
  } else if (command == "wipe") {
    fs.plan.clear();
    const std::lock_guard lock(fs.mutex);
    fs.tree.wipe();
  } else if (command == "log") {
    const std::lock_guard lock(fs.mutex);
    if (!fs.log.open(take_name(words))) return "error: cannot open the log";
  } else if (command == "log-end") {
    const std::lock_guard lock(fs.mutex);
    fs.log.close();
  } else if (command == "unsynced" || command == "truncate" || command == "evict" || command == "load" ||
             command == "record" || command == "stream") {
    return on_node(fs, command, words);
  } else {
    return "error: what is '" + line + "'?";
  }
  return "ok";
}

}  // namespace vectolith::crash
