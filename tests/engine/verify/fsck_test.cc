/// @file
/// What fsck says of stores in every phase: clean, after an unclean end, foreign, owned, no store at all.
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <vectolith/format/file_name.h>
#include <vectolith/format/superblock.h>
#include <vectolith/verify.h>

#include "engine/verify/tiny_store.h"
#include "support/manifest_edits.h"
#include "support/temp_directory.h"

namespace vectolith {
namespace {

using namespace format;
using namespace testing;
using Severity = Finding::Severity;

class FsckTest : public ::testing::Test {
 protected:
  FsckReport check() {
    builder_.write(temp_.path());
    return check_files();
  }
  FsckReport check_files() {
    auto report = fsck(temp_.path(), {.on_progress = {}, .environment = environment_, .online = false});
    EXPECT_TRUE(report.has_value()) << report.error().to_string();
    return report ? *std::move(report) : FsckReport{};
  }
  /// Expects exactly one finding, of this severity, place and text.
  void expect_only(const FsckReport& report, Severity severity, const std::string& file, std::uint64_t offset,
                   std::string_view what) {
    ASSERT_EQ(report.findings.size(), 1U) << to_text(report);
    const Finding& finding = report.findings[0];
    EXPECT_EQ(finding.severity, severity) << to_text(report);
    EXPECT_EQ(finding.file, temp_.file(file));
    EXPECT_EQ(finding.offset, offset) << to_text(report);
    EXPECT_NE(finding.what.find(what), std::string::npos) << to_text(report);
  }

  TempDirectory temp_;
  StoreBuilder builder_;
  Basics basics_ = add_basics(builder_);
  std::shared_ptr<engine::Environment> environment_ = test_environment();
};

TEST_F(FsckTest, FindsNothingInAWholeStore) {
  SegmentImage sealed = vectors(builder_, basics_.vectors, 100);
  sealed.seal(kVectorRows, {}, interned(true));
  builder_.add(sealed, {sealed.seal_edit()});
  std::uint32_t units = 0;
  SegmentImage active = records(builder_, basics_.records, 300, units);
  builder_.add(active, {});
  builder_.add_journal(journal_rows());
  const FsckReport report = check();
  EXPECT_TRUE(report.findings.empty()) << to_text(report);
  EXPECT_TRUE(report.clean());
  EXPECT_EQ(report.segments, 2U);
  EXPECT_EQ(report.files, 6U) << "superblock, two manifests, journal, two segments";
  EXPECT_EQ(report.rows, kVectorRows + 5U) << "rows and records, not those of the journal";
  EXPECT_GT(report.bytes, 2 * kManifestHeaderBytes);
}

TEST_F(FsckTest, ReportsProgressThatEndsAtTheWhole) {
  SegmentImage segment = vectors(builder_, basics_.vectors, 100);
  builder_.add(segment, {});
  builder_.write(temp_.path());
  std::vector<std::pair<std::uint64_t, std::uint64_t>> told;
  const auto report =
      fsck(temp_.path(),
           {.on_progress = [&](std::uint64_t done, std::uint64_t all) { told.emplace_back(done, all); },
            .environment = environment_,
            .online = false});
  ASSERT_TRUE(report.has_value());
  ASSERT_FALSE(told.empty());
  for (std::size_t i = 1; i < told.size(); ++i) EXPECT_LE(told[i - 1].first, told[i].first);
  EXPECT_EQ(told.back().first, told.back().second);
  EXPECT_EQ(told.back().second, kSuperblockFileBytes + 2 * kManifestFileBytesMin + kSegmentFileBytesMin);
}

TEST_F(FsckTest, TellsDirectoriesThatAreNoStore) {
  const auto missing =
      fsck(temp_.file("nowhere"), {.on_progress = {}, .environment = environment_, .online = false});
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code(), ErrorCode::kNotFound);
  write_file(temp_.file("letter.txt"), {});
  const auto foreign = fsck(temp_.path(), {.on_progress = {}, .environment = environment_, .online = false});
  ASSERT_FALSE(foreign.has_value());
  EXPECT_EQ(foreign.error().code(), ErrorCode::kNotAStore);
}

TEST_F(FsckTest, RefusesAStoreThatSomebodyHasOpen) {
  builder_.write(temp_.path());
  const auto directory = *environment_->open_directory(temp_.path(), false);
  auto lock = *directory->open(kLockName, engine::OpenMode::kReadWrite);
  ASSERT_TRUE(*lock->try_lock(engine::LockMode::kExclusive));
  const auto owned = fsck(temp_.path(), {.on_progress = {}, .environment = environment_, .online = false});
  ASSERT_FALSE(owned.has_value());
  EXPECT_EQ(owned.error().code(), ErrorCode::kLocked);
  lock.reset();
  EXPECT_TRUE(check_files().findings.empty());
}

TEST_F(FsckTest, ChangesNoByte) {
  SegmentImage segment = vectors(builder_, basics_.vectors, 100);
  builder_.add(segment, {});
  builder_.write(temp_.path());
  const auto before = read_file(temp_.file(segment.name()));
  (void)check_files();
  EXPECT_EQ(read_file(temp_.file(segment.name())), before);
}

/// An active segment: 20 rows, row 10 says that rows below 8 were durable.
class FsckActiveTest : public FsckTest {
 protected:
  SegmentImage active() {
    SegmentImage segment = vectors(builder_, basics_.vectors, 100, 20);
    segment.put_row(10, {.sequence = Sequence(110), .scope = ScopeId(1), .lag_or_count = 2});
    return segment;
  }
  FsckReport check_with(SegmentImage segment) {
    builder_.add(std::move(segment), {});
    return check();
  }
};

TEST_F(FsckActiveTest, CallsABadRowBelowTheAttestedWatermarkDamage) {
  SegmentImage segment = active();
  segment.bytes[segment.row_offset(7) + 3] ^= std::byte{1};
  expect_only(check_with(segment), Severity::kDamage, segment.name(), segment.row_offset(7),
              "an acknowledged row is damaged");
}

TEST_F(FsckActiveTest, CallsABadVectorBelowTheWatermarkDamage) {
  SegmentImage segment = active();
  segment.bytes[segment.vector_offset(7) + 3] ^= std::byte{1};
  expect_only(check_with(segment), Severity::kDamage, segment.name(), segment.vector_offset(7),
              "the vector of an acknowledged row");
}

TEST_F(FsckActiveTest, CallsABadRowAboveTheWatermarkInformation) {
  SegmentImage segment = active();
  segment.bytes[segment.row_offset(8) + 3] ^= std::byte{1};
  expect_only(check_with(segment), Severity::kInfo, segment.name(), segment.row_offset(8),
              "damaged or unfinished");
}

TEST_F(FsckActiveTest, CallsRowsOfZerosBelowTheWatermarkDamage) {
  SegmentImage segment = active();
  std::memset(segment.bytes.data() + segment.row_offset(4), 0, 64);
  expect_only(check_with(segment), Severity::kDamage, segment.name(), segment.row_offset(4),
              "an acknowledged row is damaged");
}

TEST_F(FsckActiveTest, BelievesTheJournalsWatermark) {
  SegmentImage segment = active();
  builder_.add_journal(
      {JournalRow::watermark(segment.header.segment_id, 15, Sequence(1), ManifestVersion(1))});
  segment.bytes[segment.row_offset(14)] ^= std::byte{1};
  expect_only(check_with(segment), Severity::kDamage, segment.name(), segment.row_offset(14),
              "an acknowledged row is damaged");
}

TEST_F(FsckActiveTest, BelievesNoWatermarkFromABatchBegin) {
  SegmentImage segment = vectors(builder_, basics_.vectors, 100, 20);
  // Were its count of 2 a lag, rows below 10 would count as durable.
  segment.put_row(12,
                  {.sequence = Sequence(112), .flags = kRowBatchBegin | kRowBatchMember, .lag_or_count = 2});
  segment.put_row(13, {.sequence = Sequence(113), .flags = kRowBatchEnd | kRowBatchMember});
  segment.bytes[segment.row_offset(3)] ^= std::byte{1};
  expect_only(check_with(segment), Severity::kInfo, segment.name(), segment.row_offset(3),
              "damaged or unfinished");
}

TEST_F(FsckActiveTest, DropsABatchThatIsNotWhole) {
  SegmentImage segment = vectors(builder_, basics_.vectors, 100, 4);
  segment.put_row(4,
                  {.sequence = Sequence(104), .flags = kRowBatchBegin | kRowBatchMember, .lag_or_count = 3});
  segment.put_row(6, {.sequence = Sequence(106), .flags = kRowBatchEnd | kRowBatchMember});
  const FsckReport report = check_with(segment);
  EXPECT_EQ(report.findings.size(), 2U) << to_text(report);
  EXPECT_NE(find(report, "unfinished batch"), nullptr);
  EXPECT_TRUE(report.clean());
  EXPECT_EQ(report.rows, 4U);
}

TEST_F(FsckActiveTest, FindsDamagedAndUnfinishedRecords) {
  std::uint32_t units = 0;
  SegmentImage segment = records(builder_, basics_.records, 300, units);
  const std::uint32_t last = units;
  units = segment.put_record(
      units, "tail", {.sequence = Sequence(400), .lag_or_count = static_cast<std::uint16_t>(last - 2)});
  segment.bytes[segment.row_offset(0) + 5] ^= std::byte{1};  // unit 0 < watermark 2
  segment.bytes[segment.row_offset(2) + 64 + 20] ^=
      std::byte{1};  // second record's payload, at the watermark
  const FsckReport report = check_with(segment);
  ASSERT_EQ(report.findings.size(), 2U) << to_text(report);
  EXPECT_EQ(report.findings[0].severity, Severity::kDamage);
  EXPECT_EQ(report.findings[0].offset, segment.row_offset(0));
  EXPECT_EQ(report.findings[1].severity, Severity::kInfo);
  EXPECT_EQ(report.findings[1].offset, segment.row_offset(2) + 64);
  EXPECT_EQ(report.rows, 4U);
}

TEST_F(FsckTest, JudgesAFrozenSegmentByItsWatermark) {
  SegmentImage segment = vectors(builder_, basics_.vectors, 100, 20);
  const SegmentId id = segment.header.segment_id;
  for (const std::uint32_t row : {5U, 6U, 9U, 10U, 19U})
    segment.bytes[segment.row_offset(row)] ^= std::byte{1};
  builder_.add(segment, {FreezeSegment{id, 20, 10, {{5, 6}}}});
  const FsckReport report = check();
  ASSERT_EQ(report.findings.size(), 3U) << to_text(report);
  EXPECT_EQ(report.damage, 1U);
  EXPECT_EQ(report.findings[0].offset, segment.row_offset(9));
  EXPECT_EQ(report.findings[1].severity, Severity::kInfo);
}

TEST_F(FsckTest, ReportsRowsThatContradictManifestAndFooter) {
  SegmentImage segment = vectors(builder_, basics_.vectors, 100, 4);
  segment.put_row(4, {.sequence = Sequence(10'000)});
  segment.put_row(5, {.sequence = Sequence(200), .scope = ScopeId(9)});
  segment.put_row(6, {.sequence = Sequence(201), .chunker = ChunkerId(9)});
  segment.put_row(7, {.sequence = Sequence(202), .build = BuildId(9)});
  builder_.add(segment, {});
  const FsckReport report = check();
  ASSERT_EQ(report.damage, 4U) << to_text(report);
  EXPECT_EQ(find(report, "never reserved")->offset, segment.row_offset(4));
  for (std::size_t i = 1; i < 4; ++i)
    EXPECT_EQ(report.findings[i].offset, segment.row_offset(4 + static_cast<std::uint32_t>(i)));
}

TEST_F(FsckTest, ReportsAFooterThatDisagreesWithTheManifest) {
  SegmentImage segment = vectors(builder_, basics_.vectors, 100);
  segment.seal(kVectorRows, {},
               {{InternedEntry::Table::kScope, 1, 0, "somebody else"},
                {InternedEntry::Table::kBuild, 1, 0, "embedder"}});
  SealSegment edit = segment.seal_edit();
  edit.row_count = kVectorRows - 1;
  builder_.add(segment, {edit});
  const FsckReport report = check();
  EXPECT_NE(find(report, "the footer disagrees with the manifest"), nullptr) << to_text(report);
  EXPECT_NE(find(report, "another meaning"), nullptr) << to_text(report);
  const Finding* unnamed = find(report, "does not name an interned id");
  ASSERT_NE(unnamed, nullptr) << to_text(report);
  EXPECT_EQ(unnamed->severity, Severity::kWarning);
}

TEST_F(FsckTest, ReportsASegmentOfAnotherLifeOrSpec) {
  SegmentImage other = vectors(builder_, basics_.vectors, 100);
  AddSegment wrong = other.add_edit();
  wrong.segment = SegmentId(7);
  wrong.uuid = test_uuid(5);
  builder_.edit(wrong);
  builder_.write(temp_.path());
  write_file(temp_.file(segment_name(SegmentId(7))), other.bytes);
  expect_only(check_files(), Severity::kDamage, segment_name(SegmentId(7)), 0, "disagrees with the manifest");
}

TEST_F(FsckTest, ReportsHeadersAndJournalRowsThatNameANewerManifest) {
  SegmentImage segment = vectors(builder_, basics_.vectors, 100, 1);
  segment.header.manifest_version = ManifestVersion(1'000);
  segment.write_header();
  builder_.add(segment, {});
  builder_.add_journal({JournalRow::watermark(SegmentId(9), 1, Sequence(1), ManifestVersion(999))});
  const FsckReport report = check();
  ASSERT_EQ(report.damage, 2U) << to_text(report);
  EXPECT_EQ(report.findings[0].offset, kJournalHeaderBytes);
  EXPECT_EQ(report.findings[1].file, temp_.file(segment.name()));
  for (const Finding& finding : report.findings)
    EXPECT_NE(finding.what.find("newer manifest"), std::string::npos);
}

TEST_F(FsckTest, ReportsTwoSegmentsOfOneLife) {
  SegmentImage segment = vectors(builder_, basics_.vectors, 100, 1);
  builder_.add(segment, {});
  AddSegment twin = segment.add_edit();
  twin.segment = SegmentId(2);
  builder_.edit(twin);
  builder_.write(temp_.path());
  write_file(temp_.file(segment_name(SegmentId(2))), segment.bytes);
  EXPECT_NE(find(check_files(), "share one life"), nullptr);
}

TEST_F(FsckTest, CallsOrphansInformationAndForeignFilesWarnings) {
  SegmentImage orphan = vectors(builder_, basics_.vectors, 100, 3);
  builder_.edit(NextIds{SegmentId(50), FamilyId(1), JournalId(50)});
  builder_.write(temp_.path());
  write_file(temp_.file(orphan.name()), orphan.bytes);
  write_file(temp_.file("0000000000000007.vlj"), {});
  write_file(temp_.file("notes.txt"), {});
  const FsckReport report = check_files();
  ASSERT_EQ(report.findings.size(), 3U) << to_text(report);
  EXPECT_TRUE(report.clean());
  EXPECT_EQ(report.warnings, 1U);
  EXPECT_EQ(find(report, "foreign")->file, temp_.file("notes.txt"));
}

TEST_F(FsckTest, WarnsOfASegmentWithRowsThatTheManifestNeverKnew) {
  SegmentImage orphan = vectors(builder_, basics_.vectors, 100, 3);
  builder_.write(temp_.path());
  write_file(temp_.file(orphan.name()), orphan.bytes);
  const FsckReport report = check_files();
  ASSERT_EQ(report.warnings, 1U) << to_text(report);
  EXPECT_NE(find(report, "the manifest never knew"), nullptr);
}

TEST_F(FsckTest, TellsATornTailFromDamageInAJournal) {
  for (const bool is_clean : {false, true}) {
    StoreBuilder builder;
    add_basics(builder);
    const JournalId id = builder.add_journal(journal_rows());
    if (is_clean) builder.edit(CleanClose{Sequence(600), 3});
    const TempDirectory temp;
    builder.write(temp.path());
    auto bytes = read_file(temp.file(journal_name(id)));
    bytes[kJournalHeaderBytes + 64] ^= std::byte{1};
    write_file(temp.file(journal_name(id)), bytes);
    const auto report = *fsck(temp.path(), {.on_progress = {}, .environment = environment_, .online = false});
    ASSERT_EQ(report.findings.size(), 1U) << to_text(report);
    EXPECT_EQ(report.findings[0].severity, is_clean ? Severity::kDamage : Severity::kInfo);
    EXPECT_EQ(report.findings[0].offset, kJournalHeaderBytes + 64);
  }
}

TEST_F(FsckTest, CallsAnInvalidRowOfAClosedJournalDamage) {
  const JournalId closed = builder_.add_journal(journal_rows());
  builder_.add_journal(journal_rows());
  builder_.write(temp_.path());
  auto bytes = read_file(temp_.file(journal_name(closed)));
  bytes[kJournalHeaderBytes + 2 * 64] ^= std::byte{1};  // The last row: no valid one follows.
  write_file(temp_.file(journal_name(closed)), bytes);
  expect_only(check_files(), Severity::kDamage, journal_name(closed), kJournalHeaderBytes + 2 * 64,
              "an erase may be forgotten");
}

TEST_F(FsckTest, MissesRowsThatACleanCloseCounted) {
  const JournalId id = builder_.add_journal(journal_rows());
  builder_.edit(CleanClose{Sequence(600), 4});
  expect_only(check(), Severity::kDamage, journal_name(id), kJournalHeaderBytes + 3 * 64, "are gone");
}

TEST_F(FsckTest, WarnsOfBytesInTheGapsBetweenRegions) {
  SegmentImage segment = vectors(builder_, basics_.vectors, 100, 1);
  const std::uint64_t gap = segment.header.footer_offset + segment.header.footer_bytes;
  const bool has_gap = gap < segment.header.file_bytes;
  if (!has_gap) {
    // The geometry leaves none: the matrix region is made a page shorter.
    segment.header.matrix_bytes -= kRegionAlignment;
    segment.header.row_capacity = 8;
    segment.write_header();
  }
  const std::uint64_t at = has_gap ? gap : segment.header.matrix_offset + segment.header.matrix_bytes;
  segment.bytes[at + 5] = std::byte{1};
  builder_.add(segment, {});
  expect_only(check(), Severity::kWarning, segment.name(), at + 5, "padding between regions");
}

}  // namespace
}  // namespace vectolith
