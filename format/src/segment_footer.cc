/// @file
/// Footers of sealed segments: a fixed head, block sums, invalid ranges, interned entries.
#include <limits>
#include <string>

#include <vectolith/format/bytes.h>
#include <vectolith/format/segment.h>

#include "decode_checks.h"
#include "fixed_layouts.h"
#include "shared_encodings.h"

namespace vectolith::format {
namespace {

/// Everything after magic and sum; the magic is compared as it is.
constexpr std::size_t kSummedFrom = offsetof(FooterHead, segment_uuid);

std::uint64_t footer_sum(std::span<const std::byte> footer, const Uuid& life) noexcept {
  return checksum64(footer.subspan(kSummedFrom), position_seed(life, kFooterPosition));
}

FooterHead head_of(const SegmentFooter& footer) noexcept {
  FooterHead head;
  head.segment_uuid = footer.segment_uuid;
  head.row_count = footer.row_count;
  head.first_sequence = footer.first_sequence;
  head.last_sequence = footer.last_sequence;
  head.meta_sum = footer.meta_sum;
  head.block_count = static_cast<std::uint32_t>(footer.block_sums.size());
  head.range_count = static_cast<std::uint32_t>(footer.invalid.size());
  return head;
}

/// Writes the entries that fit and returns how many did.
std::uint32_t write_fitting(Writer& writer, const std::vector<InternedEntry>& entries,
                            std::uint64_t bytes_max) {
  std::uint32_t written = 0;
  for (const auto& entry : entries) {
    const bool encodable = entry.name.size() <= std::numeric_limits<std::uint16_t>::max();
    if (!encodable || interned_bytes(entry) > bytes_max - writer.size()) continue;
    write_interned(writer, entry);
    ++written;
  }
  return written;
}

std::uint64_t block_count_for(std::uint32_t row_count, std::uint32_t row_bytes) noexcept {
  return (std::uint64_t{row_count} * row_bytes + kMatrixBlockBytes - 1) / kMatrixBlockBytes;
}

Result<FooterHead> decode_head(std::span<const std::byte> region, const SegmentHeader& header) {
  if (region.size() < sizeof(FooterHead)) {
    return corrupt("segment footer is truncated", region.size(), sizeof(FooterHead), region.size());
  }
  if (all_zero(region.first(sizeof(FooterHead)))) {
    return fail(ErrorCode::kNotFound, "segment footer was never written: the segment is not sealed");
  }
  FooterHead head;
  std::memcpy(&head, region.data(), sizeof(head));
  if (head.magic != kFooterMagic) {
    return corrupt("segment footer: wrong magic", 0, std::string(kFooterMagic.begin(), kFooterMagic.end()),
                   "0x" + hex_of(region.first(head.magic.size())));
  }
  if (head.footer_bytes < sizeof(FooterHead) || head.footer_bytes > region.size()) {
    return corrupt("segment footer: illegal length", offsetof(FooterHead, footer_bytes),
                   "80 to " + std::to_string(region.size()), std::to_string(head.footer_bytes));
  }
  if (const auto sum = footer_sum(region.first(head.footer_bytes), header.segment_uuid);
      sum != head.checksum) {
    return corrupt_sum("segment footer: checksum does not hold for this life of the file",
                       offsetof(FooterHead, checksum), sum, head.checksum);
  }
  return head;
}

Result<void> check_head(const FooterHead& head, const SegmentHeader& header) {
  if (head.segment_uuid != header.segment_uuid) {
    return corrupt("segment footer: belongs to another segment", offsetof(FooterHead, segment_uuid),
                   hex_of(header.segment_uuid.bytes), hex_of(head.segment_uuid.bytes));
  }
  if (head.row_count > header.row_capacity) {
    return corrupt("segment footer: more rows than the segment holds", offsetof(FooterHead, row_count),
                   "at most " + std::to_string(header.row_capacity), std::to_string(head.row_count));
  }
  if (head.first_sequence > head.last_sequence || head.last_sequence.value > kSequenceMax) {
    return corrupt(
        "segment footer: sequences out of order or range", offsetof(FooterHead, first_sequence),
        "first <= last < 2^48",
        std::to_string(head.first_sequence.value) + ", " + std::to_string(head.last_sequence.value));
  }
  if (const auto blocks = block_count_for(head.row_count, header.row_bytes); head.block_count != blocks) {
    return corrupt("segment footer: wrong number of block sums", offsetof(FooterHead, block_count), blocks,
                   head.block_count);
  }
  if (header.kind == SegmentKind::kRecord && head.meta_sum != 0) {
    return corrupt("segment footer: records have no meta column", offsetof(FooterHead, meta_sum), 0,
                   head.meta_sum);
  }
  if ((head.flags & ~kFooterFlagsKnown) != 0) {
    return corrupt("segment footer: unknown flags", offsetof(FooterHead, flags), kFooterFlagsKnown,
                   head.flags);
  }
  return {};
}

Result<std::vector<std::uint64_t>> read_block_sums(Reader& reader, std::uint32_t count) {
  if (count > reader.remaining() / sizeof(std::uint64_t)) {
    return corrupt("segment footer: more block sums than bytes", offsetof(FooterHead, block_count),
                   reader.remaining() / sizeof(std::uint64_t), count);
  }
  std::vector<std::uint64_t> sums(count);
  for (auto& sum : sums) {
    VECTOLITH_TRY_ASSIGN(sum, reader.read<std::uint64_t>());
  }
  return sums;
}

Result<std::vector<InternedEntry>> read_interned_table(Reader& reader, std::uint32_t count) {
  if (count > reader.remaining() / kInternedBytesMin) {
    return corrupt("segment footer: more interned entries than bytes", offsetof(FooterHead, interned_count),
                   reader.remaining() / kInternedBytesMin, count);
  }
  std::vector<InternedEntry> entries;
  entries.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    VECTOLITH_TRY_ASSIGN(auto entry, read_interned(reader));
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace

Result<std::vector<std::byte>> encode_segment_footer(const SegmentFooter& footer,
                                                     std::uint64_t region_bytes) {
  const std::uint64_t needed = sizeof(FooterHead) + footer.block_sums.size() * sizeof(std::uint64_t) +
                               footer.invalid.size() * sizeof(RowRange);
  // A footer's length is a u32, however large the region.
  const std::uint64_t bytes_max =
      std::min<std::uint64_t>(region_bytes, std::numeric_limits<std::uint32_t>::max());
  if (needed > bytes_max) {
    return std::unexpected(
        Error(ErrorCode::kLimit, "block sums and invalid ranges do not fit into the footer region")
            .with_expected("at most " + std::to_string(bytes_max) + " bytes")
            .with_found(std::to_string(needed)));
  }
  Writer writer;
  FooterHead head = head_of(footer);
  writer.write(bytes_of(head));
  for (const auto sum : footer.block_sums) writer.write(sum);
  for (const auto& range : footer.invalid) write_range(writer, range);
  head.interned_count = write_fitting(writer, footer.interned, bytes_max);
  const bool complete = footer.interned_complete && head.interned_count == footer.interned.size();
  head.flags = complete ? kFooterInternedComplete : 0;
  head.footer_bytes = static_cast<std::uint32_t>(writer.size());
  auto bytes = std::move(writer).take();
  std::memcpy(bytes.data(), &head, sizeof(head));
  head.checksum = footer_sum(bytes, footer.segment_uuid);
  std::memcpy(bytes.data(), &head, sizeof(head));
  return bytes;
}

Result<SegmentFooter> decode_segment_footer(std::span<const std::byte> region, const SegmentHeader& header) {
  VECTOLITH_TRY_ASSIGN(const auto head, decode_head(region, header));
  VECTOLITH_TRY(check_head(head, header));
  Reader reader(region.first(head.footer_bytes));
  VECTOLITH_TRY(reader.take(sizeof(FooterHead)));
  SegmentFooter footer;
  footer.segment_uuid = head.segment_uuid;
  footer.row_count = head.row_count;
  footer.first_sequence = head.first_sequence;
  footer.last_sequence = head.last_sequence;
  footer.meta_sum = head.meta_sum;
  VECTOLITH_TRY_ASSIGN(footer.block_sums, read_block_sums(reader, head.block_count));
  VECTOLITH_TRY_ASSIGN(footer.invalid, read_ranges(reader, head.range_count, head.row_count));
  VECTOLITH_TRY_ASSIGN(footer.interned, read_interned_table(reader, head.interned_count));
  VECTOLITH_TRY(reader.expect_end());
  footer.interned_complete = (head.flags & kFooterInternedComplete) != 0;
  return footer;
}

}  // namespace vectolith::format
