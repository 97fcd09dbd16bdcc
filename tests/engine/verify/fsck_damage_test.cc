/// @file
/// fsck finds a flipped bit in every byte that a sum covers, and says where; hostile bytes do not stop it.
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <vectolith/format/file_name.h>
#include <vectolith/format/superblock.h>

#include "engine/verify/tiny_store.h"
#include "support/random_seed.h"
#include "support/temp_directory.h"

namespace vectolith {
namespace {

using namespace format;
using namespace testing;

constexpr std::uint64_t kSamplesPerRegion = 120;

/// A range of bytes that sums cover. A finding must lie in the same unit as the flipped byte.
struct Region {
  std::string what;
  std::string file;
  std::uint64_t begin = 0, end = 0;
  std::uint64_t unit = 0;  ///< 0: the whole region.
  Finding::Severity at_least = Finding::Severity::kDamage;
};

/// A cleanly closed store with sealed and suspended segments of both kinds, and its covered regions.
class FsckDamageTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const Basics basics = add_basics(builder_);
    add_vectors(basics.vectors);
    add_records(basics.records);
    builder_.add_journal(journal_rows());
    add(Region{"journal header", journal_name(JournalId(1)), 0, kJournalHeaderBytes});
    add(Region{"journal row", journal_name(JournalId(1)), kJournalHeaderBytes, kJournalHeaderBytes + 3 * 64,
               64});
    builder_.edit(CleanClose{Sequence(2'000), 3});
    builder_.write(temp_.path());
    add_structure();
  }

  void add_vectors(FamilyId family) {
    SegmentImage sealed = vectors(builder_, family, 100);
    sealed.seal(kVectorRows, {kInvalidRows}, interned(true));
    add_vector_regions(sealed, "sealed");
    add(Region{"sealed footer", sealed.name(), sealed.header.footer_offset,
               sealed.header.footer_offset + sealed.footer_used_bytes});
    builder_.add(sealed, {sealed.seal_edit()});
    SegmentImage suspended = vectors(builder_, family, 200);
    add_vector_regions(suspended, "suspended");
    builder_.add(suspended, {SuspendSegment{suspended.header.segment_id, kVectorRows}});
  }

  void add_vector_regions(const SegmentImage& segment, const std::string& phase) {
    add(Region{phase + " header", segment.name(), 0, kSegmentHeaderBytes});
    add(Region{phase + " meta", segment.name(), segment.row_offset(0), segment.row_offset(kVectorRows), 64});
    add(Region{phase + " matrix", segment.name(), segment.vector_offset(0),
               segment.vector_offset(kVectorRows), segment.header.row_bytes});
  }

  void add_records(FamilyId family) {
    for (const bool is_sealed : {true, false}) {
      std::uint32_t units = 0;
      SegmentImage segment = records(builder_, family, 300, units);
      if (is_sealed) segment.seal(units, {}, interned(false));
      add(Region{"record header", segment.name(), 0, kSegmentHeaderBytes});
      add(Region{"record data", segment.name(), segment.row_offset(0), segment.row_offset(units)});
      const SegmentId id = segment.header.segment_id;
      if (is_sealed) {
        add(Region{"record footer", segment.name(), segment.header.footer_offset,
                   segment.header.footer_offset + segment.footer_used_bytes});
        builder_.add(segment, {segment.seal_edit()});
      } else {
        builder_.add(segment, {SuspendSegment{id, units}});
      }
    }
  }

  void add_structure() {
    const auto& frames = builder_.frame_offsets();
    add(Region{"superblock copies", std::string(kSuperblockName), 0, kSuperblockFileBytes, kSuperblockBytes});
    add(Region{"manifest header and snapshot", manifest_name(0), 0, frames.front()});
    for (std::size_t i = 0; i + 2 < frames.size(); ++i)
      add(Region{"manifest frame", manifest_name(0), frames[i], frames[i + 1]});
    // The last frame cannot be told from a commit that did not end.
    add(Region{"last manifest frame", manifest_name(0), frames[frames.size() - 2], frames.back(), 0,
               Finding::Severity::kInfo});
  }

  void add(Region region) { regions_.push_back(std::move(region)); }

  void flip(const std::string& file, std::uint64_t offset, int bit) {
    std::fstream stream(temp_.file(file), std::ios::in | std::ios::out | std::ios::binary);
    stream.seekg(static_cast<std::streamoff>(offset));
    const int byte = stream.get();
    stream.seekp(static_cast<std::streamoff>(offset));
    stream.put(static_cast<char>(byte ^ (1 << bit)));
    ASSERT_TRUE(stream.good());
  }

  FsckReport check() {
    auto report = fsck(temp_.path(), {.on_progress = {}, .environment = environment_, .online = false});
    EXPECT_TRUE(report.has_value()) << report.error().to_string();
    return report ? *std::move(report) : FsckReport{};
  }

  TempDirectory temp_;
  StoreBuilder builder_;
  std::vector<Region> regions_;
  std::shared_ptr<engine::Environment> environment_ = test_environment();
};

/// Every byte of a small region, a random sample with both ends of a large one.
std::set<std::uint64_t> positions(const Region& region, std::mt19937_64& random) {
  std::set<std::uint64_t> chosen;
  const std::uint64_t bytes = region.end - region.begin;
  if (bytes <= kSamplesPerRegion) {
    for (std::uint64_t at = region.begin; at < region.end; ++at) chosen.insert(at);
    return chosen;
  }
  for (std::uint64_t i = 0; i < 8; ++i) {
    chosen.insert(region.begin + i);
    chosen.insert(region.end - 1 - i);
  }
  while (chosen.size() < kSamplesPerRegion) chosen.insert(region.begin + random() % bytes);
  return chosen;
}

bool is_reported(const FsckReport& report, const Region& region, const std::string& path, std::uint64_t at) {
  const std::uint64_t begin =
      region.unit == 0 ? region.begin : region.begin + (at - region.begin) / region.unit * region.unit;
  const std::uint64_t end = region.unit == 0 ? region.end : begin + region.unit;
  return std::ranges::any_of(report.findings, [&](const Finding& finding) {
    return finding.severity >= region.at_least && finding.file == path && finding.offset >= begin &&
           finding.offset < end && !finding.what.empty() && !finding.expected.empty() &&
           !finding.found.empty();
  });
}

/// Rows that the manifest calls invalid are covered by the sums of whole regions only.
bool is_in_invalid_row(const Region& region, std::uint64_t at) {
  if (!region.what.starts_with("sealed m")) return false;
  const std::uint64_t row = (at - region.begin) / region.unit;
  return row >= kInvalidRows.first && row <= kInvalidRows.last;
}

TEST_F(FsckDamageTest, FindsAFlippedBitInEveryCoveredRegionWhereItIs) {
  ASSERT_TRUE(check().findings.empty()) << to_text(check());
  std::mt19937_64 random(random_seed());
  for (const Region& region : regions_) {
    for (const std::uint64_t at : positions(region, random)) {
      const int bit = static_cast<int>(random() % 8);
      flip(region.file, at, bit);
      const FsckReport report = check();
      if (is_in_invalid_row(region, at)) {
        EXPECT_GT(report.damage, 0U) << region.what << " byte " << at;
      } else {
        ASSERT_TRUE(is_reported(report, region, temp_.file(region.file), at))
            << region.what << " of " << region.file << ", byte " << at << " bit " << bit << "\n"
            << to_text(report);
      }
      flip(region.file, at, bit);
    }
  }
  EXPECT_TRUE(check().findings.empty()) << "every bit was flipped back";
}

TEST_F(FsckDamageTest, FindsEveryTruncationOfEveryFile) {
  for (const auto& entry : std::filesystem::directory_iterator(temp_.path())) {
    const std::string name = entry.path().filename();
    if (name == kLockName || name == "MANIFEST-1") continue;  // Nothing is in them.
    const auto whole = read_file(entry.path());
    for (const std::uint64_t length :
         {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{63}, std::uint64_t{4'095}, std::uint64_t{4'096},
          std::uint64_t{4'200}, std::uint64_t{whole.size() / 2}, std::uint64_t{whole.size() - 1}}) {
      std::filesystem::resize_file(entry.path(), std::min<std::uint64_t>(length, whole.size() - 1));
      const FsckReport report = check();
      EXPECT_TRUE(std::ranges::any_of(report.findings,
                                      [&](const Finding& f) {
                                        return f.severity == Finding::Severity::kDamage &&
                                               f.file == entry.path();
                                      }))
          << name << " cut to " << length << "\n"
          << to_text(report);
      write_file(entry.path(), whole);
    }
  }
}

TEST_F(FsckDamageTest, FindsEveryMissingFile) {
  for (const auto& entry : std::filesystem::directory_iterator(temp_.path())) {
    const std::string name = entry.path().filename();
    if (name == kLockName) continue;
    const auto whole = read_file(entry.path());
    std::filesystem::remove(entry.path());
    const FsckReport report = check();
    const Finding* missing = find(report, "the file is missing");
    ASSERT_NE(missing, nullptr) << name << "\n" << to_text(report);
    EXPECT_EQ(missing->file, entry.path());
    EXPECT_EQ(missing->severity, Finding::Severity::kDamage);
    write_file(entry.path(), whole);
  }
}

TEST_F(FsckDamageTest, SurvivesRandomBytesInEveryFile) {
  std::mt19937_64 random(random_seed());
  for (int round = 0; round < 300; ++round) {
    const Region& region = regions_[random() % regions_.size()];
    if (region.at_least == Finding::Severity::kInfo)
      continue;  // Random bytes there look like no frame at all.
    const std::string path = temp_.file(region.file);
    const auto whole = read_file(path);
    auto damaged = whole;
    for (std::uint64_t i = 0, n = 1 + random() % 64; i < n; ++i) {
      damaged[region.begin + random() % (region.end - region.begin)] = static_cast<std::byte>(random());
    }
    write_file(path, damaged);
    EXPECT_EQ(check().findings.empty(), damaged == whole) << region.what;
    write_file(path, whole);
  }
}

TEST_F(FsckDamageTest, ChecksSegmentsByTheirOwnFootersWhenTheManifestIsLost) {
  std::filesystem::remove(temp_.file(manifest_name(0)));
  std::filesystem::remove(temp_.file(manifest_name(1)));
  const FsckReport report = check();
  EXPECT_GE(report.damage, 2U);
  EXPECT_EQ(report.segments, 4U);
  EXPECT_GT(report.rows, kVectorRows) << "rows of sealed segments are still checked";
  flip(segment_name(SegmentId(1)), 4'096 + 64, 0);
  EXPECT_GT(check().damage, report.damage);
}

}  // namespace
}  // namespace vectolith
