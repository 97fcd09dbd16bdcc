/// @file
/// The bytes of the format's golden files, made of fixed samples only: no clock, no random numbers.
#include "format/golden_files.h"

#include <span>

#include "format/format_samples.h"

namespace vectolith::format::samples {
namespace {

using Bytes = std::vector<std::byte>;

void append(Bytes& bytes, std::span<const std::byte> more) {
  bytes.insert(bytes.end(), more.begin(), more.end());
}

template <class Struct>
std::span<const std::byte> bytes_of(const Struct& value) {
  return std::as_bytes(std::span(&value, 1));
}

Bytes header_bytes(const SegmentHeader& header) {
  const auto encoded = encode_segment_header(header);
  return {encoded.begin(), encoded.end()};
}

/// Rows 0 to 7 written, 8 never, 9 left over from the life before.
Bytes meta_rows() {
  const auto header = vector_header();
  Bytes bytes;
  for (std::uint32_t row = 0; row < 8; ++row) append(bytes, bytes_of(meta_row(row, header.segment_uuid)));
  append(bytes, bytes_of(MetaRow{}));
  append(bytes, bytes_of(meta_row(9, header.previous_uuid)));
  return bytes;
}

Bytes vectors() {
  Bytes bytes;
  for (std::uint32_t row = 0; row < 8; ++row) append(bytes, vector(row));
  return bytes;
}

Bytes footer_bytes() { return *encode_segment_footer(footer(), vector_header().footer_bytes); }

/// Unit 0: stored as it is, one unit and a half; the next one: zstd; then nothing was written.
Bytes records() {
  const Uuid life = record_header().segment_uuid;
  Bytes bytes = record(text(50), false, life, RowIndex(0));
  append(bytes, record(text(2'000), true, life, RowIndex(static_cast<std::uint32_t>(bytes.size() / 64))));
  bytes.resize(bytes.size() + 64);
  return bytes;
}

/// Header, an erase, a watermark, a row never written.
Bytes journal() {
  const auto header = journal_header();
  const auto encoded = encode_journal_header(header);
  Bytes bytes(encoded.begin(), encoded.end());
  JournalRow rows[] = {JournalRow::erase(key(1), FamilyId(3), Sequence(700), ManifestVersion(41)),
                       JournalRow::watermark(SegmentId(7), 90, Sequence(701), ManifestVersion(41))};
  for (std::uint32_t i = 0; i < std::size(rows); ++i) {
    seal_journal_row(rows[i], header.journal_uuid, i);
    append(bytes, bytes_of(rows[i]));
  }
  bytes.resize(bytes.size() + sizeof(JournalRow));
  return bytes;
}

/// The used front of a manifest file: header, snapshot, one frame with every edit, one without any, the end.
Bytes manifest() {
  auto header = manifest_header();
  const Edit snapshot[] = {NextIds{SegmentId(7), FamilyId(3), JournalId(11)},
                           ReserveSequences{Sequence(1U << 24)}};
  const auto snapshot_frame =
      encode_frame(snapshot, header.snapshot_version, header.life, kManifestHeaderBytes);
  header.snapshot_bytes = snapshot_frame.size();
  const auto encoded = encode_manifest_header(header);
  Bytes bytes(encoded.begin(), encoded.end());
  append(bytes, snapshot_frame);
  append(bytes, encode_frame(edits(), ManifestVersion(43), header.life, bytes.size()));
  append(bytes, encode_frame({}, ManifestVersion(44), header.life, bytes.size()));
  bytes.resize(bytes.size() + kFrameAlignment);
  return bytes;
}

Bytes joined(Bytes first, std::span<const std::byte> second) {
  append(first, second);
  return first;
}

}  // namespace

std::map<std::string, Bytes> golden_files() {
  std::map<std::string, Bytes> files;
  files["superblock.bin"] = encode_superblock(superblock());
  for (const Dtype dtype : {Dtype::kF32, Dtype::kF16, Dtype::kBf16, Dtype::kI8, Dtype::kU8, Dtype::kB1}) {
    files["segment_header_" + std::string(to_string(dtype)) + ".bin"] = header_bytes(vector_header(dtype));
  }
  files["segment_header_record.bin"] = header_bytes(record_header());
  files["meta_rows.bin"] = meta_rows();
  files["vectors.bin"] = vectors();
  files["footer.bin"] = footer_bytes();
  files["records.bin"] = records();
  files["journal.bin"] = journal();
  files["manifest.bin"] = manifest();
  files["model_spec.bin"] = encode_model_spec(spec());
  return files;
}

std::map<std::string, Bytes> fuzz_seeds() {
  const auto vector_front = header_bytes(vector_header());
  return {{"superblock/whole", encode_superblock(superblock())},
          {"segment/footer", joined(vector_front, footer_bytes())},
          {"segment/meta_rows", joined(vector_front, meta_rows())},
          {"segment/b1", header_bytes(vector_header(Dtype::kB1))},
          {"segment/records", header_bytes(record_header())},
          {"record/stored", record(text(50), false, uuid(0x20), RowIndex(0))},
          {"record/zstd", record(text(2'000), true, uuid(0x20), RowIndex(0))},
          {"record/empty", record({}, true, uuid(0x20), RowIndex(0))},
          {"journal/rows", journal()},
          {"manifest/frames", manifest()}};
}

}  // namespace vectolith::format::samples
