/// @file
/// Rows read past the page cache, many at a time.
#include "store/cold_reads.h"

#include <chrono>
#include <cstring>
#include <utility>

#include "no_memory.h"

namespace vectolith::engine {

AlignedRange align_range(std::uint64_t offset, std::size_t bytes, std::uint32_t alignment) noexcept {
  const std::uint64_t begin = offset / alignment * alignment;
  const std::uint64_t end = (offset + bytes + alignment - 1) / alignment * alignment;
  return {.offset = begin,
          .bytes = static_cast<std::size_t>(end - begin),
          .head = static_cast<std::size_t>(offset - begin)};
}

Result<ColdReads::Batch> ColdReads::begin(std::size_t row_bytes, VerifyMode verify) {
  std::unique_ptr<Lane> lane;
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      lane = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (lane == nullptr) {
    lane = std::make_unique<Lane>();
    VECTOLITH_TRY_ASSIGN(lane->queue, environment_.make_read_queue(kDepth));
    lane->queue->reserve(kDepth);
    const std::lock_guard lock(mutex_);
    idle_.reserve(lanes_ + 1);
    ++lanes_;
  }
  Batch batch(*this, std::move(lane), row_bytes, verify);
  VECTOLITH_TRY(batch.make_room());
  return batch;
}

ColdReads::Batch::~Batch() {
  if (lane_ == nullptr) return;
  for (std::size_t slot = 0; flying_ > 0 && slot < kDepth; ++slot) {
    if (lane_->slots[slot].busy) static_cast<void>(lane_->queue->wait(lane_->operations[slot]));
    lane_->slots[slot].busy = false;
  }
  lane_->reads.clear();
  const std::lock_guard lock(reads_->mutex_);
  reads_->idle_.push_back(std::move(lane_));
}

Result<void> ColdReads::Batch::make_room() {
  // A row that begins anywhere touches at most one aligned unit more than its length; a page is the largest.
  constexpr std::size_t kUnit = 4'096;
  const std::size_t slot_bytes = (row_bytes_ + kUnit - 1) / kUnit * kUnit + kUnit;
  const std::size_t had = lane_->memory == nullptr ? 0 : lane_->memory->bytes().size();
  if (had < kDepth * slot_bytes) {
    lane_->memory.reset();
    reads_->buffer_bytes_.fetch_sub(had, std::memory_order_relaxed);
    VECTOLITH_TRY_ASSIGN(lane_->memory, reads_->environment_.allocate_pages(kDepth * slot_bytes));
    reads_->buffer_bytes_.fetch_add(kDepth * slot_bytes, std::memory_order_relaxed);
  }
  for (std::size_t slot = 0; slot < kDepth; ++slot)
    lane_->slots[slot].memory = &lane_->memory->bytes()[slot * slot_bytes];
  return {};
}

std::size_t ColdReads::Batch::add(const MappedSegment& segment, std::uint32_t row, std::byte* into) {
  lane_->reads.push_back({&segment, row, into, std::nullopt});
  return lane_->reads.size() - 1;
}

const Error* ColdReads::Batch::first_error() const {
  for (const auto& read : lane_->reads) {
    if (read.error) return &*read.error;
  }
  return nullptr;
}

void ColdReads::Batch::start() noexcept {
  // One row alone takes a plain read, which spares the way through the queue.
  if (lane_->reads.size() - next_ < 2) return;
  std::size_t count = 0;
  for (; count < kDepth && next_ < lane_->reads.size();) {
    if (send(count)) ++count;
  }
  // A broken queue ends the operations with an error, which `finish` finds there.
  if (count > 0) static_cast<void>(lane_->queue->submit(std::span(lane_->operations).first(count)));
}

Result<File*> ColdReads::Batch::file_of(const Read& read) const noexcept {
  return catch_no_memory([&] { return read.segment->read_file(*reads_->directory_, OpenMode::kReadDirect); });
}

bool ColdReads::Batch::send(std::size_t slot) noexcept {
  Read& read = lane_->reads[next_++];
  const auto file = file_of(read);
  if (!file) {
    read_mapped(read);
    return false;
  }
  const auto range =
      align_range(read.segment->vector_offset(read.row), row_bytes_, (*file)->direct_alignment());
  Slot& used = lane_->slots[slot];
  used = {.memory = used.memory,
          .buffer = {.data = used.memory, .bytes = range.bytes},
          .read = next_ - 1,
          .head = range.head,
          .busy = true};
  lane_->operations[slot] = {
      .kind = IoOperation::Kind::kRead, .file = *file, .offset = range.offset, .buffers = {&used.buffer, 1}};
  ++flying_;
  return true;
}

void ColdReads::Batch::finish() noexcept {
  while (flying_ > 0) {
    bool ended = false;
    for (std::size_t slot = 0; slot < kDepth && flying_ > 0; ++slot) {
      if (!lane_->slots[slot].busy || !lane_->operations[slot].done) continue;
      end(slot);
      ended = true;
      while (next_ < lane_->reads.size() && !send(slot)) {
      }
      if (lane_->slots[slot].busy)
        static_cast<void>(lane_->queue->submit(std::span(lane_->operations).subspan(slot, 1)));
    }
    if (!ended) static_cast<void>(lane_->queue->wait_some(std::chrono::hours(1)));
  }
  for (; next_ < lane_->reads.size(); ++next_) read_alone(lane_->reads[next_]);
}

void ColdReads::Batch::end(std::size_t slot) noexcept {
  const IoOperation& operation = lane_->operations[slot];
  Slot& used = lane_->slots[slot];
  used.busy = false;
  --flying_;
  Read& read = lane_->reads[used.read];
  if (operation.error != 0) {
    read.error = Error(ErrorCode::kIo, "read of a vector")
                     .with_errno(operation.error)
                     .with_file(read.segment->path())
                     .with_offset(operation.offset);
  } else if (operation.transferred < used.head + row_bytes_) {
    read.error = read.segment->truncated_at(read.row);
  } else {
    settle(read, used.memory + used.head);
  }
}

void ColdReads::Batch::settle(Read& read, const std::byte* bytes) noexcept {
  if (verify_ != VerifyMode::kOff) {
    auto holds =
        catch_no_memory([&] { return read.segment->check_row_bytes(read.row, {bytes, row_bytes_}); });
    if (!holds) {
      read.error = std::move(holds).error();
      return;
    }
  }
  std::memcpy(read.into, bytes, row_bytes_);
}

void ColdReads::Batch::read_mapped(Read& read) noexcept {
  if (auto holds = catch_no_memory([&] { return read.segment->verify_row(read.row); }); !holds) {
    read.error = std::move(holds).error();
  } else {
    std::memcpy(read.into, read.segment->vector(read.row), row_bytes_);
  }
}

void ColdReads::Batch::read_alone(Read& read) noexcept {
  const auto file = file_of(read);
  if (!file) return read_mapped(read);
  const auto range =
      align_range(read.segment->vector_offset(read.row), row_bytes_, (*file)->direct_alignment());
  const auto memory = lane_->memory->bytes().first(range.bytes);
  const auto got = catch_no_memory([&] { return (*file)->read_at(range.offset, memory); });
  if (!got) {
    read.error = got.error();
  } else if (*got < range.head + row_bytes_) {
    read.error = read.segment->truncated_at(read.row);
  } else {
    settle(read, memory.data() + range.head);
  }
}

}  // namespace vectolith::engine
