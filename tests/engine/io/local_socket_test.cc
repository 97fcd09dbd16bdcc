/// @file
/// Sockets carry whole messages, wake their waiters, and never answer a stranger or steal a live name.
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <future>
#include <thread>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io_test_support.h"

namespace vectolith::engine::testing {
namespace {

class LocalSocketTest : public ::testing::Test {
 protected:
  struct Pair {
    std::unique_ptr<Connection> client;
    std::unique_ptr<Connection> server;
  };
  /// The backlog holds the connection until it is accepted, so one thread can make both ends.
  Pair make_pair(Listener& listener) {
    Pair pair;
    pair.client = must(environment_->connect(*directory_, "s"));
    pair.server = must(listener.accept());
    return pair;
  }
  ErrorCode connect_error(std::string_view name) {
    const auto connection = environment_->connect(*directory_, name);
    EXPECT_FALSE(connection.has_value());
    return connection.has_value() ? ErrorCode::kInternal : connection.error().code();
  }

  TempDirectory scratch_;
  std::unique_ptr<Environment> environment_ = must(make_environment(BackendChoice::kSync));
  std::unique_ptr<Directory> directory_ = must(environment_->open_directory(scratch_.path(), false));
};

TEST_F(LocalSocketTest, AMessageOfAnySizeArrivesWhole) {
  std::mt19937_64 generator(vectolith::testing::random_seed());
  const auto listener = must(environment_->listen(*directory_, "s"));
  const auto pair = make_pair(*listener);
  const auto message = random_bytes(generator, 3'000'000);
  std::vector<std::byte> found(message.size());
  std::thread writer([&] { must(pair.client->write_all(message)); });
  must(pair.server->read_exact(found));
  writer.join();
  EXPECT_EQ(found, message);
}

TEST_F(LocalSocketTest, TheSocketIsForItsOwnerOnlyAndGoesWithItsListener) {
  auto listener = must(environment_->listen(*directory_, "s"));
  struct stat status{};
  ASSERT_EQ(::stat(scratch_.file("s").c_str(), &status), 0);
  EXPECT_TRUE(S_ISSOCK(status.st_mode));
  EXPECT_EQ(status.st_mode & 07777U, 0600U);
  listener.reset();
  EXPECT_FALSE(std::filesystem::exists(scratch_.file("s")));
}

TEST_F(LocalSocketTest, APathOfAnyLengthWorks) {
  std::string path = scratch_.path();
  while (path.size() < 600) {
    path += "/a-directory-with-quite-a-long-name";
    must(environment_->open_directory(path, true));
  }
  const auto deep = must(environment_->open_directory(path, false));
  const auto listener = must(environment_->listen(*deep, "control.socket"));
  must(environment_->connect(*deep, "control.socket"));
  must(listener->accept());
  EXPECT_EQ(environment_->listen(*deep, std::string(100, 'x')).error().code(), ErrorCode::kInvalidArgument);
}

TEST_F(LocalSocketTest, ConnectingToNobodyIsNotFound) {
  EXPECT_EQ(connect_error("s"), ErrorCode::kNotFound);
  must(directory_->open("file", OpenMode::kCreateNew));
  EXPECT_EQ(connect_error("file"), ErrorCode::kNotFound);
  EXPECT_EQ(connect_error("../s"), ErrorCode::kInvalidArgument);
}

TEST_F(LocalSocketTest, ASymlinkToASocketIsNotFollowed) {
  const auto listener = must(environment_->listen(*directory_, "s"));
  std::filesystem::create_symlink(scratch_.file("s"), scratch_.file("link"));
  EXPECT_EQ(connect_error("link"), ErrorCode::kNotFound);
}

TEST_F(LocalSocketTest, APeerThatClosedIsKClosed) {
  const auto listener = must(environment_->listen(*directory_, "s"));
  auto pair = make_pair(*listener);
  must(pair.client->write_all(std::vector<std::byte>(3)));
  pair.client.reset();
  std::array<std::byte, 4> bytes{};
  EXPECT_EQ(pair.server->read_exact(bytes).error().code(), ErrorCode::kClosed);
  // Without MSG_NOSIGNAL this would kill the process by SIGPIPE.
  EXPECT_EQ(pair.server->write_all(bytes).error().code(), ErrorCode::kClosed);
}

TEST_F(LocalSocketTest, ShutdownWakesABlockedReaderAndEndsTheConnection) {
  const auto listener = must(environment_->listen(*directory_, "s"));
  const auto pair = make_pair(*listener);
  must(pair.client->write_all(std::vector<std::byte>(3)));
  std::array<std::byte, 4> bytes{};
  auto reader = std::async(std::launch::async, [&] { return pair.server->read_exact(bytes); });
  pair.server->shutdown();
  EXPECT_EQ(reader.get().error().code(), ErrorCode::kClosed);
  EXPECT_EQ(pair.server->read_exact(std::span(bytes).first(1)).error().code(), ErrorCode::kClosed)
      << "bytes that had come before";
  EXPECT_EQ(pair.server->write_all(bytes).error().code(), ErrorCode::kClosed);
}

TEST_F(LocalSocketTest, ShutdownWakesABlockedAcceptAndRefusesNewConnections) {
  const auto listener = must(environment_->listen(*directory_, "s"));
  auto acceptor = std::async(std::launch::async, [&] { return listener->accept(); });
  listener->shutdown();
  EXPECT_EQ(acceptor.get().error().code(), ErrorCode::kClosed);
  EXPECT_EQ(listener->accept().error().code(), ErrorCode::kClosed);
  EXPECT_EQ(connect_error("s"), ErrorCode::kNotFound);
}

TEST_F(LocalSocketTest, ALiveListenerIsNotReplaced) {
  const auto listener = must(environment_->listen(*directory_, "s"));
  const auto second = environment_->listen(*directory_, "s");
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code(), ErrorCode::kLocked);
  run_in_child([&] { EXPECT_EQ(environment_->listen(*directory_, "s").error().code(), ErrorCode::kLocked); });
  must(environment_->connect(*directory_, "s"));
}

TEST_F(LocalSocketTest, TheSocketOfAKilledProcessIsReplaced) {
  std::array<int, 2> ready{};
  ASSERT_EQ(::pipe(ready.data()), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto listener = must(environment_->listen(*directory_, "s"));
    if (::write(ready[1], "x", 1) != 1) ::_exit(1);
    for (;;) ::pause();
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  ::close(ready[0]);
  ::close(ready[1]);
  EXPECT_EQ(environment_->listen(*directory_, "s").error().code(), ErrorCode::kLocked);
  ASSERT_EQ(::kill(child, SIGKILL), 0);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  ASSERT_TRUE(std::filesystem::exists(scratch_.file("s")));
  EXPECT_EQ(connect_error("s"), ErrorCode::kNotFound);
  const auto listener = must(environment_->listen(*directory_, "s"));
  make_pair(*listener);
}

TEST_F(LocalSocketTest, WhatIsNoSocketIsNeverRemoved) {
  must(must(directory_->open("s", OpenMode::kCreateNew))->write_at(0, std::vector<std::byte>(5)));
  const auto listener = environment_->listen(*directory_, "s");
  ASSERT_FALSE(listener.has_value());
  EXPECT_EQ(listener.error().code(), ErrorCode::kIo);
  EXPECT_EQ(must(must(directory_->open("s", OpenMode::kReadOnly))->size()), 5U);
}

TEST_F(LocalSocketTest, AListenerLeavesTheSocketOfItsSuccessorAlone) {
  auto first = must(environment_->listen(*directory_, "s"));
  must(directory_->rename("s", "moved"));
  const auto second = must(environment_->listen(*directory_, "s"));
  first.reset();
  EXPECT_TRUE(std::filesystem::exists(scratch_.file("s")));
  make_pair(*second);
}

TEST_F(LocalSocketTest, OfManyWhoReplaceAStaleSocketAtOnceOneWins) {
  for (int round = 0; round < 20; ++round) {
    auto stale = must(environment_->listen(*directory_, "dead"));
    stale->shutdown();
    must(directory_->rename("dead", "s"));
    std::vector<std::future<Result<std::unique_ptr<Listener>>>> attempts;
    for (int i = 0; i < 4; ++i) {
      attempts.push_back(
          std::async(std::launch::async, [&] { return environment_->listen(*directory_, "s"); }));
    }
    std::vector<std::unique_ptr<Listener>> winners;
    for (auto& attempt : attempts) {
      auto listener = attempt.get();
      if (listener.has_value()) {
        winners.push_back(*std::move(listener));
      } else {
        EXPECT_EQ(listener.error().code(), ErrorCode::kLocked);
      }
    }
    ASSERT_EQ(winners.size(), 1U);
    make_pair(*winners.front());
  }
}

TEST_F(LocalSocketTest, AStrangerIsDroppedAndTheNextOneServed) {
  if (::geteuid() != 0) GTEST_SKIP() << "becoming another user needs root";
  // As user 65534 we listen; root may connect, user 65533 may not (even where file modes would let it).
  ASSERT_EQ(::chmod(scratch_.path().c_str(), 0777), 0);
  const auto listener = must(environment_->listen(*directory_, "s"));
  ASSERT_EQ(::chmod(scratch_.file("s").c_str(), 0666), 0);
  run_in_child([&] {
    ASSERT_EQ(::setresuid(65533, 65533, 65533), 0);
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    std::strncpy(address.sun_path, scratch_.file("s").c_str(), sizeof address.sun_path - 1);
    const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
    ASSERT_EQ(::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address), 0) << errno;
  });
  const auto pair = make_pair(*listener);
  must(pair.client->write_all(std::vector<std::byte>(1, std::byte{9})));
  std::array<std::byte, 1> byte{};
  must(pair.server->read_exact(byte));
  EXPECT_EQ(byte[0], std::byte{9}) << "the stranger was accepted first";
}

TEST_F(LocalSocketTest, AClientRefusesAListenerOfAnotherUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "becoming another user needs root";
  ASSERT_EQ(::chmod(scratch_.path().c_str(), 0777), 0);
  ASSERT_EQ(::seteuid(65533), 0);
  auto listener = environment_->listen(*directory_, "s");
  ASSERT_EQ(::seteuid(0), 0);
  ASSERT_TRUE(listener.has_value()) << listener.error().to_string();
  const auto connection = environment_->connect(*directory_, "s");
  ASSERT_FALSE(connection.has_value());
  EXPECT_EQ(connection.error().code(), ErrorCode::kIo);
  EXPECT_EQ(connection.error().found(), "uid 65533");
}

}  // namespace
}  // namespace vectolith::engine::testing
