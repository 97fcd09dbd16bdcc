/// @file
/// Files that are vectors, and a queue that runs its operations when they are submitted.
#include "engine/fault/memory_environment.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace vectolith::testing {
namespace {

using engine::IoOperation;
using engine::OpenMode;
using Bytes = std::shared_ptr<std::vector<std::byte>>;

class MemoryMapping final : public engine::Mapping {
 public:
  explicit MemoryMapping(Bytes bytes) : held_(std::move(bytes)) { bytes_ = *held_; }
  void advise(std::uint64_t, std::uint64_t, engine::MapAdvice) noexcept override {}
  Result<void> populate(std::uint64_t offset, std::uint64_t length) override {
    if (offset <= bytes_.size() && length <= bytes_.size() - offset) return {};
    return fail(ErrorCode::kIo, "behind the end of the file");
  }

 private:
  Bytes held_;
};

class MemoryFile final : public engine::File {
 public:
  MemoryFile(std::string path, Bytes bytes) : bytes_(std::move(bytes)) { path_ = std::move(path); }
  [[nodiscard]] Result<std::uint64_t> size() const override { return bytes_->size(); }
  [[nodiscard]] Result<std::uint64_t> allocated_bytes() const override { return bytes_->size(); }
  [[nodiscard]] Result<std::uint64_t> link_count() const override { return 1; }
  Result<void> preallocate(std::uint64_t offset, std::uint64_t length) override {
    if (bytes_->size() < offset + length) bytes_->resize(offset + length);
    return {};
  }
  Result<void> punch(std::uint64_t offset, std::uint64_t length) override {
    const auto end = std::min<std::uint64_t>(bytes_->size(), offset + length);
    if (offset < end)
      std::fill(bytes_->begin() + to_index(offset), bytes_->begin() + to_index(end), std::byte{0});
    return {};
  }
  Result<bool> try_lock(engine::LockMode) override { return true; }
  Result<void> unlock() override { return {}; }
  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> bytes) const override {
    if (offset >= bytes_->size()) return 0;
    const std::size_t length = std::min<std::uint64_t>(bytes.size(), bytes_->size() - offset);
    std::copy_n(bytes_->begin() + to_index(offset), length, bytes.begin());
    return length;
  }
  Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
    if (bytes_->size() < offset + bytes.size()) bytes_->resize(offset + bytes.size());
    std::ranges::copy(bytes, bytes_->begin() + to_index(offset));
    return {};
  }
  Result<void> data_sync() override { return {}; }
  [[nodiscard]] Result<std::unique_ptr<engine::Mapping>> map() const override {
    return std::make_unique<MemoryMapping>(bytes_);
  }
  void drop_cache(std::uint64_t, std::uint64_t) const noexcept override {}

 private:
  static std::ptrdiff_t to_index(std::uint64_t offset) { return static_cast<std::ptrdiff_t>(offset); }
  Bytes bytes_;
};

class MemoryDirectory final : public engine::Directory {
 public:
  MemoryDirectory(std::string path, MemoryFiles& files) : files_(files) { path_ = std::move(path); }
  Result<std::unique_ptr<engine::File>> open(std::string_view name, OpenMode mode) override {
    const auto found = files_.find(std::string(name));
    const bool may_create = mode == OpenMode::kCreateNew || mode == OpenMode::kOpenOrCreate;
    if (found == files_.end() && !may_create) return fail(ErrorCode::kNotFound, "no such file in memory");
    if (found != files_.end() && mode == OpenMode::kCreateNew)
      return fail(ErrorCode::kExists, "the file is there already");
    auto& bytes = files_[std::string(name)];
    if (bytes == nullptr) bytes = std::make_shared<std::vector<std::byte>>();
    return std::make_unique<MemoryFile>(path_ + "/" + std::string(name), bytes);
  }
  Result<void> rename(std::string_view from, std::string_view to) override {
    auto moved = files_.extract(std::string(from));
    if (moved.empty()) return fail(ErrorCode::kNotFound, "no such file in memory");
    files_.insert_or_assign(std::string(to), std::move(moved.mapped()));
    return {};
  }
  Result<void> unlink(std::string_view name) override {
    files_.erase(std::string(name));
    return {};
  }
  [[nodiscard]] Result<std::vector<std::string>> list() const override {
    std::vector<std::string> names;
    for (const auto& [name, bytes] : files_) names.push_back(name);
    return names;
  }
  Result<void> sync() override { return {}; }
  [[nodiscard]] Result<std::uint64_t> free_bytes() const override { return std::uint64_t{1} << 40; }

 private:
  MemoryFiles& files_;
};

class MemoryQueue final : public engine::IoQueue {
 public:
  Result<void> submit(std::span<IoOperation> operations) override {
    for (IoOperation& operation : operations) {
      operation.wanted = operation.transferred = 0;
      for (const auto& buffer : operation.buffers) {
        operation.wanted += buffer.bytes;
        const std::span bytes(static_cast<std::byte*>(buffer.data), buffer.bytes);
        const std::uint64_t at = operation.offset + operation.transferred;
        if (operation.kind == IoOperation::Kind::kWrite) {
          if (!operation.file->write_at(at, bytes)) operation.error = EIO;
          operation.transferred += bytes.size();
        } else if (operation.kind == IoOperation::Kind::kRead) {
          operation.transferred += operation.file->read_at(at, bytes).value_or(0);
        }
      }
      operation.done = true;
      ++unseen_;
    }
    return {};
  }
  Result<void> wait(const IoOperation&) override { return {}; }
  std::size_t poll() override { return std::exchange(unseen_, 0); }
  [[nodiscard]] std::size_t in_flight() const noexcept override { return 0; }

 private:
  std::size_t unseen_ = 0;
};

}  // namespace

Result<std::unique_ptr<engine::Directory>> MemoryEnvironment::open_directory(const std::string& path, bool) {
  return std::make_unique<MemoryDirectory>(path, files_);
}
Result<std::unique_ptr<engine::IoQueue>> MemoryEnvironment::make_queue(std::uint32_t) {
  return std::make_unique<MemoryQueue>();
}

}  // namespace vectolith::testing
