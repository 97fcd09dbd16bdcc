/// @file
/// One file per vector, in 256 folders, written beside its name and renamed.
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compare/compared_store.h"

namespace vectolith::bench::compare {
namespace {

constexpr std::size_t kFolders = 256;
const std::string kTemporary = "new";

void check(bool ok, const std::string& what) {
  if (!ok) die(what, std::strerror(errno));
}

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int number() const noexcept { return number_; }

 private:
  int number_;
};

using Folders = std::array<int, kFolders>;

class FileClient final : public Client {
 public:
  FileClient(const Folders& folders, std::size_t vector_bytes, bool durable,
             std::atomic<std::uint64_t>& temporaries)
      : folders_(folders), buffer_(vector_bytes), durable_(durable), temporaries_(temporaries) {}

  std::span<const std::byte> get(const Key& key) override {
    return get_copy(key, buffer_) ? std::span<const std::byte>(buffer_) : std::span<const std::byte>();
  }
  bool get_copy(const Key& key, std::span<std::byte> out) override {
    const Descriptor file(::openat(folder_of(key), key.digest.to_hex().c_str(), O_RDONLY | O_CLOEXEC));
    if (file.number() < 0 && errno == ENOENT) return false;
    check(file.number() >= 0, "open");
    check(::read(file.number(), out.data(), out.size()) == static_cast<ssize_t>(out.size()), "read");
    return true;
  }
  void scan(const RowsVisitor& visit) override {
    for (std::size_t folder = 0; folder < kFolders; ++folder) {
      for (const auto& entry : std::filesystem::directory_iterator(path_of(folder))) {
        // What a killed writer left is no row.
        if (entry.path().filename().string().starts_with(kTemporary)) continue;
        const Descriptor file(::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC));
        check(::read(file.number(), buffer_.data(), buffer_.size()) == static_cast<ssize_t>(buffer_.size()),
              entry.path());
        visit(buffer_);
      }
    }
  }
  void put(const Key& key, std::span<const std::byte> vector) override { write(key, vector, durable_); }
  void insert(std::span<const BatchRow> rows) override {
    for (const auto& row : rows) write(row.key, row.vector, false);
  }

 private:
  static std::size_t number_of(const Key& key) noexcept {
    return static_cast<std::size_t>(key.digest.bytes[0]);
  }
  [[nodiscard]] int folder_of(const Key& key) const noexcept { return folders_[number_of(key)]; }
  [[nodiscard]] std::filesystem::path path_of(std::size_t folder) const {
    return "/proc/self/fd/" + std::to_string(folders_[folder]) + "/";
  }
  void write(const Key& key, std::span<const std::byte> vector, bool durable) {
    const int folder = folder_of(key);
    const auto temporary = kTemporary + std::to_string(temporaries_.fetch_add(1, std::memory_order_relaxed));
    {
      const Descriptor file(
          ::openat(folder, temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
      check(file.number() >= 0, "create");
      check(::write(file.number(), vector.data(), vector.size()) == static_cast<ssize_t>(vector.size()),
            "write");
      check(!durable || ::fdatasync(file.number()) == 0, "fdatasync");
    }
    check(::renameat(folder, temporary.c_str(), folder, key.digest.to_hex().c_str()) == 0, "rename");
    check(!durable || ::fsync(folder) == 0, "fsync of a folder");
  }

  const Folders& folders_;
  std::vector<std::byte> buffer_;
  bool durable_;
  std::atomic<std::uint64_t>& temporaries_;
};

class FileStore final : public ComparedStore {
 public:
  explicit FileStore(const OpenOptions& options)
      : options_(options), root_(::open(options.directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    check(root_.number() >= 0, options.directory);
    for (std::size_t i = 0; i < kFolders; ++i) {
      const auto name = std::to_string(i);
      check(::mkdirat(root_.number(), name.c_str(), 0700) == 0 || errno == EEXIST, "mkdir");
      folders_[i] = ::openat(root_.number(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      check(folders_[i] >= 0, "open of a folder");
    }
  }
  ~FileStore() override { close_folders(); }

  std::unique_ptr<Client> client() override {
    return std::make_unique<FileClient>(folders_, options_.vector_bytes(),
                                        options_.durability == Durability::kDurable, temporaries_);
  }
  void sync() override { check(::syncfs(root_.number()) == 0, "syncfs"); }
  void drop() override {
    close_folders();
    for (std::size_t i = 0; i < kFolders; ++i)
      std::filesystem::remove_all(options_.directory / std::to_string(i));
    check(::fsync(root_.number()) == 0, "fsync of the root");
  }

 private:
  void close_folders() {
    for (int& folder : folders_) {
      if (folder >= 0) ::close(folder);
      folder = -1;
    }
  }

  OpenOptions options_;
  Descriptor root_;
  Folders folders_{};
  std::atomic<std::uint64_t> temporaries_{0};
};

const Registration kRegistration({
    .rank = 70,
    .name = "files",
    .title = "one file each",
    .settings =
        "256 folders; open, read, close for each get; a put writes a new file and renames it, durable with "
        "fdatasync of the file and fsync of the folder; a load ends with syncfs",
    .version = [] { return std::string("-"); },
    .open = [](const OpenOptions& options) -> std::unique_ptr<ComparedStore> {
      return std::make_unique<FileStore>(options);
    },
    .lacks = {{Ability::kCompact, "leaves no garbage"}},
});

}  // namespace
}  // namespace vectolith::bench::compare
