/// @file
/// Each kind of finding is what fsck says of the fault that it is named after, and of no other.
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include <vectolith/format/file_name.h>
#include <vectolith/format/superblock.h>

#include "engine/verify/tiny_store.h"
#include "support/manifest_edits.h"
#include "support/read_fault_environment.h"
#include "support/temp_directory.h"

namespace vectolith {
namespace {

using namespace format;
using namespace testing;
using Severity = Finding::Severity;
using Kind = Finding::Kind;

class FindingKind : public ::testing::Test {
 protected:
  /// Checks the files as they are, expects one finding or more, all of this kind; returns the first.
  Finding only(Kind kind, Severity severity) {
    const auto report =
        *fsck(temp_.path(), {.on_progress = {}, .environment = environment_, .online = false});
    EXPECT_FALSE(report.findings.empty());
    for (const Finding& finding : report.findings) {
      EXPECT_EQ(finding.kind, kind) << to_text(report);
      EXPECT_EQ(finding.severity, severity) << to_text(report);
    }
    return report.findings.empty() ? Finding{} : report.findings[0];
  }
  /// A store with one active segment of `rows` rows, written after `change` was made to it.
  template <class Change>
  SegmentImage write_with(Change change, std::uint32_t rows = 20) {
    SegmentImage segment = vectors(builder_, basics_.vectors, 100, rows);
    // Rows below 8 were durable.
    segment.put_row(10, {.sequence = Sequence(110), .scope = ScopeId(1), .lag_or_count = 2});
    change(segment);
    builder_.add(segment, {});
    builder_.write(temp_.path());
    return segment;
  }
  SegmentImage write() {
    return write_with([](SegmentImage&) {});
  }

  TempDirectory temp_;
  StoreBuilder builder_;
  Basics basics_ = add_basics(builder_);
  std::shared_ptr<engine::Environment> environment_ = test_environment();
};

TEST_F(FindingKind, OfAPromisedRowThatFailsItsSumIsAcknowledgedDamage) {
  const auto segment = write_with([](SegmentImage& s) { s.bytes[s.row_offset(7) + 3] ^= std::byte{1}; });
  EXPECT_EQ(only(Kind::kAcknowledgedDamage, Severity::kDamage).offset, segment.row_offset(7));
}

TEST_F(FindingKind, OfARowThatNobodyWasPromisedIsAnUnacknowledgedTail) {
  const auto segment = write_with([](SegmentImage& s) { s.bytes[s.row_offset(19) + 3] ^= std::byte{1}; });
  EXPECT_EQ(only(Kind::kUnacknowledgedTail, Severity::kInfo).offset, segment.row_offset(19));
}

TEST_F(FindingKind, OfAPromisedRowThatIsStillThatOfAnEarlierLifeIsAStaleEpoch) {
  const auto segment = write_with([&](SegmentImage& s) {
    // The file's earlier life had a row 7, and what overwrote it did not reach the disk.
    SegmentImage before = s;
    before.header.segment_uuid = test_uuid(77);
    before.put_row(7, {.sequence = Sequence(50), .scope = ScopeId(1)});
    s.header.previous_uuid = test_uuid(77);
    s.write_header();
    std::copy_n(before.bytes.begin() + static_cast<std::ptrdiff_t>(s.row_offset(7)), 64,
                s.bytes.begin() + static_cast<std::ptrdiff_t>(s.row_offset(7)));
  });
  EXPECT_EQ(only(Kind::kStaleEpoch, Severity::kDamage).offset, segment.row_offset(7));
}

TEST_F(FindingKind, OfAHeaderThatKnowsANewerManifestIsAStaleEpoch) {
  write_with([](SegmentImage& s) {
    s.header.manifest_version = ManifestVersion(1'000);
    s.write_header();
  });
  EXPECT_NE(only(Kind::kStaleEpoch, Severity::kDamage).what.find("newer manifest"), std::string::npos);
}

TEST_F(FindingKind, OfASumThatHoldsAroundASequenceNeverReservedIsAContradiction) {
  const auto segment =
      write_with([](SegmentImage& s) { s.put_row(4, {.sequence = Sequence(10'000), .scope = ScopeId(1)}); });
  EXPECT_EQ(only(Kind::kContradiction, Severity::kDamage).offset, segment.row_offset(4));
}

TEST_F(FindingKind, OfAFileThatIsGoneIsMissing) {
  const auto segment = write();
  std::filesystem::remove(temp_.file(segment.name()));
  EXPECT_EQ(only(Kind::kMissing, Severity::kDamage).file, temp_.file(segment.name()));
}

TEST_F(FindingKind, OfAFileWithoutItsEndIsMissing) {
  const auto segment = write();
  std::filesystem::resize_file(temp_.file(segment.name()), segment.bytes.size() - 1);
  EXPECT_EQ(only(Kind::kMissing, Severity::kDamage).offset, segment.bytes.size() - 1);
}

TEST_F(FindingKind, OfBytesThatTheDiskRefusesIsUnreadable) {
  const auto segment = write();
  environment_ = std::make_shared<ReadFaultEnvironment>(test_environment(),
                                                        BadBytes{segment.name(), 0, kSegmentHeaderBytes});
  const Finding finding = only(Kind::kUnreadable, Severity::kDamage);
  EXPECT_EQ(finding.file, temp_.file(segment.name()));
  EXPECT_EQ(finding.offset, 0U);
}

TEST_F(FindingKind, OfBytesBehindTheSuperblockIsStrayBytes) {
  write();
  auto bytes = read_file(temp_.file(std::string(kSuperblockName)));
  bytes.push_back(std::byte{1});
  write_file(temp_.file(std::string(kSuperblockName)), bytes);
  EXPECT_EQ(only(Kind::kStrayBytes, Severity::kWarning).offset, kSuperblockFileBytes);
}

TEST_F(FindingKind, OfANameThatIsNotTheStoresIsAForeignFile) {
  write();
  write_file(temp_.file("notes.txt"), {});
  EXPECT_EQ(only(Kind::kForeignFile, Severity::kWarning).file, temp_.file("notes.txt"));
}

TEST_F(FindingKind, OfAQuarantinedFileIsSetAside) {
  write();
  write_file(temp_.file("quarantine-0000000000000009.vls"), {});
  EXPECT_EQ(only(Kind::kSetAside, Severity::kInfo).file, temp_.file("quarantine-0000000000000009.vls"));
}

TEST_F(FindingKind, OfASegmentThatTheManifestDoesNotNameIsAnOrphan) {
  builder_.edit(NextIds{SegmentId(50), FamilyId(1), JournalId(50)});
  write();
  write_file(temp_.file(segment_name(SegmentId(40))), {});
  EXPECT_EQ(only(Kind::kOrphan, Severity::kInfo).file, temp_.file(segment_name(SegmentId(40))));
}

}  // namespace
}  // namespace vectolith
