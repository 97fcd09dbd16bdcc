/// @file
/// Creating, appending to and scanning journal files.
#include "log/journal_file.h"

#include <array>
#include <cstring>
#include <utility>

#include <vectolith/format/file_name.h>

#include "no_memory.h"

namespace vectolith::engine {

Result<std::unique_ptr<JournalFile>> JournalFile::create(Directory& directory,
                                                         const format::JournalHeader& header) {
  const std::string name = format::journal_name(header.journal_id);
  VECTOLITH_TRY_ASSIGN(auto file, directory.open(name, OpenMode::kCreateNew));
  const std::uint64_t file_bytes = format::kJournalHeaderBytes + std::uint64_t{header.row_capacity} * 64;
  auto made = catch_no_memory([&]() -> Result<std::unique_ptr<JournalFile>> {
    VECTOLITH_TRY_ASSIGN(const bool locked, file->try_lock(LockMode::kExclusive));
    if (!locked) {
      return std::unexpected(
          Error(ErrorCode::kLocked, "a new journal file is locked").with_file(file->path()));
    }
    VECTOLITH_TRY(file->preallocate(0, file_bytes));
    VECTOLITH_TRY(file->write_at(0, format::encode_journal_header(header)));
    VECTOLITH_TRY(file->data_sync());
    VECTOLITH_TRY(directory.sync());
    return std::unique_ptr<JournalFile>(new JournalFile(header, std::move(file)));
  });
  if (!made) (void)directory.unlink(name);
  return made;
}

Result<std::unique_ptr<JournalFile>> JournalFile::open(Directory& directory, JournalId id, OpenMode mode) {
  VECTOLITH_TRY_ASSIGN(auto file, directory.open(format::journal_name(id), mode));
  std::array<std::byte, format::kJournalHeaderBytes> bytes;
  VECTOLITH_TRY(file->read_exact(0, bytes));
  auto header = format::decode_journal_header(bytes);
  if (!header) return std::unexpected(std::move(header).error().with_file(file->path()));
  return std::unique_ptr<JournalFile>(new JournalFile(*header, std::move(file)));
}

std::uint64_t JournalFile::place(format::JournalRow& row) noexcept {
  format::seal_journal_row(row, header_.journal_uuid, next_row_);
  return format::kJournalHeaderBytes + std::uint64_t{next_row_++} * sizeof(format::JournalRow);
}

Result<JournalFile::Scan> JournalFile::scan(
    const std::function<void(const format::JournalRow&)>& visit) const {
  constexpr std::size_t kRowsPerRead = 16'384;
  std::vector<format::JournalRow> rows(kRowsPerRead);
  Scan scan;
  for (std::uint32_t first = 0; first < header_.row_capacity; first += kRowsPerRead) {
    const auto count = std::min<std::size_t>(kRowsPerRead, header_.row_capacity - first);
    const auto bytes = std::as_writable_bytes(std::span(rows).first(count));
    VECTOLITH_TRY(file_->read_exact(format::kJournalHeaderBytes + std::uint64_t{first} * 64, bytes));
    for (std::uint32_t i = 0; i < count; ++i) {
      switch (format::classify_journal_row(rows[i], header_.journal_uuid, first + i)) {
        case format::JournalRowState::kValid:
          visit(rows[i]);
          scan.rows = first + i + 1;
          scan.invalid_tail = 0;
          break;
        case format::JournalRowState::kInvalid:
          ++scan.invalid;
          ++scan.invalid_tail;
          break;
        case format::JournalRowState::kZero: break;
      }
    }
  }
  return scan;
}

}  // namespace vectolith::engine
