/// @file
/// Reads /proc, /sys and stat; forks children whose memory or death is what is measured.
#include "support/machine_counters.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <string>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vectolith/format/file_name.h>

#include "support/bench_setup.h"

namespace vectolith::bench {
namespace {

constexpr std::uint64_t kSectorBytes = 512;  // In /sys/…/stat and st_blocks, whatever the device's own.

/// The number that follows `label` in a file of /proc.
std::uint64_t number_in(const std::string& path, std::string_view label) {
  std::ifstream file(path);
  for (std::string word; file >> word;) {
    std::uint64_t number = 0;
    if (word == label && file >> number) return number;
  }
  die(path, "lacks " + std::string(label));
}

pid_t fork_or_die() {
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) die("fork", std::strerror(errno));
  return child;
}

int wait_for(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) die("waitpid", std::strerror(errno));
  }
  return status;
}

}  // namespace

std::uint64_t rss_anon_bytes(pid_t process) {
  return number_in("/proc/" + std::to_string(process) + "/status", "RssAnon:") * 1024;
}

ProcessIoBytes process_io_bytes(pid_t process) {
  const std::string path = "/proc/" + std::to_string(process) + "/io";
  const auto bytes = [&](std::string_view label) {
    return static_cast<std::int64_t>(number_in(path, label));
  };
  return {.read = bytes("read_bytes:"), .written = bytes("write_bytes:") - bytes("cancelled_write_bytes:")};
}

double resident_share(std::span<const std::span<const std::byte>> ranges) {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  std::size_t pages = 0;
  std::size_t resident = 0;
  for (const auto range : ranges) {
    const auto first = reinterpret_cast<std::uintptr_t>(range.data()) / page * page;
    const auto bytes = reinterpret_cast<std::uintptr_t>(range.data() + range.size()) - first;
    std::vector<unsigned char> bits((bytes + page - 1) / page);
    must_be(::mincore(reinterpret_cast<void*>(first), bytes, bits.data()) == 0, "mincore knows the mapping");
    pages += bits.size();
    for (const auto bit : bits) resident += bit & 1U;
  }
  return pages == 0 ? 1.0 : static_cast<double>(resident) / static_cast<double>(pages);
}

std::uint64_t allocated_bytes(const std::filesystem::path& directory) {
  std::uint64_t bytes = 0;
  std::error_code absent;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory, absent)) {
    struct stat info{};
    if (::lstat(entry.path().c_str(), &info) == 0)
      bytes += static_cast<std::uint64_t>(info.st_blocks) * kSectorBytes;
  }
  return bytes;
}

std::uint64_t major_faults() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_majflt);
}

std::optional<DeviceBytes> device_bytes(const std::filesystem::path& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return std::nullopt;
  std::ifstream file("/sys/dev/block/" + std::to_string(major(info.st_dev)) + ":" +
                     std::to_string(minor(info.st_dev)) + "/stat");
  std::array<std::uint64_t, 7> fields{};
  for (auto& field : fields) {
    if (!(file >> field)) return std::nullopt;
  }
  return DeviceBytes{.read = fields[2] * kSectorBytes, .written = fields[6] * kSectorBytes};
}

StoreBlocks store_blocks(const std::filesystem::path& directory) {
  StoreBlocks blocks;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    struct stat info{};
    if (::lstat(entry.path().c_str(), &info) != 0) continue;
    const auto name = format::parse_name(entry.path().filename().string());
    const bool pool = name.has_value() && name->kind == format::ParsedName::Kind::kPool;
    (pool ? blocks.pool_bytes : blocks.store_bytes) +=
        static_cast<std::uint64_t>(info.st_blocks) * kSectorBytes;
  }
  return blocks;
}

void drop_cached_files(const std::filesystem::path& directory) {
  // Dirty pages cannot be dropped.
  const int root = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  must_be(root >= 0 && ::syncfs(root) == 0, "the file system is synced");
  ::close(root);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    if (!entry.is_regular_file()) continue;
    const int fd = ::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) continue;
    ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    ::close(fd);
  }
}

bool drop_system_caches() {
  ::sync();
  std::ofstream file("/proc/sys/vm/drop_caches");
  return static_cast<bool>(file << "3" << std::flush);
}

std::vector<double> in_child(const std::function<std::vector<double>()>& work) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) die("pipe", std::strerror(errno));
  const pid_t child = fork_or_die();
  if (child == 0) {
    const auto numbers = work();
    const auto bytes = numbers.size() * sizeof(double);
    const bool told = ::write(ends[1], numbers.data(), bytes) == static_cast<ssize_t>(bytes);
    ::_exit(told ? EXIT_SUCCESS : EXIT_FAILURE);
  }
  ::close(ends[1]);
  std::vector<double> numbers;
  for (double number = 0; ::read(ends[0], &number, sizeof number) == sizeof number;)
    numbers.push_back(number);
  ::close(ends[0]);
  const int status = wait_for(child);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_SUCCESS) die("child process", "failed");
  return numbers;
}

void in_killed_child(const std::function<void()>& work) {
  const pid_t child = fork_or_die();
  if (child == 0) {
    work();
    ::raise(SIGKILL);
    ::_exit(EXIT_FAILURE);
  }
  const int status = wait_for(child);
  if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) die("child process", "ended before its kill");
}

}  // namespace vectolith::bench
