/// @file
/// A store that gives its locks back has no I/O in flight any more: another process may judge its files.
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <thread>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "engine/store/store_fixture.h"
#include "support/fault_environment.h"

namespace vectolith::testing {
namespace {

/// Carries an operation out when somebody waits for it, and no sooner.
class LateEnvironment final : public FaultEnvironment {
 public:
  using FaultEnvironment::FaultEnvironment;
  std::function<void(const engine::IoOperation&)> before_completion;
  std::atomic<std::size_t> in_flight{0}, completed{0};
  std::atomic<std::size_t> given_up{0};  ///< In flight when their queue went.

  Result<std::unique_ptr<engine::IoQueue>> make_queue(std::uint32_t depth) override {
    VECTOLITH_TRY_ASSIGN(auto inner, FaultEnvironment::make_queue(depth));
    return std::make_unique<Queue>(*this, std::move(inner));
  }

 private:
  class Queue final : public engine::IoQueue {
   public:
    Queue(LateEnvironment& environment, std::unique_ptr<engine::IoQueue> inner)
        : environment_(environment), inner_(std::move(inner)) {}
    ~Queue() override {
      environment_.given_up += in_flight();
      while (!groups_.empty()) carry_out();
    }
    Result<void> submit(std::span<engine::IoOperation> operations) override {
      for (auto& operation : operations) operation.done = false;
      environment_.in_flight += operations.size();
      for (std::size_t first = 0; first < operations.size(); first += groups_.back().size()) {
        std::size_t end = first + 1;
        while (end < operations.size() && operations[end - 1].linked) ++end;
        groups_.push_back(operations.subspan(first, end - first));
      }
      return {};
    }
    Result<void> wait(const engine::IoOperation& operation) override {
      while (!operation.done) carry_out();
      return {};
    }
    std::size_t poll() override { return 0; }
    [[nodiscard]] std::size_t in_flight() const noexcept override {
      std::size_t count = 0;
      for (const auto& group : groups_) count += group.size();
      return count;
    }

   private:
    void carry_out() {
      const auto group = groups_.front();
      groups_.pop_front();
      for (const auto& operation : group) environment_.before_completion(operation);
      (void)inner_->submit(group);
      environment_.completed += group.size();
      environment_.in_flight -= group.size();
    }

    LateEnvironment& environment_;
    std::unique_ptr<engine::IoQueue> inner_;
    std::deque<std::span<engine::IoOperation>> groups_;  ///< Operations that are linked.
  };
};

class DrainedIo : public StoreTest {
 protected:
  DrainedIo() {
    late_->before_completion = [this](const engine::IoOperation& operation) {
      EXPECT_FALSE(is_free(directory_.file("LOCK"))) << "unlocked before the last completion";
      EXPECT_FALSE(is_free(operation.file->path())) << operation.file->path();
    };
  }
  static bool is_free(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    EXPECT_GE(fd, 0) << path;
    const bool is_free = ::flock(fd, LOCK_EX | LOCK_NB) == 0;
    EXPECT_TRUE(is_free || errno == EWOULDBLOCK);
    ::close(fd);
    return is_free;
  }
  void open_late() {
    Options with = options();
    with.segment_bytes_initial = with.segment_bytes_target = 128U << 10;
    with.environment = late_;
    open(with);
  }
  /// Writes of every kind, the last ones not waited for.
  void work() {
    auto f = family();
    for (std::uint64_t number = 0; number < 600; ++number) put(f, number);
    put(f, 600, 0, {.durability = Durability::kDurable});
    (void)f.erase(key_of(1), Durability::kDurable);
    (void)f.erase(key_of(2), Durability::kBuffered);
    for (std::uint64_t number = 1'000; number < 1'050; ++number) {
      const auto vector = vector_of(number);
      const auto level = number % 2 == 0 ? Durability::kDurable : Durability::kBuffered;
      (void)f.submit_put(key_of(number), std::as_bytes(std::span(vector)), {.durability = level});
    }
  }
  void expect_drained() {
    EXPECT_EQ(late_->in_flight, 0U);
    EXPECT_EQ(late_->given_up, 0U);
    EXPECT_GT(late_->completed, 600U);
    EXPECT_TRUE(is_free(directory_.file("LOCK")));
  }

  std::shared_ptr<LateEnvironment> late_ = std::make_shared<LateEnvironment>(environment_);
};

TEST_F(DrainedIo, WhenAStoreIsClosed) {
  open_late();
  work();
  close();
  expect_drained();
}

TEST_F(DrainedIo, WhenAStoreIsDestroyedWithoutAClose) {
  open_late();
  work();
  store_.reset();
  expect_drained();
}

TEST_F(DrainedIo, WhenAStoreIsClosedWhoseDiskFails) {
  open_late();
  work();
  auto f = family();
  ASSERT_TRUE(store_->sync().has_value());
  put(f, 2'000);
  ASSERT_TRUE(f.erase(key_of(3), Durability::kBuffered).has_value());
  late_->decide([](const DiskChange& change) {
    const bool fails =
        change.kind == DiskChange::Kind::kDataSync || change.kind == DiskChange::Kind::kPreallocate;
    return Verdict{.error = fails ? EIO : 0};
  });
  EXPECT_FALSE(store_->sync().has_value()) << "the barriers of journal and segment fail";
  EXPECT_FALSE(store_->close().has_value());
  expect_drained();
}

TEST_F(DrainedIo, WhenAStoreIsClosedInTheMiddleOfAPut) {
  open_late();
  work();
  ASSERT_TRUE(store_->sync().has_value());
  auto f = family();
  std::thread closer;
  const auto check = late_->before_completion;
  late_->before_completion = [&](const engine::IoOperation& operation) {
    if (!closer.joinable()) {
      closer = std::thread([&] { EXPECT_TRUE(store_->close().has_value()); });
      while (f.contains(key_of(0)).has_value()) std::this_thread::yield();  // Until the close has begun.
    }
    check(operation);
  };
  put(f, 3'000, 0, {.durability = Durability::kDurable});
  closer.join();
  late_->before_completion = check;
  expect_drained();
  open();
  expect_holds(family(), 3'000);
}

}  // namespace
}  // namespace vectolith::testing
