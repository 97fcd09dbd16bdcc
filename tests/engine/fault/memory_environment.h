/// @file
/// An environment whose directories are maps from names to bytes: thousands of damaged stores a second.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "io/environment.h"

namespace vectolith::testing {

using MemoryFiles = std::map<std::string, std::shared_ptr<std::vector<std::byte>>>;

/// The one directory is `files`, whatever its path; clock, memory and randomness are those of `inner`.
/// Everything runs on the caller's thread but workers. Mappings show the bytes themselves, so a file may only
/// be changed in place, or grown while nobody has it mapped.
class MemoryEnvironment : public engine::Environment {
 public:
  MemoryEnvironment(std::shared_ptr<engine::Environment> inner, MemoryFiles& files)
      : inner_(std::move(inner)), files_(files) {}

  Result<std::unique_ptr<engine::Directory>> open_directory(const std::string& path, bool create) override;
  Result<std::unique_ptr<engine::IoQueue>> make_queue(std::uint32_t depth) override;
  [[nodiscard]] std::string_view backend() const noexcept override { return "memory"; }
  [[nodiscard]] std::string_view fallback_reason() const noexcept override { return {}; }
  [[nodiscard]] engine::IoCounters counters() const noexcept override { return {}; }
  [[nodiscard]] std::uint64_t wall_clock_ms() const noexcept override { return inner_->wall_clock_ms(); }
  [[nodiscard]] std::uint64_t steady_ns() const noexcept override { return inner_->steady_ns(); }
  void fill_random(std::span<std::byte> bytes) override { inner_->fill_random(bytes); }
  [[nodiscard]] std::uint32_t cores() const noexcept override { return 1; }
  std::unique_ptr<engine::Worker> start_worker(std::string_view name,
                                               std::function<std::chrono::nanoseconds()> step) override {
    return inner_->start_worker(name, std::move(step));
  }
  void run_parallel(std::size_t count, const std::function<void(std::size_t)>& task) override {
    for (std::size_t i = 0; i < count; ++i) task(i);
  }
  Result<std::unique_ptr<engine::Pages>> allocate_pages(std::size_t bytes) override {
    return inner_->allocate_pages(bytes);
  }
  bool barrier_all_threads() noexcept override { return inner_->barrier_all_threads(); }
  Result<std::unique_ptr<engine::Listener>> listen(engine::Directory&, std::string_view) override {
    return fail(ErrorCode::kUnsupported, "no sockets in memory");
  }
  Result<std::unique_ptr<engine::Connection>> connect(engine::Directory&, std::string_view) override {
    return fail(ErrorCode::kNotFound, "no sockets in memory");
  }

 private:
  std::shared_ptr<engine::Environment> inner_;
  MemoryFiles& files_;
};

}  // namespace vectolith::testing
