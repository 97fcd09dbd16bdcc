/// @file
/// Opening, creating and checking of a mapped segment file.
#include "segment/mapped_segment.h"

#include <array>
#include <string>
#include <utility>

#include <vectolith/format/file_name.h>

#include "no_memory.h"
#include "planted_bug.h"

namespace vectolith::engine {
namespace {

/// Of a segment that takes small commits: one in a hundred or so pays for the blocks of the others.
constexpr std::uint64_t kAheadBytes = 512U << 10;

constexpr std::size_t kZeroBytes = 256U << 10;

/// A failure is left to the write of the rows.
void write_zeros(File& file, std::uint64_t offset, std::uint64_t length) noexcept {
  alignas(4'096) static const std::array<std::byte, kZeroBytes> kZeros{};
  for (std::uint64_t done = 0; done < length; done += kZeroBytes) {
    const auto chunk = std::span(kZeros).first(std::min<std::uint64_t>(kZeroBytes, length - done));
    if (!file.write_at(offset + done, chunk)) return;
  }
}

Result<void> initialise_file(File& file, const format::SegmentHeader& header) {
  VECTOLITH_TRY(file.preallocate(0, header.file_bytes));
  VECTOLITH_TRY(file.write_at(0, format::encode_segment_header(header)));
  return file.data_sync();
}

}  // namespace

MappedSegment::MappedSegment(const format::SegmentHeader& header, std::unique_ptr<File> file,
                             std::pmr::memory_resource& heap)
    : header_(header),
      file_(std::move(file)),
      path_(file_->path()),
      live_(header.row_capacity, heap),
      verified_(header.row_capacity, heap) {}

Result<std::shared_ptr<MappedSegment>> MappedSegment::create(Directory& directory,
                                                             const format::SegmentHeader& header,
                                                             std::pmr::memory_resource& heap) {
  const std::string name = format::segment_name(header.segment_id);
  VECTOLITH_TRY_ASSIGN(auto file, directory.open(name, OpenMode::kCreateNew));
  auto made = catch_no_memory([&]() -> Result<std::shared_ptr<MappedSegment>> {
    VECTOLITH_TRY_ASSIGN(const bool locked, file->try_lock(LockMode::kExclusive));
    if (!locked) {
      return std::unexpected(
          Error(ErrorCode::kLocked, "a new segment file is locked").with_file(file->path()));
    }
    VECTOLITH_TRY(initialise_file(*file, header));
    // A segment counts only once its name is durable (rule R9): without this a crash can keep the
    // manifest edit and lose the file that it names.
    if (!is_planted(PlantedBug::kNoDirectorySync)) VECTOLITH_TRY(directory.sync());
    std::shared_ptr<MappedSegment> segment(new MappedSegment(header, std::move(file), heap));
    VECTOLITH_TRY(segment->map());
    return segment;
  });
  if (!made) (void)directory.unlink(name);
  return made;
}

Result<std::shared_ptr<MappedSegment>> MappedSegment::open(Directory& directory, SegmentId id, OpenMode mode,
                                                           std::pmr::memory_resource& heap) {
  VECTOLITH_TRY_ASSIGN(auto file, directory.open(format::segment_name(id), mode));
  std::array<std::byte, format::kSegmentHeaderBytes> bytes;
  VECTOLITH_TRY(file->read_exact(0, bytes));
  auto header = format::decode_segment_header(bytes);
  if (!header) return std::unexpected(std::move(header).error().with_file(file->path()));
  VECTOLITH_TRY_ASSIGN(const auto size, file->size());
  if (size < header->file_bytes) {
    return std::unexpected(Error(ErrorCode::kCorruption, "the segment file is truncated")
                               .with_file(file->path())
                               .with_offset(size)
                               .with_expected(std::to_string(header->file_bytes) + " bytes")
                               .with_found(std::to_string(size)));
  }
  return std::shared_ptr<MappedSegment>(new MappedSegment(*header, std::move(file), heap));
}

Result<void> MappedSegment::map() {
  VECTOLITH_TRY_ASSIGN(mapping_, file_->map());
  const auto bytes = mapping_->bytes();
  matrix_ = bytes.data() + header_.matrix_offset;
  heads_ = holds_records() ? matrix_ : bytes.data() + header_.meta_offset;
  return {};
}

std::span<const std::byte> MappedSegment::record_bytes(std::uint32_t unit) const noexcept {
  const std::uint64_t first = std::uint64_t{unit} * 64;
  const std::uint64_t end = std::uint64_t{capacity()} * 64;
  return {matrix_ + first, static_cast<std::size_t>(end - first)};
}

Result<File*> MappedSegment::read_file(Directory& directory, OpenMode mode) const {
  LateFile& late = mode == OpenMode::kReadDirect ? direct_ : cached_;
  if (File* const file = late.file.load(std::memory_order_acquire)) return file;
  const std::lock_guard lock(late_mutex_);
  if (late.owner == nullptr) {
    VECTOLITH_TRY_ASSIGN(late.owner, directory.open(format::segment_name(id()), mode));
    late.file.store(late.owner.get(), std::memory_order_release);
  }
  return late.owner.get();
}

void MappedSegment::write_ahead(std::uint32_t row) noexcept {
  if (row < rows_written_ahead_ || row >= capacity()) return;
  const std::uint64_t wanted = std::max<std::uint64_t>(1, kAheadBytes / header_.row_bytes);
  const auto rows = static_cast<std::uint32_t>(std::min<std::uint64_t>(wanted, capacity() - row));
  if (!holds_records()) write_zeros(*file_, vector_offset(row), std::uint64_t{rows} * header_.row_bytes);
  write_zeros(*file_, meta_offset(row), std::uint64_t{rows} * 64);
  rows_written_ahead_ = row + rows;
}

Error MappedSegment::truncated_at(std::uint32_t row) const {
  return Error(ErrorCode::kCorruption, "the segment file ends inside a vector")
      .with_file(path_)
      .with_offset(vector_offset(row));
}

Result<void> MappedSegment::verify_vector_row(std::uint32_t row) const {
  VECTOLITH_TRY(mapping_->populate(vector_offset(row), header_.row_bytes));
  return check_row_bytes(row, {vector(row), header_.row_bytes});
}

Result<void> MappedSegment::check_row_bytes(std::uint32_t row, std::span<const std::byte> bytes) const {
  const auto& meta_row = meta(row);
  const auto expected = format::row_sum(header_.segment_uuid, RowIndex(row), meta_row);
  if (expected != meta_row.row_sum) {
    return std::unexpected(Error(ErrorCode::kCorruption, "the row's meta sum does not hold")
                               .with_file(path_)
                               .with_offset(meta_offset(row))
                               .with_expected(std::to_string(meta_row.row_sum))
                               .with_found(std::to_string(expected)));
  }
  const auto sum = format::vector_sum(header_.segment_uuid, RowIndex(row), bytes);
  if (sum != meta_row.vector_sum) {
    return std::unexpected(Error(ErrorCode::kCorruption, "the vector's sum does not hold")
                               .with_file(path_)
                               .with_offset(vector_offset(row))
                               .with_expected(std::to_string(meta_row.vector_sum))
                               .with_found(std::to_string(sum)));
  }
  return {};
}

Result<format::RecordView> MappedSegment::record(std::uint32_t unit) const {
  const std::uint64_t offset = header_.matrix_offset + std::uint64_t{unit} * 64;
  const auto bytes = record_bytes(unit);
  VECTOLITH_TRY(mapping_->populate(offset, std::min<std::size_t>(bytes.size(), 4'096)));
  auto view = format::decode_record_header(bytes, header_.segment_uuid, RowIndex(unit));
  if (view) {
    VECTOLITH_TRY(mapping_->populate(offset, std::uint64_t{view->units()} * 64));
    view = format::decode_record(bytes, header_.segment_uuid, RowIndex(unit));
  }
  if (!view) {
    const bool zero = view.error().code() == ErrorCode::kNotFound;
    if (zero) view = fail(ErrorCode::kCorruption, "a record that the index names reads as zeros");
    return std::unexpected(std::move(view).error().with_file(path_).with_offset(offset));
  }
  return view;
}

Result<void> MappedSegment::verify_row(std::uint32_t row) const {
  if (!holds_records()) return verify_vector_row(row);
  VECTOLITH_TRY(record(row));
  return {};
}

Result<void> MappedSegment::verify_and_mark(std::uint32_t row) const {
  VECTOLITH_TRY(verify_row(row));
  mark_verified(row);
  return {};
}

}  // namespace vectolith::engine
