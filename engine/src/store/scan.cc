/// @file
/// Scans, block by block.
#include "store/scan.h"

#include <algorithm>
#include <array>

#include "store/cold_reads.h"

namespace vectolith::engine {
namespace {

/// Large enough for the device's sequential rate, small enough to stay in the processor's cache.
constexpr std::size_t kBlockBytes = std::size_t{1} << 20;
constexpr std::uint32_t kBlocksAhead = 4;

std::uint32_t rows_per_block(const SegmentView& view) noexcept {
  return static_cast<std::uint32_t>(std::max<std::size_t>(1, kBlockBytes / view.stride_bytes));
}

RowBlock block_at(const SegmentView& view, std::uint32_t first_row) noexcept {
  const std::uint32_t rows = std::min(rows_per_block(view), view.rows - first_row);
  return {.segment = view.id,
          .first_row = first_row,
          .rows = rows,
          .dim = view.dim,
          .dtype = view.dtype,
          .stride_bytes = view.stride_bytes,
          .base = view.base + std::size_t{first_row} * view.stride_bytes,
          .meta = view.meta.subspan(first_row, rows),
          .view = &view};
}

/// Shows what lies in the mapping; what was not touched before is loaded a few blocks ahead.
class MappedScan {
 public:
  MappedScan(StoreContext& context, const MappedSegment& segment, const SegmentView& view)
      : context_(context), segment_(segment), view_(view) {}

  Result<bool> run(const BlockVisitor& visit) {
    for (std::uint32_t row = 0; row < view_.rows; row += rows_per_block(view_)) {
      const RowBlock block = block_at(view_, row);
      VECTOLITH_TRY(bring_in(block));
      if (!visit(block)) return false;
    }
    return true;
  }

 private:
  Result<void> bring_in(const RowBlock& block) {
    const auto mode = context_.options.verify;
    if (mode != VerifyMode::kAlways && was_touched(block)) return {};
    ask_ahead(block);
    VECTOLITH_TRY(segment_.mapping().populate(segment_.vector_offset(block.first_row),
                                              std::uint64_t{block.rows} * block.stride_bytes));
    for (std::uint32_t i = 0; i < block.rows; ++i) {
      if (!block.is_live(i)) continue;
      if (mode != VerifyMode::kOff)
        VECTOLITH_TRY(segment_.check_row_bytes(block.first_row + i, block.vector(i)));
      segment_.mark_verified(block.first_row + i);
    }
    return {};
  }
  [[nodiscard]] bool was_touched(const RowBlock& block) const {
    for (std::uint32_t i = 0; i < block.rows; ++i) {
      if (block.is_live(i) && !segment_.was_verified(block.first_row + i)) return false;
    }
    return true;
  }
  void ask_ahead(const RowBlock& block) {
    const std::uint64_t end = std::min<std::uint64_t>(
        view_.rows, block.first_row + std::uint64_t{rows_per_block(view_)} * (kBlocksAhead + 1));
    asked_ = std::max(asked_, block.first_row);
    if (asked_ >= end) return;
    const std::array ranges = {std::span(view_.base + std::size_t{asked_} * view_.stride_bytes,
                                         static_cast<std::size_t>(end - asked_) * view_.stride_bytes)};
    context_.environment->will_need(ranges);
    asked_ = static_cast<std::uint32_t>(end);
  }

  StoreContext& context_;
  const MappedSegment& segment_;
  const SegmentView& view_;
  std::uint32_t asked_ = 0;  ///< Rows before this one are on their way into memory.
};

/// Reads blocks past the page cache, a few at a time, and shows them in order.
class ColdScan {
 public:
  ColdScan(StoreContext& context, const MappedSegment& segment, const SegmentView& view, File& file)
      : context_(context), segment_(segment), view_(view), file_(file) {}

  Result<bool> run(const BlockVisitor& visit) {
    VECTOLITH_TRY(prepare());
    const std::uint32_t blocks = (view_.rows + rows_per_block(view_) - 1) / rows_per_block(view_);
    for (std::uint32_t block = 0; block < std::min(blocks, kBlocksAhead); ++block) send(block);
    for (std::uint32_t block = 0; block < blocks; ++block) {
      VECTOLITH_TRY_ASSIGN(const auto shown, receive(block));
      if (!visit(shown)) return false;
      if (block + kBlocksAhead < blocks) send(block + kBlocksAhead);
    }
    return true;
  }

 private:
  struct Slot {
    IoOperation operation;
    IoOperation::Buffer buffer;
    std::span<std::byte> memory;
    AlignedRange range;
  };

  Result<void> prepare() {
    const std::size_t block_bytes = std::size_t{rows_per_block(view_)} * view_.stride_bytes;
    const std::size_t unit = std::max<std::size_t>(file_.direct_alignment(), 4'096);
    const std::size_t slot_bytes = (block_bytes + unit - 1) / unit * unit + unit;
    VECTOLITH_TRY_ASSIGN(memory_, context_.environment->allocate_pages(slot_bytes * slots_.size()));
    for (std::size_t i = 0; i < slots_.size(); ++i)
      slots_[i].memory = memory_->bytes().subspan(i * slot_bytes, slot_bytes);
    VECTOLITH_TRY_ASSIGN(queue_, context_.environment->make_read_queue(kBlocksAhead));
    return {};
  }
  void send(std::uint32_t number) {
    const RowBlock block = block_at(view_, number * rows_per_block(view_));
    Slot& slot = slots_[number % kBlocksAhead];
    slot.range = align_range(segment_.vector_offset(block.first_row),
                             std::size_t{block.rows} * block.stride_bytes, file_.direct_alignment());
    slot.buffer = {.data = slot.memory.data(), .bytes = slot.range.bytes};
    slot.operation = {.kind = IoOperation::Kind::kRead,
                      .file = &file_,
                      .offset = slot.range.offset,
                      .buffers = {&slot.buffer, 1}};
    // A broken queue ends the operation with an error, which `receive` finds there.
    static_cast<void>(queue_->submit({&slot.operation, 1}));
  }
  Result<RowBlock> receive(std::uint32_t number) {
    RowBlock block = block_at(view_, number * rows_per_block(view_));
    const Slot& slot = slots_[number % kBlocksAhead];
    static_cast<void>(queue_->wait(slot.operation));
    if (slot.operation.error != 0) {
      return std::unexpected(Error(ErrorCode::kIo, "read of vectors")
                                 .with_errno(slot.operation.error)
                                 .with_file(segment_.path())
                                 .with_offset(slot.range.offset));
    }
    const std::size_t bytes = std::size_t{block.rows} * block.stride_bytes;
    if (slot.operation.transferred < slot.range.head + bytes)
      return std::unexpected(segment_.truncated_at(block.first_row));
    block.base = slot.memory.data() + slot.range.head;
    if (context_.options.verify == VerifyMode::kOff) return block;
    for (std::uint32_t i = 0; i < block.rows; ++i) {
      if (block.is_live(i)) VECTOLITH_TRY(segment_.check_row_bytes(block.first_row + i, block.vector(i)));
    }
    return block;
  }

  StoreContext& context_;
  const MappedSegment& segment_;
  const SegmentView& view_;
  File& file_;
  std::unique_ptr<Pages> memory_;
  std::array<Slot, kBlocksAhead> slots_;
  std::unique_ptr<IoQueue> queue_;  ///< Last, so that it waits for the device before the memory goes.
};

}  // namespace

Result<bool> scan_segment(StoreContext& context, const MappedSegment& segment, const SegmentView& view,
                          bool is_cold, const BlockVisitor& visit) {
  if (is_cold && segment.is_settled()) {
    if (const auto file = segment.read_file(*context.directory, OpenMode::kReadDirect))
      return ColdScan(context, segment, view, **file).run(visit);
  }
  return MappedScan(context, segment, view).run(visit);
}

}  // namespace vectolith::engine
