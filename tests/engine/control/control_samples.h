/// @file
/// Control frames for tests and fuzzing: one of each verb, and a decoder that picks the right codec.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "control/protocol.h"
#include "control/report_codec.h"

namespace vectolith::engine::testing {

/// Decodes the payload of a frame and encodes what was read: equal bytes, or the codec is not canonical.
inline Result<std::vector<std::byte>> reencode(ControlVerb verb, std::span<const std::byte> payload) {
  format::Writer writer;
  const auto again = [&writer](auto decoded) -> Result<std::vector<std::byte>> {
    if (!decoded.has_value()) return std::unexpected(decoded.error());
    encode_control(writer, *decoded);
    return std::move(writer).take();
  };
  switch (verb) {
    case ControlVerb::kGet: return again(decode_get_request(payload));
    case ControlVerb::kPut: return again(decode_put_request(payload));
    case ControlVerb::kErase: return again(decode_erase_request(payload));
    case ControlVerb::kScan: return again(decode_scan_request(payload));
    case ControlVerb::kStatsAnswer: return again(decode_stats_answer(payload));
    case ControlVerb::kGetAnswer: return again(decode_get_answer(payload));
    case ControlVerb::kPutAnswer: return again(decode_put_answer(payload));
    case ControlVerb::kEraseAnswer: return again(decode_erase_answer(payload));
    case ControlVerb::kFsckAnswer: return again(decode_fsck_answer(payload));
    case ControlVerb::kScrub: return again(decode_scrub_request(payload));
    case ControlVerb::kScrubAnswer: return again(decode_scrub_answer(payload));
    case ControlVerb::kScanEnd: return again(decode_scan_end(payload));
    case ControlVerb::kError: return again(decode_error(payload));
    case ControlVerb::kFamiliesAnswer: {
      VECTOLITH_TRY_ASSIGN(const auto families, decode_families_answer(payload));
      encode_control(writer, std::span<const FamilyInfo>(families));
      return std::move(writer).take();
    }
    case ControlVerb::kScanBatch: {
      VECTOLITH_TRY_ASSIGN(const auto rows, decode_scan_batch(payload));
      for (const auto& row : rows) encode_control(writer, row);
      return std::move(writer).take();
    }
    default: {
      VECTOLITH_TRY(decode_empty(payload));
      return std::move(writer).take();
    }
  }
}

/// Decodes a whole frame as `reader` would, payload included.
inline Result<std::vector<std::byte>> reencode_frame(std::span<const std::byte> frame, ControlRole reader) {
  VECTOLITH_TRY_ASSIGN(const auto header, decode_control_header(frame, reader));
  const auto payload = frame.subspan(kControlHeaderBytes);
  VECTOLITH_TRY(check_control_payload(header, payload));
  return reencode(header.verb, payload);
}

/// A frame and who reads it.
struct Sample {
  std::string name;
  ControlRole reader{};
  std::vector<std::byte> frame;
};

inline const std::vector<std::byte>& sample_vector() {
  static const std::vector<std::byte> kBytes(24, std::byte{0x5A});
  return kBytes;
}

inline Error sample_error() {
  return Error(ErrorCode::kCorruption, "a row's sum does not hold")
      .with_errno(5)
      .with_file("0000000000000001.vls")
      .with_offset(4'096)
      .with_expected("1234")
      .with_found("4321");
}

inline ControlRow sample_row(std::uint64_t number) {
  return {{Digest::from_number(number), ScopeId(7), ChunkerId(9)},
          Sequence(100 + number),
          1'700'000'000,
          sample_vector()};
}

inline StoreStats sample_stats() {
  StoreStats stats;
  stats.io_backend = "sync";
  stats.io_fallback = "io_uring is forbidden here";
  stats.read_only = true;
  stats.next_sequence = 11;
  stats.damaged_rows = 12;
  stats.rejected = {1, 2, 3, 4, 5};
  stats.families = {{FamilyId(3), "glosses", format::SegmentKind::kVector, 1, 2, 3, 4, 5, 6},
                    {FamilyId(4), "texts", format::SegmentKind::kRecord, 7, 8, 9, 10, 11, 12}};
  return stats;
}

inline std::vector<FamilyInfo> sample_families() {
  ModelSpec spec;
  spec.model = "fasttext";
  spec.dim = 6;
  return {{FamilyId(3), "glosses", format::SegmentKind::kVector, spec, 1},
          {FamilyId(4), "texts", format::SegmentKind::kRecord, {}, 7}};
}

inline FsckReport sample_report() {
  return {.files = 4,
          .segments = 1,
          .rows = 99,
          .bytes = 1'000,
          .damage = 1,
          .warnings = 0,
          .findings = {{Finding::Severity::kDamage, Finding::Kind::kStaleEpoch, "0000000000000001.vls", 8'192,
                        "row sum", "1", "2"}}};
}

/// One frame of every verb.
inline std::vector<Sample> sample_frames() {
  std::vector<Sample> samples;
  const auto add_frame = [&samples](std::string name, ControlFrame frame) {
    const bool is_answer = (std::to_underlying(frame.verb()) & 0x8000U) != 0;
    samples.push_back({std::move(name), is_answer ? ControlRole::kClient : ControlRole::kServer,
                       std::move(frame).finish(77).value()});
  };
  const auto add = [&add_frame](std::string name, ControlVerb verb, const auto& value) {
    ControlFrame frame(verb);
    encode_control(frame.payload(), value);
    add_frame(std::move(name), std::move(frame));
  };
  const auto add_empty = [&add_frame](std::string name, ControlVerb verb) {
    add_frame(std::move(name), ControlFrame(verb));
  };
  const Key key = sample_row(1).key;
  add_empty("hello", ControlVerb::kHello);
  add_empty("stats", ControlVerb::kStats);
  add_empty("families", ControlVerb::kFamilies);
  add("get", ControlVerb::kGet, GetRequest{"glosses", key});
  add("put", ControlVerb::kPut, PutRequest{"glosses", key, Durability::kDurable, true, sample_vector()});
  add("erase", ControlVerb::kErase, EraseRequest{"glosses", key, Durability::kBuffered});
  add_empty("sync", ControlVerb::kSync);
  add("scan", ControlVerb::kScan, ScanRequest{"glosses"});
  add_empty("fsck", ControlVerb::kFsck);
  add_empty("scan_more", ControlVerb::kScanMore);
  add_empty("scan_cancel", ControlVerb::kScanCancel);
  add("scrub", ControlVerb::kScrub, ScrubRequest{{SegmentId(3), 40}, 1 << 20});
  add_empty("hello_answer", ControlVerb::kHelloAnswer);
  add("stats_answer", ControlVerb::kStatsAnswer, sample_stats());
  const auto families = sample_families();
  add("families_answer", ControlVerb::kFamiliesAnswer, std::span<const FamilyInfo>(families));
  add("get_answer", ControlVerb::kGetAnswer, std::optional(sample_row(1)));
  add("get_miss", ControlVerb::kGetAnswer, std::optional<ControlRow>());
  add("put_answer", ControlVerb::kPutAnswer, PutResult{true, Sequence(5), Ticket{6}});
  add("erase_answer", ControlVerb::kEraseAnswer, EraseResult{true, Ticket{6}});
  add_empty("sync_answer", ControlVerb::kSyncAnswer);
  ControlFrame batch(ControlVerb::kScanBatch);
  for (const std::uint64_t number : {1U, 2U, 3U}) encode_control(batch.payload(), sample_row(number));
  add_frame("scan_batch", std::move(batch));
  add("fsck_answer", ControlVerb::kFsckAnswer, sample_report());
  add("scrub_answer", ControlVerb::kScrubAnswer, ScrubReport{sample_report(), {SegmentId(3), 41}, true});
  add("scan_end", ControlVerb::kScanEnd, ScanEnd{3});
  add("error", ControlVerb::kError, sample_error());
  return samples;
}

}  // namespace vectolith::engine::testing
