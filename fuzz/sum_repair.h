/// @file
/// Makes the sums of whole files hold again after a mutation, so that a fuzzer gets past them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include <vectolith/format/ids.h>
#include <vectolith/format/segment.h>

namespace vectolith::fuzz {

/// Whether the sum over bytes [offset, offset + bytes) of a file is to be made right; empty: every sum.
using Wanted = std::function<bool(std::size_t offset, std::size_t bytes)>;

// Each follows lengths and counts as far as they stay inside `file`, whatever its bytes are.
void repair_superblock(std::span<std::byte> file);
void repair_manifest(std::span<std::byte> file, const Wanted& wanted = {});
void repair_journal(std::span<std::byte> file, const Wanted& wanted = {});
void repair_segment(std::span<std::byte> file, const Wanted& wanted = {});

/// The sum of the 4 KiB header at the front; nothing if the file is shorter.
void repair_header(std::span<std::byte> file);
/// The row sum of one meta row of 64 bytes. Precondition: row.size() == 64.
void repair_meta_row(std::span<std::byte> row, const Uuid& life, RowIndex index);
/// Both sums of the record at the front of `bytes`. Returns its units; 0 if it is not inside `bytes`.
std::uint32_t repair_record(std::span<std::byte> bytes, const Uuid& life, RowIndex unit);
/// The sum of the footer that `region` begins with.
void repair_footer(std::span<std::byte> region, const Uuid& life);

}  // namespace vectolith::fuzz
