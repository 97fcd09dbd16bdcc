/// @file
/// Buffers and operations of a commit.
#include "store/commit_plan.h"

#include <cerrno>

#include "planted_bug.h"

namespace vectolith::engine {

void append_buffer(std::pmr::vector<IoOperation::Buffer>& buffers, std::span<const std::byte> bytes) {
  auto* data = const_cast<std::byte*>(bytes.data());  // Written from only; the buffer type serves reads too.
  if (!buffers.empty()) {
    auto& last = buffers.back();
    if (static_cast<std::byte*>(last.data) + last.bytes == data) {
      last.bytes += bytes.size();
      return;
    }
  }
  buffers.push_back({data, bytes.size()});
}

std::uint16_t durable_lag(std::uint32_t row, std::uint32_t rows_durable) noexcept {
  const std::uint32_t lag = row - rows_durable;
  return lag >= format::kLagUnknown ? format::kLagUnknown : static_cast<std::uint16_t>(lag);
}

void append_operations(CommitRun& run, std::pmr::vector<IoOperation>& operations) {
  const auto& header = run.segment->header();
  run.first_operation = operations.size();
  const auto add_write = [&](std::uint64_t offset, std::pmr::vector<IoOperation::Buffer>& buffers) {
    IoOperation write;
    write.kind = IoOperation::Kind::kWrite;
    write.file = &run.segment->file();
    write.offset = offset;
    write.buffers = buffers;
    write.linked = !is_planted(PlantedBug::kUnlinkedSync);
    operations.push_back(write);
  };
  if (run.segment->holds_records()) {
    append_buffer(run.meta_buffers, run.records);
    add_write(header.matrix_offset + std::uint64_t{run.first_row} * 64, run.meta_buffers);
  } else {
    append_buffer(run.meta_buffers, std::as_bytes(std::span(run.metas)));
    add_write(run.segment->vector_offset(run.first_row), run.vectors);
    add_write(run.segment->meta_offset(run.first_row), run.meta_buffers);
  }
  run.write_operations = operations.size() - run.first_operation;
  if (run.needs_sync) {
    IoOperation sync;
    sync.kind = IoOperation::Kind::kDataSync;
    sync.file = &run.segment->file();
    operations.push_back(sync);
  } else {
    operations.back().linked = false;
  }
}

Error operation_error(const IoOperation& operation) {
  const bool full = operation.error == ENOSPC || operation.error == EDQUOT;
  const bool sync = operation.kind == IoOperation::Kind::kDataSync;
  return Error(full ? ErrorCode::kNoSpace : ErrorCode::kIo, sync ? "fdatasync failed" : "a write failed")
      .with_errno(operation.error)
      .with_file(operation.file->path())
      .with_offset(operation.offset);
}

}  // namespace vectolith::engine
