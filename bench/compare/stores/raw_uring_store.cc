/// @file
/// The limit of cold reads, scans and loads: O_DIRECT through io_uring at depth, into registered buffers.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include <fcntl.h>
#include <liburing.h>
#include <unistd.h>

#include "compare/stores/raw_rows.h"

namespace vectolith::bench::compare {
namespace {

constexpr std::size_t kPage = 4096;
constexpr unsigned kReadDepth = 128;
/// Of scans and loads, whose pieces are whole batches.
constexpr unsigned kStreamDepth = 8;
constexpr std::size_t kStreamRows = 512;

std::size_t up_to_page(std::size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

int init_ring(io_uring& ring) {
  constexpr unsigned kFlags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
  const int code = io_uring_queue_init(kReadDepth, &ring, kFlags);
  // Kernels before 6.1 do not know the flags.
  return code == -EINVAL ? io_uring_queue_init(kReadDepth, &ring, 0) : code;
}

void check_code(int code, std::string_view what) {
  if (code < 0) die(what, std::strerror(-code));
}

/// A ring for one file, with `depth` buffers. One thread.
class DirectRing {
 public:
  DirectRing(int fd, unsigned depth, std::size_t buffer_bytes)
      : buffer_bytes_(up_to_page(buffer_bytes)),
        memory_(static_cast<std::byte*>(std::aligned_alloc(kPage, depth * buffer_bytes_)), std::free) {
    check_code(init_ring(ring_), "io_uring_queue_init");
    check_code(io_uring_register_files(&ring_, &fd, 1), "io_uring_register_files");
    std::vector<iovec> buffers;
    buffers.reserve(depth);
    for (unsigned i = 0; i < depth; ++i) buffers.push_back({.iov_base = buffer(i), .iov_len = buffer_bytes_});
    const int code = io_uring_register_buffers(&ring_, buffers.data(), depth);
    registered_ = code == 0;
    // Large buffers may be more than a user may lock.
    if (code != -ENOMEM) check_code(code, "io_uring_register_buffers");
  }
  ~DirectRing() { io_uring_queue_exit(&ring_); }
  DirectRing(const DirectRing&) = delete;
  DirectRing& operator=(const DirectRing&) = delete;

  [[nodiscard]] std::byte* buffer(unsigned index) const noexcept {
    return memory_.get() + index * buffer_bytes_;
  }
  /// Goes to the kernel with the next `wait`.
  void read(unsigned index, std::uint64_t offset, std::size_t bytes) {
    prepare(index, registered_ ? IORING_OP_READ_FIXED : IORING_OP_READ, offset, bytes);
  }
  /// Goes to the kernel at once.
  void write(unsigned index, std::uint64_t offset, std::size_t bytes) {
    prepare(index, registered_ ? IORING_OP_WRITE_FIXED : IORING_OP_WRITE, offset, bytes);
    check_code(io_uring_submit(&ring_), "io_uring_submit");
  }
  /// Waits until one transfer has ended, and calls `done(index, bytes)` for all that have.
  template <class Done>
  void wait(const Done& done) {
    check_code(io_uring_submit_and_wait(&ring_, 1), "io_uring_submit_and_wait");
    io_uring_cqe* completion = nullptr;
    while (io_uring_peek_cqe(&ring_, &completion) == 0) {
      check_code(completion->res, "a transfer through io_uring");
      const auto index = static_cast<unsigned>(completion->user_data);
      const auto bytes = static_cast<std::size_t>(completion->res);
      io_uring_cqe_seen(&ring_, completion);
      done(index, bytes);
    }
  }

 private:
  void prepare(unsigned index, int operation, std::uint64_t offset, std::size_t bytes) {
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    must_be(entry != nullptr, "the ring has room for its depth");
    io_uring_prep_rw(operation, entry, 0, buffer(index), static_cast<unsigned>(bytes), offset);
    entry->buf_index = static_cast<std::uint16_t>(index);
    entry->flags |= IOSQE_FIXED_FILE;
    entry->user_data = index;
  }

  io_uring ring_{};
  std::size_t buffer_bytes_;
  std::unique_ptr<std::byte, void (*)(void*)> memory_;
  bool registered_ = false;
};

/// The pages that a row spans.
struct Pages {
  std::uint64_t offset = 0;
  std::size_t bytes = 0;
  std::size_t skip = 0;  ///< Bytes before the row.
};

class UringClient final : public Client {
 public:
  UringClient(RawRows& rows, int direct, Durability durability)
      : rows_(rows), direct_(direct), durability_(durability), free_(kStreamDepth) {
    std::iota(free_.begin(), free_.end(), 0U);
  }
  ~UringClient() override {
    while (free_.size() < kStreamDepth) collect();
  }

  std::span<const std::byte> get(const Key& key) override {
    const auto row = rows_.find(key);
    if (row == RawTable::kAbsent) return {};
    const auto pages = pages_of(row);
    reads().read(0, pages.offset, pages.bytes);
    reads().wait([&](unsigned, std::size_t bytes) { check_whole(bytes, pages); });
    return {reads().buffer(0) + pages.skip, rows_.vector_bytes()};
  }
  std::size_t multi_get(std::span<const Key> keys, std::span<std::byte> matrix) override {
    found_.clear();
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (const auto row = rows_.find(keys[i]); row != RawTable::kAbsent)
        found_.push_back({i, pages_of(row)});
    }
    std::size_t started = 0;
    std::size_t ended = 0;
    std::array<std::size_t, kReadDepth> reading{};
    const auto start = [&](unsigned index) {
      reading[index] = started;
      const auto& pages = found_[started++].pages;
      reads().read(index, pages.offset, pages.bytes);
    };
    while (started < std::min<std::size_t>(kReadDepth, found_.size())) start(static_cast<unsigned>(started));
    while (ended < found_.size()) {
      reads().wait([&](unsigned index, std::size_t bytes) {
        const auto& found = found_[reading[index]];
        check_whole(bytes, found.pages);
        std::memcpy(matrix.data() + found.position * rows_.vector_bytes(),
                    reads().buffer(index) + found.pages.skip, rows_.vector_bytes());
        ++ended;
        if (started < found_.size()) start(index);
      });
    }
    return found_.size();
  }
  void scan(const RowsVisitor& visit) override {
    const std::size_t piece = kStreamRows * rows_.vector_bytes();
    const std::uint64_t end = rows_.size() * rows_.vector_bytes();
    std::uint64_t next = 0;
    const auto start = [&](unsigned index) {
      if (next >= end) return;
      stream().read(index, next, up_to_page(std::min<std::uint64_t>(piece, end - next)));
      next += piece;
    };
    for (unsigned index = 0; index < kStreamDepth; ++index) start(index);
    for (std::uint64_t seen = 0; seen < end;) {
      stream().wait([&](unsigned index, std::size_t bytes) {
        // The last piece ends with the file, before its last page does.
        const std::size_t whole =
            std::min<std::size_t>(bytes, piece) / rows_.vector_bytes() * rows_.vector_bytes();
        must_be(whole > 0, "a read of a scan returns rows");
        visit({stream().buffer(index), whole});
        seen += whole;
        start(index);
      });
    }
    must_be(next >= end, "a scan reads everything");
  }
  void put(const Key& key, std::span<const std::byte> vector) override {
    rows_.put(key, vector, durability_);
  }
  /// Returns while the batch is still on its way; the end of the client waits for it.
  void insert(std::span<const BatchRow> rows) override {
    const auto vectors = matrix_of(rows);
    const auto first = rows_.add_keys(rows);
    const std::uint64_t offset = first * rows_.vector_bytes();
    // The end of a load need not be the end of a page.
    if (rows.size() > kStreamRows || offset % kPage != 0 || vectors.size() % kPage != 0)
      return rows_.write(first, vectors);
    while (free_.empty()) collect();
    const unsigned index = free_.back();
    free_.pop_back();
    std::memcpy(stream().buffer(index), vectors.data(), vectors.size());
    stream().write(index, offset, vectors.size());
  }
  void overwrite(std::span<const BatchRow> rows) override {
    for (const auto& row : rows) rows_.put(row.key, row.vector, Durability::kBuffered);
  }

 private:
  struct Found {
    std::size_t position;
    Pages pages;
  };

  [[nodiscard]] Pages pages_of(std::uint32_t row) const noexcept {
    const std::uint64_t begin = row * rows_.vector_bytes();
    const std::uint64_t offset = begin / kPage * kPage;
    const std::size_t skip = begin - offset;
    return {.offset = offset, .bytes = up_to_page(skip + rows_.vector_bytes()), .skip = skip};
  }
  /// The last row may end before its page does.
  void check_whole(std::size_t bytes, const Pages& pages) const {
    must_be(bytes >= pages.skip + rows_.vector_bytes(), "a read is whole");
  }
  void collect() {
    stream().wait([&](unsigned index, std::size_t) { free_.push_back(index); });
  }
  DirectRing& reads() {
    if (reads_ == nullptr)
      reads_ = std::make_unique<DirectRing>(direct_, kReadDepth, rows_.vector_bytes() + 2 * kPage);
    return *reads_;
  }
  DirectRing& stream() {
    if (stream_ == nullptr)
      stream_ = std::make_unique<DirectRing>(direct_, kStreamDepth, kStreamRows * rows_.vector_bytes());
    return *stream_;
  }

  RawRows& rows_;
  int direct_;
  Durability durability_;
  std::vector<unsigned> free_;  ///< Buffers of `stream` that no write uses.
  std::vector<Found> found_;
  std::unique_ptr<DirectRing> reads_;
  std::unique_ptr<DirectRing> stream_;
};

class UringStore final : public ComparedStore {
 public:
  explicit UringStore(const OpenOptions& options)
      : rows_(options),
        direct_(::open(rows_.vectors_path().c_str(), O_RDWR | O_DIRECT | O_CLOEXEC)),
        durability_(options.durability) {
    check_errno(direct_ >= 0, "open with O_DIRECT");
  }
  ~UringStore() override { ::close(direct_); }

  std::unique_ptr<Client> client() override {
    return std::make_unique<UringClient>(rows_, direct_, durability_);
  }
  void sync() override { rows_.sync(); }
  void drop() override { rows_.drop(); }

 private:
  RawRows rows_;
  int direct_;
  Durability durability_;
};

std::string obstacle() {
  io_uring ring{};
  const int code = init_ring(ring);
  if (code < 0) return std::string("no io_uring: ") + std::strerror(-code);
  io_uring_queue_exit(&ring);
  return {};
}

constexpr std::string_view kNoMemory = "reads the device each time";

const Registration kRegistration({
    .rank = 81,
    .name = "raw_uring",
    .title = "raw io_uring",
    .settings = "the same files and index; one ring a thread (SINGLE_ISSUER, DEFER_TASKRUN), registered file "
                "and buffers, "
                "O_DIRECT; multi_get at a depth of up to 128, scan and load in pieces of 512 rows at depth 8",
    .is_limit = true,
    .version = [] { return std::string("liburing " VECTOLITH_BENCH_LIBURING_VERSION); },
    .open = [](const OpenOptions& options) -> std::unique_ptr<ComparedStore> {
      return std::make_unique<UringStore>(options);
    },
    .lacks = {{Ability::kWarmReads, kNoMemory},
              {Ability::kPuts, "as raw mmap"},
              {Ability::kCompact, "overwrites in place"},
              {Ability::kReadsBesideWrites, kNoMemory}},
    .obstacle = obstacle,
});

}  // namespace
}  // namespace vectolith::bench::compare
