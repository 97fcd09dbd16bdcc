/// @file
/// The operating system without threads, clock and chance, so that an input does the same each time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "io/environment.h"

namespace vectolith::fuzz {

/// Files are real, on plain system calls. Background work is left to the store's own calls.
class StillEnvironment final : public engine::Environment {
 public:
  explicit StillEnvironment(std::unique_ptr<engine::Environment> inner) : inner_(std::move(inner)) {}
  /// As if it were new. Before each input.
  void rewind() { random_state_ = ticks_ns_ = 0; }

  Result<std::unique_ptr<engine::Directory>> open_directory(const std::string& path, bool create) override {
    return inner_->open_directory(path, create);
  }
  Result<std::unique_ptr<engine::IoQueue>> make_queue(std::uint32_t depth) override {
    return inner_->make_queue(depth);
  }
  [[nodiscard]] std::string_view backend() const noexcept override { return inner_->backend(); }
  [[nodiscard]] std::string_view fallback_reason() const noexcept override { return {}; }
  [[nodiscard]] engine::IoCounters counters() const noexcept override { return inner_->counters(); }
  [[nodiscard]] std::uint64_t wall_clock_ms() const noexcept override { return 1'750'000'000'000; }
  [[nodiscard]] std::uint64_t steady_ns() const noexcept override { return ticks_ns_ += 1'000'000; }
  void fill_random(std::span<std::byte> bytes) override {
    for (auto& byte : bytes) {
      random_state_ = random_state_ * 6'364'136'223'846'793'005U + 1'442'695'040'888'963'407U;
      byte = static_cast<std::byte>(random_state_ >> 56);
    }
  }
  [[nodiscard]] std::uint32_t cores() const noexcept override { return 1; }
  std::unique_ptr<engine::Worker> start_worker(std::string_view,
                                               std::function<std::chrono::nanoseconds()>) override {
    return std::make_unique<IdleWorker>();
  }
  void run_parallel(std::size_t count, const std::function<void(std::size_t)>& task) override {
    for (std::size_t i = 0; i < count; ++i) task(i);
  }
  Result<std::unique_ptr<engine::Pages>> allocate_pages(std::size_t bytes) override {
    return inner_->allocate_pages(bytes);
  }
  bool barrier_all_threads() noexcept override { return true; }  // There is one.
  Result<std::unique_ptr<engine::Listener>> listen(engine::Directory& directory,
                                                   std::string_view name) override {
    return inner_->listen(directory, name);
  }
  Result<std::unique_ptr<engine::Connection>> connect(engine::Directory& directory,
                                                      std::string_view name) override {
    return inner_->connect(directory, name);
  }

 private:
  class IdleWorker final : public engine::Worker {
    void notify() noexcept override {}
  };

  std::unique_ptr<engine::Environment> inner_;
  std::uint64_t random_state_ = 0;
  mutable std::uint64_t ticks_ns_ = 0;
};

}  // namespace vectolith::fuzz
