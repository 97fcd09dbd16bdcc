/// @file
/// Any files as a store's directory: fsck, opening, reading, writing and opening again end well or with an
/// error.
#include <algorithm>
#include <cerrno>
#include <memory>
#include <set>
#include <string>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vectolith/store.h>
#include <vectolith/verify.h>

#include "fuzz_support.h"
#include "still_environment.h"
#include "store_pack.h"

namespace vectolith::fuzz {
namespace {

/// Payloads that an input may make us look at: a bomb of many records costs time, and nothing else.
constexpr std::size_t kPayloadBytesMax = std::size_t{32} << 20;

/// A directory in memory that holds one input at a time.
class Scratch {
 public:
  Scratch() : path_("/dev/shm/vectolith-fuzz-XXXXXX") {
    VECTOLITH_FUZZ_CHECK(::mkdtemp(path_.data()) != nullptr);
    fd_ = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    VECTOLITH_FUZZ_CHECK(fd_ >= 0);
  }
  ~Scratch() {
    clear();
    ::rmdir(path_.c_str());
    ::close(fd_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

  void clear() {
    const int own = ::openat(fd_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR* stream = ::fdopendir(own);
    VECTOLITH_FUZZ_CHECK(stream != nullptr);
    while (const dirent* entry = ::readdir(stream)) {
      const std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      if (::unlinkat(fd_, name.c_str(), 0) != 0) ::unlinkat(fd_, name.c_str(), AT_REMOVEDIR);
    }
    ::closedir(stream);
  }

  void make(const PackedEntry& entry) {
    const char* name = entry.name.c_str();
    switch (entry.kind) {
      case EntryKind::kDirectory: ::mkdirat(fd_, name, 0700); return;
      case EntryKind::kFifo: ::mkfifoat(fd_, name, 0600); return;
      case EntryKind::kSymlink: static_cast<void>(::symlinkat("STORE", fd_, name)); return;
      case EntryKind::kFile: break;
    }
    const int file = ::openat(fd_, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    VECTOLITH_FUZZ_CHECK(file >= 0);
    const auto written = ::pwrite(file, entry.bytes.data(), entry.bytes.size(), 0);
    VECTOLITH_FUZZ_CHECK(written == static_cast<ssize_t>(entry.bytes.size()));
    ::close(file);
  }

 private:
  std::string path_;
  int fd_ = -1;
};

struct Machine {
  Scratch scratch;
  std::shared_ptr<StillEnvironment> environment = [] {
    auto made = engine::make_environment(engine::BackendChoice::kSync);
    VECTOLITH_FUZZ_CHECK(made.has_value());
    return std::make_shared<StillEnvironment>(*std::move(made));
  }();

  [[nodiscard]] Options options() const {
    Options options;
    options.segment_bytes_target = options.segment_bytes_initial = 65'536;
    options.lock_timeout = {};
    options.environment = environment;
    return options;
  }
  [[nodiscard]] Result<FsckReport> check() const {
    FsckOptions options;
    options.environment = environment;
    return fsck(scratch.path(), options);
  }
};

/// What one pass over a store found.
struct Reading {
  std::uint64_t rows = 0;
  bool damaged = false;
  bool cut_short = false;
};

void check_vectors(const Family& family, Reading& reading) {
  std::set<Key> keys;
  const auto visited = family.for_each([&](const VectorView& view) {
    VECTOLITH_FUZZ_CHECK(view.bytes().size() == family.spec().vector_bytes());
    VECTOLITH_FUZZ_CHECK(keys.insert(view.key()).second);
    const auto again = family.get(view.key());
    VECTOLITH_FUZZ_CHECK(again.has_value() && again->has_value());
    VECTOLITH_FUZZ_CHECK(std::ranges::equal((**again)->bytes(), view.bytes()));
    return true;
  });
  reading.rows += keys.size();
  reading.damaged |= !visited.has_value();
  VECTOLITH_FUZZ_CHECK(!visited.has_value() || keys.size() == family.size());
  const auto segments = family.segments();
  if (!segments.has_value()) return;
  std::uint64_t live = 0;
  for (const auto& segment : *segments) {
    for (std::uint32_t row = 0; row < segment.rows; ++row) live += segment.is_live(row) ? 1 : 0;
  }
  VECTOLITH_FUZZ_CHECK(live == family.size());
}

void check_records(const RecordFamily& family, Reading& reading) {
  std::set<Key> keys;
  std::size_t payload_bytes = 0;
  const auto visited = family.for_each([&](const Record& record) {
    VECTOLITH_FUZZ_CHECK(keys.insert(record.key).second);
    const auto again = family.get(record.key);
    VECTOLITH_FUZZ_CHECK(again.has_value() && again->has_value());
    VECTOLITH_FUZZ_CHECK((*again)->payload == record.payload);
    payload_bytes += record.payload.size();
    return payload_bytes <= kPayloadBytesMax;
  });
  reading.rows += keys.size();
  reading.damaged |= !visited.has_value();
  const bool whole = payload_bytes <= kPayloadBytesMax;
  reading.cut_short |= !whole;
  VECTOLITH_FUZZ_CHECK(!visited.has_value() || !whole || keys.size() == family.size());
}

Reading read_all(Store& store) {
  Reading reading;
  for (const auto& info : store.families()) {
    if (info.kind == format::SegmentKind::kVector) {
      const auto family = store.family(info.name);
      VECTOLITH_FUZZ_CHECK(family.has_value());
      check_vectors(*family, reading);
    } else {
      const auto family = store.existing_record_family(info.name);
      VECTOLITH_FUZZ_CHECK(family.has_value());
      check_records(*family, reading);
    }
  }
  static_cast<void>(store.interned());
  static_cast<void>(store.stats());
  return reading;
}

/// Writes into every family; an error is fine, but a row that was acknowledged must be there.
void write_some(Store& store) {
  const Key key{.digest = Digest::from_number(0xF0F0'F0F0), .scope = {}, .chunker = {}};
  for (const auto& info : store.families()) {
    if (info.kind == format::SegmentKind::kVector) {
      auto family = store.family(info.name);
      VECTOLITH_FUZZ_CHECK(family.has_value());
      const std::vector<std::byte> vector(family->spec().vector_bytes(), std::byte{1});
      WriteOptions options;
      options.replace = true;
      if (!family->put(key, vector, options).has_value()) continue;
      const auto got = family->get(key);
      VECTOLITH_FUZZ_CHECK(got.has_value() && got->has_value());
    } else {
      auto family = store.existing_record_family(info.name);
      VECTOLITH_FUZZ_CHECK(family.has_value());
      if (!family->put(key, "fuzz").has_value()) continue;
      VECTOLITH_FUZZ_CHECK(family->contains(key).value_or(false));
      static_cast<void>(family->erase(key, Durability::kDurable));
    }
  }
}

/// Writing makes new segments and a journal of 4 MiB, which costs far more than reading. So the fuzzer writes
/// to one input of four, by a sum over it: an input is always treated alike. A replay writes to all.
bool is_written_to([[maybe_unused]] std::span<const std::byte> input) {
#if defined(VECTOLITH_LIBFUZZER)
  return format::checksum64(input) % 4 == 0;
#else
  return true;
#endif
}

void run(Machine& machine, bool write) {
  const auto before = machine.check();
  const bool was_clean = before.has_value() && before->clean();
  auto options = machine.options();
  options.read_only = true;
  {
    auto store = Store::open(machine.scratch.path(), options);
    VECTOLITH_FUZZ_CHECK(store.has_value() || !was_clean);
    if (store.has_value()) {
      const auto reading = read_all(**store);
      VECTOLITH_FUZZ_CHECK(!reading.damaged || !was_clean);
    }
  }
  if (!write) return;
  options.read_only = false;
  {
    auto store = Store::open(machine.scratch.path(), options);
    if (!store.has_value()) return;
    read_all(**store);
    write_some(**store);
    if (!(*store)->close().has_value()) return;
  }
  // What could be opened, written and closed can be opened again, and is no worse than it was.
  options.read_only = true;
  auto store = Store::open(machine.scratch.path(), options);
  VECTOLITH_FUZZ_CHECK(store.has_value());
  read_all(**store);
  store->reset();
  const auto after = machine.check();
  VECTOLITH_FUZZ_CHECK(!was_clean || (after.has_value() && after->clean()));
}

}  // namespace

void repair(std::span<std::byte> input) {
  auto entries = unpack(input);
  repair_entries(entries);
  const auto repaired = pack(entries);
  // Sums that were zero may need another extent: then there is no room in place.
  if (repaired.size() == input.size()) std::ranges::copy(repaired, input.begin());
}

}  // namespace vectolith::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static vectolith::fuzz::Machine machine;
  machine.scratch.clear();
  machine.environment->rewind();
  const auto input = vectolith::fuzz::copy_of(data, size);
  for (const auto& entry : vectolith::fuzz::unpack(input)) machine.scratch.make(entry);
  vectolith::fuzz::run(machine, vectolith::fuzz::is_written_to(input));
  return 0;
}
