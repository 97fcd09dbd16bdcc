/// @file
/// Rows read past the page cache, many at a time.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include <vectolith/format/result.h>
#include <vectolith/options.h>

#include "index/index_word.h"
#include "io/environment.h"
#include "segment/mapped_segment.h"

namespace vectolith::engine {

/// The part of a file to read for a row, as its alignment wants it, and where in it the row begins.
struct AlignedRange {
  std::uint64_t offset = 0;
  std::size_t bytes = 0;
  std::size_t head = 0;
};
AlignedRange align_range(std::uint64_t offset, std::size_t bytes, std::uint32_t alignment) noexcept;

/// Reads rows of settled segments from the device into the caller's memory. A batch has a lane, a queue with
/// buffers of its own, for as long as it lives; lanes are kept and used again.
/// Threads: any. Lifetime: environment and directory outlive it; batches end before it does.
class ColdReads {
 public:
  /// Reads that a lane has at the device at a time.
  static constexpr std::size_t kDepth = 128;

  ColdReads(Environment& environment, const std::unique_ptr<Directory>& directory) noexcept
      : environment_(environment), directory_(directory) {}

 private:
  struct Read {
    const MappedSegment* segment;
    std::uint32_t row;
    std::byte* into;
    std::optional<Error> error;
  };
  struct Slot {
    std::byte* memory;
    IoOperation::Buffer buffer;  ///< Of the read under way; the queue may consume it.
    std::size_t read;            ///< Which one it carries.
    std::size_t head;
    bool busy = false;
  };
  struct Lane {
    std::unique_ptr<IoQueue> queue;
    std::unique_ptr<Pages> memory;
    std::vector<IoOperation> operations = std::vector<IoOperation>(kDepth);
    std::vector<Slot> slots = std::vector<Slot>(kDepth);
    std::vector<Read> reads;
    std::vector<std::uint64_t> hashes;
    std::vector<std::optional<Location>> candidates;
  };

 public:
  /// Reads under way. The caller is inside an epoch scope from `add` to the end of `finish`.
  class Batch {
   public:
    Batch(Batch&&) noexcept = default;
    Batch(const Batch&) = delete;
    Batch& operator=(Batch&&) = delete;
    Batch& operator=(const Batch&) = delete;
    /// Waits for what was started.
    ~Batch();

    /// Takes a row, whose bytes `finish` leaves at `into` if their sums hold. Returns its number.
    std::size_t add(const MappedSegment& segment, std::uint32_t row, std::byte* into);
    /// Sends what was added to the device.
    void start() noexcept;
    /// Returns when everything that was added is read, and begins anew: numbers stay, more may be added.
    void finish() noexcept;
    /// What became of a read. Errors: kIo, kCorruption, with file and offset.
    [[nodiscard]] const std::optional<Error>& error(std::size_t read) const {
      return lane_->reads[read].error;
    }

    /// The first of the errors, or null.
    [[nodiscard]] const Error* first_error() const;

    /// Room for the caller's probes: as many hashes and candidates as `resize` asked for last.
    void resize_probes(std::size_t count) {
      lane_->hashes.resize(count);
      lane_->candidates.resize(count);
    }
    [[nodiscard]] std::span<std::uint64_t> hashes() { return lane_->hashes; }
    [[nodiscard]] std::span<std::optional<Location>> candidates() { return lane_->candidates; }

   private:
    friend class ColdReads;
    Batch(ColdReads& reads, std::unique_ptr<Lane> lane, std::size_t row_bytes, VerifyMode verify)
        : reads_(&reads), lane_(std::move(lane)), row_bytes_(row_bytes), verify_(verify) {}
    Result<void> make_room();
    // From here on nothing may fail for want of memory: the device has reads of this batch.
    bool send(std::size_t slot) noexcept;
    void end(std::size_t slot) noexcept;
    void settle(Read& read, const std::byte* bytes) noexcept;
    void read_alone(Read& read) noexcept;
    /// Where the file cannot be opened again: its family was dropped, or descriptors ran out.
    void read_mapped(Read& read) noexcept;
    [[nodiscard]] Result<File*> file_of(const Read& read) const noexcept;

    ColdReads* reads_;
    std::unique_ptr<Lane> lane_;
    std::size_t row_bytes_;
    VerifyMode verify_;
    std::size_t next_ = 0;    ///< The first read that is not sent.
    std::size_t flying_ = 0;  ///< Reads at the device.
  };

  /// A batch of rows of `row_bytes`. Errors: kIo, kNoSpace when there is neither a queue nor memory for one.
  Result<Batch> begin(std::size_t row_bytes, VerifyMode verify);
  /// Bytes of buffers that lanes hold, in use or not.
  [[nodiscard]] std::uint64_t buffer_bytes() const noexcept {
    return buffer_bytes_.load(std::memory_order_relaxed);
  }

 private:
  Environment& environment_;
  const std::unique_ptr<Directory>& directory_;  ///< Set after construction, when the store opens.
  std::mutex mutex_;
  std::vector<std::unique_ptr<Lane>> idle_;  ///< [mutex_] With room for all lanes.
  std::size_t lanes_ = 0;                    ///< [mutex_] Idle or not.
  std::atomic<std::uint64_t> buffer_bytes_{0};
};

}  // namespace vectolith::engine
