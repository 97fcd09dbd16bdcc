/// @file
/// Statistics, families and fsck reports arrive with every field in its place.
#include "control/report_codec.h"

#include <array>

#include <gtest/gtest.h>

#include "engine/control/control_samples.h"

namespace vectolith::engine {
namespace {

template <class T>
Result<StoreStats> there_and_back(const T& stats) {
  format::Writer writer;
  encode_control(writer, stats);
  return decode_stats_answer(writer.bytes());
}

TEST(StatsAnswer, CarriesEveryCounterInItsOwnPlace) {
  const auto fields = std::to_array<std::uint64_t StoreStats::*>({&StoreStats::next_sequence,
                                                                  &StoreStats::manifest_version,
                                                                  &StoreStats::puts,
                                                                  &StoreStats::puts_existing,
                                                                  &StoreStats::replaces,
                                                                  &StoreStats::erases,
                                                                  &StoreStats::gets,
                                                                  &StoreStats::hits,
                                                                  &StoreStats::misses,
                                                                  &StoreStats::commits,
                                                                  &StoreStats::commit_rows,
                                                                  &StoreStats::corruptions,
                                                                  &StoreStats::rows_lost,
                                                                  &StoreStats::segments_poisoned,
                                                                  &StoreStats::vector_bytes_written,
                                                                  &StoreStats::bytes_written,
                                                                  &StoreStats::bytes_read,
                                                                  &StoreStats::writes,
                                                                  &StoreStats::reads,
                                                                  &StoreStats::data_syncs,
                                                                  &StoreStats::data_sync_ns,
                                                                  &StoreStats::short_transfers,
                                                                  &StoreStats::io_retries,
                                                                  &StoreStats::io_fallbacks,
                                                                  &StoreStats::pinned_bytes,
                                                                  &StoreStats::read_buffer_bytes,
                                                                  &StoreStats::disk_bytes,
                                                                  &StoreStats::pool_bytes,
                                                                  &StoreStats::open_ns,
                                                                  &StoreStats::recovered_rows,
                                                                  &StoreStats::damaged_rows});
  for (const auto field : fields) {
    StoreStats stats;
    stats.*field = 1;
    const auto received = there_and_back(stats);
    ASSERT_TRUE(received.has_value());
    for (const auto other : fields) EXPECT_EQ((*received).*other, other == field ? 1U : 0U);
  }
}

TEST(StatsAnswer, CarriesBackendRejectsAndFamilies) {
  const auto received = there_and_back(testing::sample_stats());
  ASSERT_TRUE(received.has_value());
  EXPECT_EQ(received->io_backend, "sync");
  EXPECT_EQ(received->io_fallback, "io_uring is forbidden here");
  EXPECT_TRUE(received->read_only);
  EXPECT_EQ(received->rejected, testing::sample_stats().rejected);
  ASSERT_EQ(received->families.size(), 2U);
  const auto& records = received->families[1];
  EXPECT_EQ(records.id, FamilyId(4));
  EXPECT_EQ(records.name, "texts");
  EXPECT_EQ(records.kind, format::SegmentKind::kRecord);
  EXPECT_EQ(records.live_rows, 7U);
  EXPECT_EQ(records.dead_rows, 8U);
  EXPECT_EQ(records.segments, 9U);
  EXPECT_EQ(records.payload_bytes, 10U);
  EXPECT_EQ(records.allocated_bytes, 11U);
  EXPECT_EQ(records.index_bytes, 12U);
}

TEST(FamiliesAnswer, CarriesTheWholeModelSpec) {
  auto sent = testing::sample_families();
  sent[0].spec = {"m", "r", "p", Role::kQuery, 64, Dtype::kB1, Metric::kL2, false};
  format::Writer writer;
  encode_control(writer, std::span<const FamilyInfo>(sent));
  const auto received = decode_families_answer(writer.bytes());
  ASSERT_TRUE(received.has_value()) << received.error().to_string();
  ASSERT_EQ(received->size(), 2U);
  EXPECT_EQ((*received)[0].spec, sent[0].spec);
  EXPECT_EQ((*received)[0].rows, 1U);
  EXPECT_EQ((*received)[1].kind, format::SegmentKind::kRecord);
  EXPECT_EQ((*received)[1].spec, ModelSpec{});
}

TEST(FsckAnswer, CarriesCountersAndFindings) {
  format::Writer writer;
  encode_control(writer, testing::sample_report());
  const auto received = decode_fsck_answer(writer.bytes());
  ASSERT_TRUE(received.has_value());
  EXPECT_EQ(received->files, 4U);
  EXPECT_EQ(received->segments, 1U);
  EXPECT_EQ(received->rows, 99U);
  EXPECT_EQ(received->bytes, 1'000U);
  EXPECT_EQ(received->damage, 1U);
  EXPECT_EQ(received->warnings, 0U);
  ASSERT_EQ(received->findings.size(), 1U);
  const auto& finding = received->findings[0];
  EXPECT_EQ(finding.severity, Finding::Severity::kDamage);
  EXPECT_EQ(finding.kind, Finding::Kind::kStaleEpoch);
  EXPECT_EQ(finding.file, "0000000000000001.vls");
  EXPECT_EQ(finding.offset, 8'192U);
  EXPECT_EQ(finding.what, "row sum");
  EXPECT_EQ(finding.expected, "1");
  EXPECT_EQ(finding.found, "2");
}

TEST(ScrubAnswer, CarriesPositionAndReport) {
  format::Writer writer;
  encode_control(writer, ScrubReport{testing::sample_report(), {SegmentId(5), 6}, true});
  const auto received = decode_scrub_answer(writer.bytes());
  ASSERT_TRUE(received.has_value());
  EXPECT_EQ(received->next, (ScrubPosition{SegmentId(5), 6}));
  EXPECT_TRUE(received->is_complete);
  EXPECT_EQ(received->found.rows, 99U);
  EXPECT_EQ(received->found.findings.size(), 1U);
}

}  // namespace
}  // namespace vectolith::engine
