/// @file
/// Bytes of the longer answers of the control protocol: statistics, families, fsck reports.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <vectolith/format/bytes.h>
#include <vectolith/stats.h>
#include <vectolith/store.h>
#include <vectolith/verify.h>

namespace vectolith::engine {

/// Asks for one piece of a scrub.
struct ScrubRequest {
  ScrubPosition from;
  std::uint64_t bytes_max = 0;  ///< As ScrubOptions::bytes_max.
};

// Strings beyond 65,535 bytes are cut.
void encode_control(format::Writer& writer, const StoreStats& stats);
void encode_control(format::Writer& writer, std::span<const FamilyInfo> families);
void encode_control(format::Writer& writer, const FsckReport& report);
void encode_control(format::Writer& writer, const ScrubRequest& request);
void encode_control(format::Writer& writer, const ScrubReport& report);

// Errors: kCorruption for truncated or trailing bytes and for values out of range. What they allocate
// is bounded by a small multiple of the payload's length, whatever count it states.
Result<StoreStats> decode_stats_answer(std::span<const std::byte> payload);
Result<std::vector<FamilyInfo>> decode_families_answer(std::span<const std::byte> payload);
Result<FsckReport> decode_fsck_answer(std::span<const std::byte> payload);
Result<ScrubRequest> decode_scrub_request(std::span<const std::byte> payload);
Result<ScrubReport> decode_scrub_answer(std::span<const std::byte> payload);

}  // namespace vectolith::engine
