/// @file
/// Names stay beneath their directory, symlinks and odd files are refused, changes are made durable.
#include <algorithm>
#include <cerrno>
#include <filesystem>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io_test_support.h"

namespace vectolith::engine::testing {
namespace {

class PosixDirectoryTest : public ::testing::Test {
 protected:
  ErrorCode open_error(std::string_view name, OpenMode mode = OpenMode::kReadOnly) {
    const auto file = directory_->open(name, mode);
    EXPECT_FALSE(file.has_value()) << name;
    return file.has_value() ? ErrorCode::kInternal : file.error().code();
  }

  TempDirectory scratch_;
  std::unique_ptr<Environment> environment_ = must(make_environment(BackendChoice::kSync));
  std::unique_ptr<Directory> directory_ = must(environment_->open_directory(scratch_.path(), false));
};

mode_t mode_of(const std::string& path) {
  struct stat status{};
  EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
  return status.st_mode & 07777U;
}

TEST_F(PosixDirectoryTest, TheFourModesOpenAndCreateAsTheySay) {
  EXPECT_EQ(open_error("f"), ErrorCode::kNotFound);
  EXPECT_EQ(open_error("f", OpenMode::kReadWrite), ErrorCode::kNotFound);
  must(directory_->open("f", OpenMode::kCreateNew));
  EXPECT_EQ(mode_of(scratch_.file("f")), 0600U);
  EXPECT_EQ(open_error("f", OpenMode::kCreateNew), ErrorCode::kExists);
  must(directory_->open("f", OpenMode::kOpenOrCreate));
  must(directory_->open("g", OpenMode::kOpenOrCreate));
  must(must(directory_->open("g", OpenMode::kReadWrite))->write_at(0, std::vector<std::byte>(1)));
  EXPECT_EQ(must(must(directory_->open("g", OpenMode::kReadOnly))->size()), 1U);
}

TEST_F(PosixDirectoryTest, ANameIsOnePlainComponent) {
  using namespace std::string_view_literals;
  for (const auto name : {""sv, "."sv, ".."sv, "/etc/passwd"sv, "a/b"sv, "../x"sv, "x/"sv, "a\0b"sv}) {
    EXPECT_EQ(open_error(name, OpenMode::kOpenOrCreate), ErrorCode::kInvalidArgument);
    EXPECT_FALSE(directory_->unlink(name).has_value());
    EXPECT_FALSE(directory_->rename(name, "y").has_value());
    EXPECT_FALSE(directory_->rename("y", name).has_value());
  }
}

void refuses_what_is_no_regular_file(Directory& directory, const TempDirectory& scratch) {
  std::filesystem::create_symlink(scratch.file("target"), scratch.file("link"));
  std::filesystem::create_symlink("nowhere", scratch.file("dangling"));
  std::filesystem::create_directory(scratch.file("folder"));
  ASSERT_EQ(::mkfifo(scratch.file("fifo").c_str(), 0600), 0);
  must(directory.open("target", OpenMode::kCreateNew));
  for (const char* name : {"link", "dangling", "folder", "fifo"}) {
    for (const auto mode : {OpenMode::kReadOnly, OpenMode::kReadWrite, OpenMode::kOpenOrCreate}) {
      const auto file = directory.open(name, mode);
      ASSERT_FALSE(file.has_value()) << name;
      EXPECT_EQ(file.error().code(), ErrorCode::kInvalidArgument) << file.error().to_string();
      EXPECT_EQ(file.error().file(), scratch.file(name));
    }
  }
  EXPECT_FALSE(std::filesystem::exists(scratch.file("nowhere"))) << "a symlink was followed";
}

TEST_F(PosixDirectoryTest, SymlinksFoldersAndFifosAreNoFiles) {
  refuses_what_is_no_regular_file(*directory_, scratch_);
}

TEST_F(PosixDirectoryTest, TheSameIsRefusedWhereOpenat2IsMissing) {
  for (const int error : {ENOSYS, EPERM}) {
    const TempDirectory scratch;
    run_in_child([&] {
      const auto directory = must(environment_->open_directory(scratch.path(), false));
      inject_system_calls({{SYS_openat2, {.results = {}, .afterwards = -error}}});
      refuses_what_is_no_regular_file(*directory, scratch);
      EXPECT_GT(injected_calls(SYS_openat2), 0);
    });
  }
}

TEST_F(PosixDirectoryTest, ListRenameAndUnlinkShowTheSameNames) {
  for (const char* name : {"a", "b", "c"}) must(directory_->open(name, OpenMode::kCreateNew));
  must(directory_->rename("a", "d"));
  must(directory_->rename("b", "c"));
  must(directory_->unlink("d"));
  EXPECT_EQ(must(directory_->list()), std::vector<std::string>{"c"});
  EXPECT_EQ(must(directory_->list()), std::vector<std::string>{"c"}) << "the second list starts at the end";
  EXPECT_EQ(directory_->unlink("d").error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(directory_->rename("d", "e").error().code(), ErrorCode::kNotFound);
}

TEST_F(PosixDirectoryTest, ALargeDirectoryIsListedWhole) {
  std::vector<std::string> names;
  for (int i = 0; i < 2000; ++i) names.push_back("file-with-a-long-name-" + std::to_string(i));
  for (const auto& name : names) must(directory_->open(name, OpenMode::kCreateNew));
  auto found = must(directory_->list());
  std::ranges::sort(found);
  std::ranges::sort(names);
  EXPECT_EQ(found, names);
}

TEST_F(PosixDirectoryTest, ADirectoryIsOpenedOrCreatedAndOtherThingsAreErrors) {
  EXPECT_EQ(environment_->open_directory(scratch_.file("new"), false).error().code(), ErrorCode::kNotFound);
  const auto before = environment_->counters().directory_syncs;
  must(environment_->open_directory(scratch_.file("new"), true));
  EXPECT_EQ(environment_->counters().directory_syncs, before + 1)
      << "the new name is not durable in its parent";
  EXPECT_EQ(mode_of(scratch_.file("new")), 0700U);
  must(environment_->open_directory(scratch_.file("new") + "/", true));
  EXPECT_EQ(environment_->open_directory(scratch_.file("no/parent"), true).error().code(),
            ErrorCode::kNotFound);
  must(directory_->open("file", OpenMode::kCreateNew));
  for (const bool create : {false, true}) {
    EXPECT_EQ(environment_->open_directory(scratch_.file("file"), create).error().code(),
              ErrorCode::kInvalidArgument);
  }
  EXPECT_EQ(environment_->open_directory("", true).error().code(), ErrorCode::kInvalidArgument);
}

TEST_F(PosixDirectoryTest, FilesAreTheOwnersAloneWhateverTheUmask) {
  // In a child: a umask belongs to the whole process.
  for (const mode_t mask : {mode_t{0}, mode_t{022}, mode_t{0277}, mode_t{0777}}) {
    run_in_child([&] {
      ::umask(mask);
      const std::string folder = scratch_.file("made-" + std::to_string(mask));
      const auto directory = must(environment_->open_directory(folder, true));
      EXPECT_EQ(mode_of(folder), 0700U) << "umask " << mask;
      must(directory->open("new", OpenMode::kCreateNew));
      must(directory->open("either", OpenMode::kOpenOrCreate));
      EXPECT_EQ(mode_of(folder + "/new"), 0600U) << "umask " << mask;
      EXPECT_EQ(mode_of(folder + "/either"), 0600U) << "umask " << mask;
      must(directory->open("either", OpenMode::kOpenOrCreate));
    });
  }
}

TEST_F(PosixDirectoryTest, DescriptorsDoNotPassOnToOtherPrograms) {
  const auto file = must(directory_->open("f", OpenMode::kCreateNew));
  std::size_t ours = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const auto target = std::filesystem::read_symlink(entry.path(), gone).string();
    if (gone || !target.starts_with(scratch_.path())) continue;
    ++ours;
    const int flags = ::fcntl(std::stoi(entry.path().filename()), F_GETFD);
    EXPECT_EQ(flags & FD_CLOEXEC, FD_CLOEXEC) << target;
  }
  EXPECT_EQ(ours, 2U) << "the directory and the file";
}

TEST_F(PosixDirectoryTest, SyncIsCountedAndFreeBytesAreThere) {
  const auto before = environment_->counters().directory_syncs;
  must(directory_->sync());
  EXPECT_EQ(environment_->counters().directory_syncs, before + 1);
  EXPECT_GT(must(directory_->free_bytes()), 0U);
}

TEST_F(PosixDirectoryTest, AFailedSyncOfADirectoryIsAnError) {
  run_in_child([&] {
    inject_system_calls({{SYS_fsync, {.results = {-EIO}}}});
    const auto result = directory_->sync();
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().system_errno(), EIO);
    EXPECT_EQ(injected_calls(SYS_fsync), 1);
  });
}

}  // namespace
}  // namespace vectolith::engine::testing
