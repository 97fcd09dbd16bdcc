/// @file
/// Files and directories of a simulated process.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/sim/sim_environment.h"

struct iovec;

namespace vectolith::testing::sim {

class SimFile final : public engine::File {
 public:
  SimFile(SimEnvironment& process, InodePtr inode, std::string path);
  ~SimFile() override;

  [[nodiscard]] const InodePtr& inode() const noexcept { return inode_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  /// One pwritev or preadv: the bytes moved, or -1 and errno.
  std::int64_t write_some(const iovec* buffers, int count, std::uint64_t offset);
  std::int64_t read_some(const iovec* buffers, int count, std::uint64_t offset) const;
  /// One fdatasync over the changes below `before`: 0 or an errno.
  int sync_once(std::uint64_t before);

  [[nodiscard]] Result<std::uint64_t> size() const override { return inode_->size; }
  [[nodiscard]] Result<std::uint64_t> allocated_bytes() const override {
    return inode_->blocks.size() * SimDisk::kBlockBytes;
  }
  [[nodiscard]] Result<std::uint64_t> link_count() const override { return 1U; }
  Result<void> preallocate(std::uint64_t offset, std::uint64_t length) override;
  Result<void> punch(std::uint64_t offset, std::uint64_t length) override;
  Result<bool> try_lock(engine::LockMode mode) override;
  Result<void> unlock() override;
  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> bytes) const override;
  Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) override;
  Result<void> data_sync() override;
  [[nodiscard]] Result<std::unique_ptr<engine::Mapping>> map() const override;
  void drop_cache(std::uint64_t, std::uint64_t) const noexcept override {}

 private:
  SimEnvironment& process_;
  InodePtr inode_;
  std::string name_;
};

class SimDirectory final : public engine::Directory {
 public:
  SimDirectory(SimEnvironment& process, std::string path, SimDirectoryState& state);
  Result<std::unique_ptr<engine::File>> open(std::string_view name, engine::OpenMode mode) override;
  Result<void> rename(std::string_view from, std::string_view to) override;
  Result<void> unlink(std::string_view name) override;
  [[nodiscard]] Result<std::vector<std::string>> list() const override;
  Result<void> sync() override;
  [[nodiscard]] Result<std::uint64_t> free_bytes() const override { return process_.disk().free_bytes(); }

 private:
  [[nodiscard]] Result<void> ask(CallKind kind, std::string_view name) const;
  SimEnvironment& process_;
  SimDirectoryState& state_;
};

}  // namespace vectolith::testing::sim
