/// @file
/// An environment whose disk refuses to read chosen bytes, as one with a bad sector does.
#pragma once

#include <cerrno>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/fault_environment.h"

namespace vectolith::testing {

/// Bytes [begin, end) of the file `name` cannot be read.
struct BadBytes {
  std::string name;
  std::uint64_t begin = 0, end = 0;
};

/// A read that touches `bad` fails with EIO. Everything else goes through.
class ReadFaultEnvironment : public FaultEnvironment {
 public:
  ReadFaultEnvironment(std::shared_ptr<engine::Environment> inner, BadBytes bad)
      : FaultEnvironment(std::move(inner)), bad_(std::move(bad)) {}

  Result<std::unique_ptr<engine::Directory>> open_directory(const std::string& path, bool create) override {
    VECTOLITH_TRY_ASSIGN(auto directory, FaultEnvironment::open_directory(path, create));
    return std::make_unique<FaultyDirectory>(std::move(directory), bad_);
  }

 private:
  class FaultyFile final : public engine::File {
   public:
    FaultyFile(std::unique_ptr<engine::File> inner, const BadBytes& bad)
        : inner_(std::move(inner)), bad_(bad) {
      path_ = inner_->path();
    }
    [[nodiscard]] Result<std::uint64_t> size() const override { return inner_->size(); }
    [[nodiscard]] Result<std::uint64_t> allocated_bytes() const override { return inner_->allocated_bytes(); }
    [[nodiscard]] Result<std::uint64_t> link_count() const override { return inner_->link_count(); }
    Result<void> preallocate(std::uint64_t offset, std::uint64_t length) override {
      return inner_->preallocate(offset, length);
    }
    Result<void> punch(std::uint64_t offset, std::uint64_t length) override {
      return inner_->punch(offset, length);
    }
    Result<bool> try_lock(engine::LockMode mode) override { return inner_->try_lock(mode); }
    Result<void> unlock() override { return inner_->unlock(); }
    Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> bytes) const override {
      if (offset < bad_.end && offset + bytes.size() > bad_.begin) {
        return std::unexpected(Error(ErrorCode::kIo, "the file cannot be read")
                                   .with_errno(EIO)
                                   .with_file(path_)
                                   .with_offset(offset));
      }
      return inner_->read_at(offset, bytes);
    }
    Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
      return inner_->write_at(offset, bytes);
    }
    Result<void> data_sync() override { return inner_->data_sync(); }
    [[nodiscard]] Result<std::unique_ptr<engine::Mapping>> map() const override { return inner_->map(); }
    void drop_cache(std::uint64_t offset, std::uint64_t length) const noexcept override {
      inner_->drop_cache(offset, length);
    }

   private:
    std::unique_ptr<engine::File> inner_;
    BadBytes bad_;
  };

  class FaultyDirectory final : public engine::Directory {
   public:
    FaultyDirectory(std::unique_ptr<engine::Directory> inner, const BadBytes& bad)
        : inner_(std::move(inner)), bad_(bad) {
      path_ = inner_->path();
    }
    Result<std::unique_ptr<engine::File>> open(std::string_view name, engine::OpenMode mode) override {
      VECTOLITH_TRY_ASSIGN(auto file, inner_->open(name, mode));
      if (name != bad_.name) return file;
      return std::make_unique<FaultyFile>(std::move(file), bad_);
    }
    Result<void> rename(std::string_view from, std::string_view to) override {
      return inner_->rename(from, to);
    }
    Result<void> unlink(std::string_view name) override { return inner_->unlink(name); }
    [[nodiscard]] Result<std::vector<std::string>> list() const override { return inner_->list(); }
    Result<void> sync() override { return inner_->sync(); }
    [[nodiscard]] Result<std::uint64_t> free_bytes() const override { return inner_->free_bytes(); }

   private:
    std::unique_ptr<engine::Directory> inner_;
    BadBytes bad_;
  };

  BadBytes bad_;
};

}  // namespace vectolith::testing
