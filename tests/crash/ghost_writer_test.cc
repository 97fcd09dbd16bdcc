/// @file
/// Writes of a dead process that land after its successor has opened the store.
///
/// The story, measured on Linux 6.18: a process was killed with a write in flight on a slow device. It was
/// reaped in 2 ms and its lock on LOCK was free, a second process opened the store, and 2.7 s later the dead
/// process's write landed in a file that the second had already judged. Only a lock on the data file itself
/// outlives the process: the kernel holds the open file until the write is done.
///
/// Here the device is fault_fs, which holds the write until the test lets it go. The bytes of the late write
/// are what the engine itself wrote in its last operation; that operation was never acknowledged.
#include <csignal>
#include <functional>

#include <fcntl.h>
#include <liburing.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vectolith/format/manifest.h>
#include <vectolith/verify.h>

#include "engine/store/store_fixture.h"
#include "support/fault_environment.h"
#include "test_mounts.h"

namespace vectolith::testing {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBlock = 4096;
constexpr std::uint64_t kRows = 8;

/// The descriptor of this process that the engine itself opened for a file, and so locked.
int engine_descriptor(const fs::path& file) {
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const int fd = std::stoi(entry.path().filename());
    const bool writable = (::fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR;
    if (writable && fs::read_symlink(entry.path(), gone) == file) return fd;
  }
  return -1;
}

/// Starts a write past the page cache on the ring and does not wait for it.
bool start_write(io_uring& ring, int fd, void* block, std::uint64_t offset) {
  if (::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_DIRECT) != 0) return false;
  io_uring_sqe* entry = io_uring_get_sqe(&ring);
  io_uring_prep_write(entry, fd, block, kBlock, offset);
  return io_uring_submit(&ring) == 1;
}

/// What a process does before it is killed, in that process.
class Predecessor {
 public:
  Predecessor(const std::string& store_path, const Options& options) : path_(store_path) {
    auto opened = Store::open(path_, options);
    if (!opened.has_value()) ::_exit(10);
    store_ = *std::move(opened);
    auto made = store_->family("f", small_spec(kDim));
    if (!made.has_value()) ::_exit(11);
    family_.emplace(*made);
    for (std::uint64_t number = 0; number < kRows; ++number) put(number, Durability::kDurable);
  }

  void put(std::uint64_t number, Durability level) {
    const auto vector = vector_of(number);
    if (!family_->put(key_of(number), std::span<const float>(vector), {.durability = level})) ::_exit(12);
  }
  Store& store() { return *store_; }
  Family& family() { return *family_; }

  /// Does `last`, takes its bytes in `file` off the disk again, and starts to write one block of them anew.
  void start_late_write(const std::string& file, const std::function<void()>& last) {
    const std::string path = path_ + "/" + file;
    const auto before = read_file(path);
    last();
    const auto after = read_file(path);
    std::size_t at = 0;
    while (at < after.size() && std::equal(&before[at], &before[at] + kBlock, &after[at])) at += kBlock;
    if (at >= after.size()) ::_exit(13);
    const int other = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (::pwrite(other, before.data(), before.size(), 0) != static_cast<ssize_t>(before.size())) ::_exit(14);
    start_write_of(file, at, &after[at]);
  }

  /// Commits until the manifest switches to its other file, takes back what the switch writes from `stage`
  /// on, and starts to write the first block of that anew.
  enum class SwitchStage : std::uint8_t { kSnapshot, kHeader };
  void start_late_switch(SwitchStage stage) {
    const std::string path = path_ + "/MANIFEST-1";
    const int other = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    auto then = read_file(path);
    std::vector<std::byte> head(kBlock);
    for (int i = 0; std::equal(head.begin(), head.end(), then.begin()); ++i) {
      if (!intern_long_name(i) || ::pread(other, head.data(), kBlock, 0) != kBlock) ::_exit(18);
    }
    const auto header = format::decode_manifest_header(head);
    if (!header.has_value()) ::_exit(19);
    const auto after = read_file(path);
    then.resize(after.size());
    if (stage == SwitchStage::kHeader) std::copy_n(&after[kBlock], header->snapshot_bytes, &then[kBlock]);
    if (::pwrite(other, then.data(), then.size(), 0) != static_cast<ssize_t>(then.size())) ::_exit(14);
    const std::size_t at = stage == SwitchStage::kHeader ? 0 : kBlock;
    start_write_of("MANIFEST-1", at, &after[at]);
  }
  /// A commit of the manifest; about a thousand fill it.
  bool intern_long_name(int number) {
    return store_->intern_scope("scope-" + std::to_string(number) + std::string(200, '.')).has_value();
  }

  /// Starts to write a block into a file that the engine has open.
  void start_write_of(const std::string& file, std::uint64_t offset, const std::byte* bytes) {
    start_write_to(engine_descriptor(path_ + "/" + file), offset, bytes);
  }
  static void start_write_to(int fd, std::uint64_t offset, const std::byte* bytes) {
    void* block = ::aligned_alloc(kBlock, kBlock);
    std::copy_n(bytes, kBlock, static_cast<std::byte*>(block));
    static io_uring ring;
    if (io_uring_queue_init(4, &ring, 0) != 0) ::_exit(15);
    if (!start_write(ring, fd, block, offset)) ::_exit(16);
  }

 private:
  std::string path_;
  std::unique_ptr<Store> store_;
  std::optional<Family> family_;
};

/// Has no threads of the engine's own, so that nobody but the test writes: a witness for the journal, say.
class QuietEnvironment final : public FaultEnvironment {
 public:
  using FaultEnvironment::FaultEnvironment;
  std::unique_ptr<engine::Worker> start_worker(std::string_view,
                                               std::function<std::chrono::nanoseconds()>) override {
    class Idle final : public engine::Worker {
      void notify() noexcept override {}
    };
    return std::make_unique<Idle>();
  }
};

class GhostWriter : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto reason = enter_private_mounts(); !reason.empty()) GTEST_SKIP() << "SKIPPED: " << reason;
    io_uring ring;
    if (io_uring_queue_init(1, &ring, 0) != 0) GTEST_SKIP() << "SKIPPED: io_uring is refused here";
    io_uring_queue_exit(&ring);
    disk_ = std::make_unique<FaultDisk>(directory_.path());
    if (!disk_->missing().empty()) GTEST_SKIP() << "SKIPPED: " << disk_->missing();
    path_ = (disk_->path() / "store").string();
  }

  Options options() {
    Options options;
    options.create_if_missing = true;
    options.environment = test_environment();
    options.segment_bytes_initial = options.segment_bytes_target = 64U << 10;
    options.lock_timeout = std::chrono::milliseconds(0);
    return options;
  }

  /// Runs `life` in a process that has the store open and kills it once a write, which `life` starts, waits
  /// in the device because of `hold`. Returns the process, not reaped.
  pid_t kill_in_write(const std::string& hold, const std::function<void(Predecessor&)>& life) {
    int told[2];
    int go[2];
    EXPECT_EQ(::pipe2(told, O_CLOEXEC) | ::pipe2(go, O_CLOEXEC), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      Options with = options();
      if (is_quiet_) with.environment = std::make_shared<QuietEnvironment>(with.environment);
      Predecessor predecessor(path_, with);
      char byte = 0;
      if (::write(told[1], &byte, 1) != 1 || ::read(go[0], &byte, 1) != 1) ::_exit(17);
      life(predecessor);
      for (;;) ::pause();
    }
    char byte = 0;
    ::close(told[1]);
    EXPECT_EQ(::read(told[0], &byte, 1), 1) << "the predecessor ended by itself";
    disk_->tell("hold " + hold);
    EXPECT_EQ(::write(go[1], &byte, 1), 1);
    disk_->tell("wait-held 1");
    EXPECT_EQ(::kill(child, SIGKILL), 0);
    for (const int fd : {told[0], go[0], go[1]}) ::close(fd);
    return child;
  }

  /// The same with a write past the page cache, which the kernel goes on with alone: returns when the process
  /// is reaped.
  void kill_with_write_in_flight(const std::string& file, const std::function<void(Predecessor&)>& life) {
    const pid_t child = kill_in_write("direct-write " + file, life);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "exit " << WEXITSTATUS(status);
  }

  Result<std::unique_ptr<Store>> open(const Options& with) { return Store::open(path_, with); }

  void expect_refused(const std::string& file) {
    const auto opened = open(options());
    ASSERT_FALSE(opened.has_value()) << "a write into " << file << " is still in flight";
    EXPECT_EQ(opened.error().code(), ErrorCode::kLocked) << opened.error().to_string();
    EXPECT_NE(opened.error().to_string().find(file), std::string::npos) << opened.error().to_string();
  }

  /// Lets the late write land, and then nothing may be lost or mixed.
  void land_and_expect_all(std::uint64_t maybe) {
    disk_->tell("release");
    Options with = options();
    with.lock_timeout = std::chrono::minutes(10);
    for (int life = 0; life < 2; ++life) {
      auto opened = open(with);
      ASSERT_TRUE(opened.has_value()) << opened.error().to_string();
      auto family = (*opened)->family("f");
      ASSERT_TRUE(family.has_value()) << family.error().to_string();
      for (std::uint64_t number = 0; number < kRows; ++number) {
        const auto got = family->get(key_of(number));
        ASSERT_TRUE(got.has_value()) << got.error().to_string();
        ASSERT_TRUE(got->has_value()) << "durable row " << number << " is lost";
        EXPECT_TRUE(same_bytes(***got, vector_of(number)));
      }
      const auto last = family->get(key_of(maybe));
      ASSERT_TRUE(last.has_value()) << last.error().to_string();
      if (last->has_value()) {
        EXPECT_TRUE(same_bytes(***last, vector_of(maybe)));
      }
      const auto fresh = vector_of(100);
      ASSERT_TRUE(family->put(key_of(100), std::span<const float>(fresh)).has_value());
      ASSERT_TRUE((*opened)->close().has_value());
    }
    const auto report = fsck(path_);
    ASSERT_TRUE(report.has_value()) << report.error().to_string();
    EXPECT_TRUE(report->clean()) << report->findings.front().what << " in " << report->findings.front().file;
  }

  TempDirectory directory_;
  std::unique_ptr<FaultDisk> disk_;
  std::string path_;
  bool is_quiet_ = false;  ///< The predecessor works on the calling thread alone.
};

TEST_F(GhostWriter, IntoTheActiveSegmentKeepsASuccessorOutUntilItHasLanded) {
  const std::string file = "0000000000000001.vls";
  kill_with_write_in_flight(file, [&](Predecessor& life) {
    life.start_late_write(file, [&] { life.put(kRows, Durability::kBuffered); });
  });
  expect_refused(file);
  land_and_expect_all(kRows);
}

// What the engine itself does is a write through the page cache, and there the kernel does not let the
// process go: it stays, killed and with all its locks, until the write is done.
TEST_F(GhostWriter, ThroughThePageCacheKeepsTheDeadProcessAndSoASuccessorOut) {
  const std::string file = "0000000000000001.vls";
  const pid_t child =
      kill_in_write("write " + file, [&](Predecessor& life) { life.put(kRows, Durability::kBuffered); });
  expect_refused("LOCK");
  disk_->tell("release");
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status));
  land_and_expect_all(kRows);
}

TEST_F(GhostWriter, WithABarrierInFlightKeepsASuccessorOutUntilItIsOver) {
  const std::string file = "0000000000000001.vls";
  const pid_t child =
      kill_in_write("fsync " + file, [&](Predecessor& life) { life.put(kRows, Durability::kDurable); });
  expect_refused("");  // By LOCK or by the segment: on the ring it may outlive the process.
  disk_->tell("release");
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  land_and_expect_all(kRows);
}

TEST_F(GhostWriter, IntoTheJournalKeepsASuccessorOutUntilItHasLanded) {
  is_quiet_ = true;
  const std::string file = "0000000000000001.vlj";
  kill_with_write_in_flight(file, [&](Predecessor& life) {
    life.start_late_write(file, [&] {
      life.put(kRows, Durability::kDurable);
      if (!life.family().erase(key_of(kRows)).has_value()) ::_exit(18);
    });
  });
  expect_refused(file);
  land_and_expect_all(kRows);
}

TEST_F(GhostWriter, IntoTheManifestKeepsASuccessorOutUntilItHasLanded) {
  is_quiet_ = true;
  const std::string file = "MANIFEST-0";
  kill_with_write_in_flight(file, [&](Predecessor& life) {
    life.start_late_write(file, [&] {
      // An edit of the structure; one of the two files takes it, and a switch goes to the other.
      for (int i = 0; i < 200; ++i) {
        if (!life.store().intern_scope("scope-" + std::to_string(i)).has_value()) ::_exit(18);
      }
    });
  });
  expect_refused(file);
  land_and_expect_all(kRows);
}

// The story: the manifest is full and goes on in the other file: a snapshot, a barrier, and the header that
// makes it count. The process dies in the middle, and a successor that judges the other file too early would
// see it change under its hands, or would switch into it at the same time.
TEST_F(GhostWriter, WithAManifestSwitchUnderWayKeepsASuccessorOutUntilItHasLanded) {
  is_quiet_ = true;
  for (const auto stage : {Predecessor::SwitchStage::kSnapshot, Predecessor::SwitchStage::kHeader}) {
    kill_with_write_in_flight("MANIFEST-1", [&](Predecessor& life) { life.start_late_switch(stage); });
    expect_refused("MANIFEST-1");
    land_and_expect_all(kRows);
    fs::remove_all(path_);
  }
}

TEST_F(GhostWriter, WithASwitchThroughThePageCacheKeepsTheDeadProcessAndSoASuccessorOut) {
  const pid_t child = kill_in_write("write MANIFEST-1", [&](Predecessor& life) {
    for (int i = 0;; ++i)
      (void)life.store().intern_scope("scope-" + std::to_string(i) + std::string(200, '.'));
  });
  expect_refused("LOCK");
  disk_->tell("release");
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status));
  land_and_expect_all(kRows);
}

TEST_F(GhostWriter, IntoAPreparedSegmentKeepsASuccessorOutUntilItHasLanded) {
  const std::string file = "0000000000000002.vls";
  kill_with_write_in_flight(file, [&](Predecessor& life) {
    // It is made in the background when its predecessor is half full.
    std::uint64_t number = kRows;
    const auto prepared = [&] { return life.store().stats().pool_bytes > 0; };
    while (number < 120 && !prepared()) life.put(number++, Durability::kDurable);
    while (!prepared()) ::sched_yield();
    // It is filled with zeros before it is used.
    const std::vector<std::byte> zeros(kBlock);
    life.start_write_of(file, kBlock, zeros.data());
  });
  expect_refused(file);
  land_and_expect_all(kRows);
}

TEST_F(GhostWriter, IntoAFileThatNoManifestNamesHasItSetAsideAndNotRemoved) {
  const std::string orphan = "0000000000000077.vls";
  kill_with_write_in_flight(orphan, [&](Predecessor& life) {
    // As if it had died between making the file and naming it.
    life.put(kRows, Durability::kDurable);
    const auto bytes = read_file(path_ + "/0000000000000001.vls");
    write_file(path_ + "/" + orphan, bytes);
    const int fd = ::open((path_ + "/" + orphan).c_str(), O_RDWR | O_CLOEXEC);
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) ::_exit(18);
    Predecessor::start_write_to(fd, kBlock, &bytes[kBlock]);
  });
  {
    const auto opened = open(options());
    ASSERT_TRUE(opened.has_value()) << opened.error().to_string();
    EXPECT_FALSE(fs::exists(path_ + "/" + orphan));
    EXPECT_TRUE(fs::exists(path_ + "/orphan-" + orphan)) << "a write into it is still in flight";
  }
  ASSERT_TRUE(open(options()).has_value());
  EXPECT_TRUE(fs::exists(path_ + "/orphan-" + orphan)) << "still";

  disk_->tell("release");
  const int fd = ::open((path_ + "/orphan-" + orphan).c_str(), O_RDWR | O_CLOEXEC);
  EXPECT_EQ(::flock(fd, LOCK_EX), 0) << "it comes free when the write has landed";
  ::close(fd);
  land_and_expect_all(kRows);
  EXPECT_FALSE(fs::exists(path_ + "/orphan-" + orphan)) << "nothing is in flight any more, and it has no use";
}

}  // namespace
}  // namespace vectolith::testing
