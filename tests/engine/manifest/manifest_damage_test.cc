/// @file
/// Crashes inside commits and switches, and damaged bytes: the newest acknowledged state or a refusal.
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <vectolith/format/file_name.h>

#include "manifest/manifest_file.h"
#include "manifest/manifest_log.h"
#include "support/fault_environment.h"
#include "support/manifest_edits.h"
#include "support/random_seed.h"
#include "support/temp_directory.h"

namespace vectolith::engine {
namespace {

using namespace std::chrono_literals;
using namespace format;
using testing::fat_edit;
using testing::FaultEnvironment;
using testing::TempDirectory;
using testing::test_uuid;
using Bytes = std::vector<std::byte>;

const Uuid kStore = test_uuid(1);

Edit reserve(std::uint64_t until) { return ReserveSequences{Sequence(until)}; }

/// One manifest with a history: after each commit, the state is kept.
class ManifestDamageTest : public ::testing::Test {
 protected:
  void SetUp() override { directory_ = *environment_.open_directory(temp_.path(), false); }

  std::unique_ptr<ManifestLog> create() {
    return *ManifestLog::create(environment_, *directory_, kStore, std::vector<Edit>{reserve(100)});
  }
  Result<std::unique_ptr<ManifestLog>> open(bool read_only = true) {
    return ManifestLog::open(environment_, *directory_, kStore, read_only, 0ms);
  }
  std::string path(int index) const { return temp_.file(manifest_name(index)); }
  /// The file whose header is valid and newest.
  int current() const {
    ManifestPair pair;
    for (int i : {0, 1})
      pair.files[static_cast<std::size_t>(i)] =
          read_manifest_file(testing::read_file(path(i)), path(i), kStore);
    return *pair.choose();
  }
  ManifestFile parsed(int index) const {
    return read_manifest_file(testing::read_file(path(index)), path(index), kStore);
  }

  TempDirectory temp_;
  FaultEnvironment environment_{testing::test_environment()};
  std::unique_ptr<Directory> directory_;
};

/// Commits fat edits until the log moves to its other file; returns how many were made.
std::uint32_t commit_until_switch(ManifestLog& log, std::uint32_t from) {
  for (std::uint32_t i = from;; ++i) {
    const auto version = log.version();
    if (!log.commit(std::vector{fat_edit(i)}).has_value()) return 0;
    if (log.version().value == version.value + 2) return i;
  }
}

TEST_F(ManifestDamageTest, DropsATornLastFrameAtEveryByte) {
  auto log = create();
  ASSERT_TRUE(log->commit(std::vector{reserve(200)}).has_value());
  const ManifestState before = log->state();
  const std::uint64_t begin = parsed(0).end;
  ASSERT_TRUE(log->commit(std::vector{reserve(300), reserve(400), reserve(500), reserve(600), reserve(700)})
                  .has_value());
  const ManifestState after = log->state();
  log.reset();
  const std::uint64_t end = parsed(0).end;
  ASSERT_GT(end, begin + 64);
  const Bytes whole = testing::read_file(path(0));
  for (std::uint64_t cut = begin; cut < end; ++cut) {
    Bytes torn = whole;
    std::fill(torn.begin() + static_cast<std::ptrdiff_t>(cut),
              torn.begin() + static_cast<std::ptrdiff_t>(end), std::byte{0});
    if (torn == whole) continue;  // Only padding was cut.
    testing::write_file(path(0), torn);
    const auto opened = open();
    ASSERT_TRUE(opened.has_value()) << cut << ": " << opened.error().to_string();
    ASSERT_EQ((*opened)->state(), before) << cut;
  }
  testing::write_file(path(0), whole);
  EXPECT_EQ((*open())->state(), after);
}

TEST_F(ManifestDamageTest, RefusesAnyDamageInAFrameThatHasAValidOneBehindIt) {
  auto log = create();
  const std::uint64_t begin = parsed(0).end;
  ASSERT_TRUE(log->commit(std::vector{reserve(200)}).has_value());
  const std::uint64_t end = parsed(0).end;
  ASSERT_TRUE(log->commit(std::vector{reserve(300)}).has_value());
  log.reset();
  const Bytes whole = testing::read_file(path(0));
  for (std::uint64_t at = begin; at < end; ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      Bytes damaged = whole;
      damaged[at] ^= std::byte(1 << bit);
      testing::write_file(path(0), damaged);
      const auto opened = open();
      ASSERT_FALSE(opened.has_value()) << at << "." << bit;
      ASSERT_EQ(opened.error().code(), ErrorCode::kCorruption);
      ASSERT_EQ(opened.error().file(), path(0));
      ASSERT_EQ(opened.error().offset(), begin);
      ASSERT_NE(opened.error().to_string().find("fsck"), std::string::npos);
    }
  }
  Bytes erased = whole;
  std::fill_n(erased.begin() + static_cast<std::ptrdiff_t>(begin), end - begin, std::byte{0});
  testing::write_file(path(0), erased);
  EXPECT_FALSE(open().has_value()) << "a frame that reads as zeros is damage too";
}

TEST_F(ManifestDamageTest, NeverGoesBackBehindAnAcknowledgedEditWhenAHeaderBitFlips) {
  auto log = create();
  const std::uint32_t last = commit_until_switch(*log, 1);
  ASSERT_NE(commit_until_switch(*log, last + 1), 0U);
  const ManifestState newest = log->state();
  log.reset();
  int refusals = 0;
  for (const int index : {0, 1}) {
    ManifestPair pair;
    pair.files[static_cast<std::size_t>(1 - index)] = parsed(1 - index);
    Bytes bytes = testing::read_file(path(index));
    // Every bit of the header's fields, of its sum and of the snapshot's head; a sample of the rest.
    for (std::size_t at = 0; at < kManifestHeaderBytes + 64; at += at < 96 || at >= 4'088 ? 1 : 97) {
      for (int bit = 0; bit < 8; ++bit) {
        bytes[at] ^= std::byte(1 << bit);
        pair.files[static_cast<std::size_t>(index)] = read_manifest_file(bytes, path(index), kStore);
        bytes[at] ^= std::byte(1 << bit);
        const auto chosen = pair.choose();
        if (chosen) {
          ASSERT_EQ(pair.files[static_cast<std::size_t>(*chosen)].state, newest)
              << index << ": " << at << "." << bit;
          continue;
        }
        ++refusals;
        ASSERT_NE(chosen.error().to_string().find("fsck"), std::string::npos) << chosen.error().to_string();
        ASSERT_EQ(chosen.error().file(), path(index));
      }
    }
  }
  EXPECT_GT(refusals, 300);
}

TEST_F(ManifestDamageTest, SurvivesDamageOfTheOlderFile) {
  auto log = create();
  ASSERT_NE(commit_until_switch(*log, 1), 0U);
  const ManifestState newest = log->state();
  log.reset();
  Bytes older = testing::read_file(path(1 - current()));
  for (std::size_t at = 0; at < older.size(); at += 911) older[at] ^= std::byte{0x5A};
  testing::write_file(path(1 - current()), older);
  auto opened = open(false);
  ASSERT_TRUE(opened.has_value()) << opened.error().to_string();
  EXPECT_EQ((*opened)->state(), newest);
  ASSERT_NE(commit_until_switch(**opened, 1'000), 0U) << "and the next switch repairs it";
}

TEST_F(ManifestDamageTest, RefusesWhenNeitherFileIsValidOrOneIsMissing) {
  auto log = create();
  log.reset();
  const Bytes whole = testing::read_file(path(0));
  testing::write_file(path(0), Bytes(whole.size()));
  for (const char* story : {"all zero", "missing"}) {
    const auto opened = open();
    ASSERT_FALSE(opened.has_value()) << story;
    EXPECT_EQ(opened.error().code(), ErrorCode::kCorruption) << story;
    EXPECT_NE(opened.error().to_string().find("fsck"), std::string::npos) << story;
    testing::write_file(path(0), whole);
    ASSERT_TRUE(directory_->unlink(manifest_name(1)).has_value() || story == std::string("missing"));
  }
}

TEST_F(ManifestDamageTest, RefusesATruncatedFile) {
  auto log = create();
  log.reset();
  Bytes bytes = testing::read_file(path(0));
  for (const std::size_t length :
       {std::size_t{1}, std::size_t{4'095}, std::size_t{4'096}, std::size_t{4'200}, bytes.size() - 1}) {
    testing::write_file(path(0), Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length)));
    const auto opened = open();
    ASSERT_FALSE(opened.has_value()) << length;
    EXPECT_EQ(opened.error().code(), ErrorCode::kCorruption);
  }
}

TEST_F(ManifestDamageTest, BoundsTheSearchInAFileMadeOfFrameHeads) {
  auto log = create();
  log.reset();
  Bytes bytes = testing::read_file(path(0));
  bytes.resize(32U << 20);
  for (std::size_t at = parsed(0).end; at + 64 <= bytes.size(); at += 64) {
    const std::uint64_t version = 1'000 + at;
    const auto payload = static_cast<std::uint32_t>(bytes.size() - at - 64);
    std::memcpy(bytes.data() + at + 8, &version, sizeof version);
    std::memcpy(bytes.data() + at + 16, &payload, sizeof payload);
  }
  ManifestHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  header.file_bytes = bytes.size();
  const auto encoded = encode_manifest_header(header);
  std::ranges::copy(encoded, bytes.begin());
  const ManifestFile file = read_manifest_file(bytes, "hostile", kStore);
  EXPECT_EQ(file.condition, ManifestFile::Condition::kInvalid);
  ASSERT_TRUE(file.error.has_value());
  EXPECT_NE(file.error->message().find("frame-like"), std::string::npos) << file.error->to_string();
}

// Story: the process dies, or the power goes, somewhere inside a commit that may switch files. What
// was acknowledged is there afterwards, what was not is there wholly or not at all, twice the same.
TEST_F(ManifestDamageTest, ComesBackAfterACrashInEveryStepOfASwitch) {
  std::mt19937_64 random(testing::random_seed());
  auto log = create();
  std::uint32_t next = commit_until_switch(*log, 1) + 1;
  // Stop right before the commit that switches back, and keep the files of that moment.
  const TempDirectory saved;
  for (;; ++next) {
    testing::copy_files(temp_.path(), saved.path());
    const auto version = log->version();
    ASSERT_TRUE(log->commit(std::vector{fat_edit(next)}).has_value());
    if (log->version().value == version.value + 2) break;
  }
  log.reset();
  std::uint64_t outcomes[2] = {0, 0};
  for (int round = 0; round < 120; ++round) {
    testing::copy_files(saved.path(), temp_.path());
    log = *open(false);
    const ManifestState before = log->state();
    ManifestState after = before;
    ASSERT_TRUE(after.apply(fat_edit(next)).has_value());
    // A switch is: preallocate?, write snapshot, sync, write header, sync, write frame, sync.
    environment_.die_at(environment_.changes() + random() % 8, random() % 20'000);
    const bool acknowledged = log->commit(std::vector{fat_edit(next)}).has_value();
    environment_.decide({});
    log.reset();
    if (round % 2 == 0) environment_.power_cut(random());
    auto reopened = open(false);
    ASSERT_TRUE(reopened.has_value()) << round << ": " << reopened.error().to_string();
    const bool there = (*reopened)->state() == after;
    ASSERT_TRUE(there || (*reopened)->state() == before) << round;
    ASSERT_TRUE(there || !acknowledged) << round;
    ++outcomes[there ? 1 : 0];
    const ManifestVersion version = (*reopened)->version();
    reopened->reset();
    environment_.power_cut(random());
    auto again = open(false);
    ASSERT_TRUE(again.has_value()) << again.error().to_string();
    ASSERT_EQ((*again)->version(), version) << "an open made durable what it read";
    if (!there) {
      ASSERT_TRUE((*again)->commit(std::vector{fat_edit(next)}).has_value());
    }
    ASSERT_EQ((*again)->state(), after);
  }
  EXPECT_GT(outcomes[0], 0U);
  EXPECT_GT(outcomes[1], 0U);
}

}  // namespace
}  // namespace vectolith::engine
