/// @file
/// Something else than a regular file under a name of ours is an error, for opening and for fsck, and is not
/// touched.
#include <array>
#include <cstring>
#include <filesystem>
#include <string>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <vectolith/format/file_name.h>
#include <vectolith/verify.h>

#include "engine/store/store_fixture.h"

namespace vectolith::testing {
namespace {

enum class Strange : std::uint8_t { kFolder, kFifo, kSymlink, kDanglingSymlink, kSocket, kDevice };
constexpr std::array kStrange = {Strange::kFolder,          Strange::kFifo,   Strange::kSymlink,
                                 Strange::kDanglingSymlink, Strange::kSocket, Strange::kDevice};

/// False also where the path is too long for an address.
bool make_socket(const std::string& path) {
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return false;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const bool bound = ::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  ::close(socket);
  return bound;
}

/// False where this user may not make one. A symlink leads to `elsewhere`, where the real file was moved.
bool make(Strange kind, const std::string& path, const std::string& elsewhere) {
  switch (kind) {
    case Strange::kFolder: return std::filesystem::create_directory(path);
    case Strange::kFifo: return ::mkfifo(path.c_str(), 0600) == 0;
    case Strange::kSymlink: return ::symlink(elsewhere.c_str(), path.c_str()) == 0;
    case Strange::kDanglingSymlink: return ::symlink((elsewhere + "-none").c_str(), path.c_str()) == 0;
    case Strange::kSocket: return make_socket(path);
    case Strange::kDevice: return ::mknod(path.c_str(), S_IFCHR | 0600, ::makedev(1, 3)) == 0;  // /dev/null
  }
  return false;
}

mode_t type_of(const std::string& path) {
  struct stat status{};
  EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path;
  return status.st_mode & S_IFMT;
}

class StrangeFilesTest : public StoreTest {
 protected:
  /// A closed store with a sealed and a resumable segment.
  void make_store() {
    auto with = options();
    with.segment_bytes_initial = with.segment_bytes_target = 65'536;
    open(with);
    auto f = family();
    for (std::uint64_t number = 1; number <= 400; ++number) put(f, number);
    close();
  }

  /// The store with `kind` under `name` refuses to open or serves all the same, and leaves the thing alone.
  void check(const std::string& name, Strange kind) {
    const TempDirectory copy;
    const TempDirectory away;
    copy_files(directory_.path(), copy.path());
    std::filesystem::copy_file(copy.file(name), away.file(name));
    std::filesystem::remove(copy.file(name));
    if (!make(kind, copy.file(name), away.file(name))) return;
    const mode_t type = type_of(copy.file(name));
    const auto before = read_file(away.file(name));
    for (const bool read_only : {true, false}) {
      auto with = options();
      with.read_only = read_only;
      with.create_if_missing = !read_only;
      const auto opened = Store::open(copy.path(), with);
      const bool needed = !(read_only && name == format::kLockName);  // A reader takes no lock.
      EXPECT_EQ(opened.has_value(), !needed) << name;
    }
    const auto report = fsck(copy.path(), {.on_progress = {}, .environment = environment_, .online = false});
    EXPECT_TRUE(!report.has_value() || !report->clean()) << name;
    EXPECT_EQ(type_of(copy.file(name)), type) << name << " was replaced";
    EXPECT_EQ(read_file(away.file(name)), before) << name << ": a symlink was followed";
    EXPECT_FALSE(std::filesystem::exists(away.file(name) + "-none")) << name << ": a symlink was followed";
  }
};

TEST_F(StrangeFilesTest, AreErrorsUnderEveryNameOfOursAndAreLeftAlone) {
  make_store();
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory_.path()))
    names.push_back(entry.path().filename());
  ASSERT_GE(names.size(), 7U) << "superblock, lock, two manifests, journal, two segments";
  for (const auto& name : names) {
    for (const auto kind : kStrange) {
      SCOPED_TRACE(name + ", kind " + std::to_string(static_cast<int>(kind)));
      check(name, kind);
    }
  }
}

}  // namespace
}  // namespace vectolith::testing
