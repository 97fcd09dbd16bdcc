/// @file
/// Repair of stores with one kind of damage each: what can be had is there afterwards, and fsck is clean.
#include <cstring>
#include <filesystem>
#include <functional>

#include <vectolith/format/superblock.h>

#include "engine/verify/repairable_store.h"

namespace vectolith::testing {
namespace {

using namespace format;

class Repair : public RepairableStore {
 protected:
  /// Repairs, and expects what every repair promises. Returns what the store then holds.
  Contents repaired(const std::string& path, std::map<FamilyId, std::string> names = {}) {
    const auto planned = mend(path, false, names);
    EXPECT_FALSE(planned.applied);
    const auto report = mend(path, true, names);
    EXPECT_EQ(planned.actions.size(), report.actions.size()) << "a plan tells what will be done";
    EXPECT_TRUE(report.applied) << to_text(report);
    EXPECT_TRUE(report.after && report.after->clean())
        << to_text(report) << to_text(report.after.value_or(FsckReport{}));
    EXPECT_TRUE(mend(path, false).actions.empty()) << "nothing is left to repair\n"
                                                   << to_text(mend(path, false));
    const Contents contents = open_and_look(path);
    EXPECT_TRUE(check(path).clean()) << to_text(check(path));
    EXPECT_EQ(contents.foreign, 0U);
    EXPECT_EQ(contents.revived, 0U);
    EXPECT_EQ(contents.stale, 0U);
    last_ = report;
    return contents;
  }
  void expect_whole(const std::string& path) {
    const Contents contents = repaired(path);
    EXPECT_EQ(contents.present, live_keys()) << to_text(last_);
    EXPECT_EQ(contents.missing, 0U);
  }
  /// The sealed segment of family 1.
  std::string sealed_vectors(const std::string& path) {
    for (const auto& name : names(path, ".vls")) {
      const auto header = header_of(path + "/" + name);
      if (header.family_id == FamilyId(2) && header.kind == SegmentKind::kVector) return name;
    }
    return {};
  }

  RepairReport last_;
};

TEST_F(Repair, FindsNothingToDoInAWholeStore) {
  const auto before = mend(temp_.path());
  EXPECT_TRUE(before.actions.empty()) << to_text(before);
  EXPECT_TRUE(before.before.clean());
  EXPECT_FALSE(before.applied);
  EXPECT_TRUE(mend(killed_.path()).actions.empty()) << "what a kill leaves is no damage";
  EXPECT_EQ(open_and_look(temp_.path()).present, live_keys());
  EXPECT_EQ(open_and_look(killed_.path()).present, live_keys());
}

TEST_F(Repair, OnlyPlansUntilItIsAppliedAndThenWritesNothing) {
  std::filesystem::remove(temp_.file("MANIFEST-0"));
  std::map<std::string, std::vector<std::byte>> before;
  for (const auto& entry : std::filesystem::directory_iterator(temp_.path()))
    before[entry.path()] = read_file(entry.path());
  const auto plan = mend(temp_.path(), false);
  EXPECT_FALSE(plan.actions.empty());
  EXPECT_GT(plan.before.damage, 0U);
  std::map<std::string, std::vector<std::byte>> after;
  for (const auto& entry : std::filesystem::directory_iterator(temp_.path()))
    after[entry.path()] = read_file(entry.path());
  EXPECT_TRUE(before == after);
}

TEST_F(Repair, RefusesAStoreThatIsOpenAndADirectoryThatIsNone) {
  auto store = Store::open(temp_.path(), options());
  ASSERT_TRUE(store.has_value());
  for (const bool apply : {false, true}) {
    const auto refused =
        repair(temp_.path(), {.apply = apply, .family_names = {}, .environment = environment_});
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code(), ErrorCode::kLocked);
  }
  TempDirectory empty;
  EXPECT_EQ(
      repair(empty.path(), {.apply = true, .family_names = {}, .environment = environment_}).error().code(),
      ErrorCode::kNotAStore);
  EXPECT_TRUE(std::filesystem::is_empty(empty.path())) << "not even LOCK is made";
}

TEST_F(Repair, WritesASuperblockAnewThatLostOneOrBothCopiesOrItsFile) {
  flip(temp_.file("STORE"), 40);
  expect_whole(temp_.path());
  flip(temp_.file("STORE"), 40);
  flip(temp_.file("STORE"), 4'096 + 40);
  expect_whole(temp_.path());
  std::filesystem::remove(temp_.file("STORE"));
  expect_whole(temp_.path());
}

TEST_F(Repair, RebuildsAManifestFromWhatIsLeftOfItNamesIncluded) {
  for (const std::string& path : {temp_.path(), killed_.path()}) {
    // A frame in the middle: those behind it prove that edits are lost.
    flip(path + "/MANIFEST-0", 4'096 + 128 + 9);
    expect_whole(path);
    const auto store = Store::open(path, options());
    EXPECT_TRUE((*store)->family("first").has_value());
    EXPECT_TRUE((*store)->existing_record_family("records").has_value());
  }
}

TEST_F(Repair, RebuildsALostManifestFromTheSegmentsAndSaysThatNamesAreLost) {
  for (const std::string& path : {temp_.path(), killed_.path()}) {
    std::filesystem::remove(path + "/MANIFEST-0");
    std::filesystem::remove(path + "/MANIFEST-1");
    const Contents contents = repaired(path, {{FamilyId(2), "second"}});
    EXPECT_EQ(contents.present, live_keys()) << to_text(last_);
    const auto store = Store::open(path, options());
    ASSERT_TRUE(store.has_value());
    EXPECT_TRUE((*store)->family("recovered-1").has_value());
    EXPECT_TRUE((*store)->family("second", small_spec(kSmallDim * 2)).has_value())
        << "the spec stands in headers";
    EXPECT_TRUE((*store)->existing_record_family("recovered-3").has_value());
    // What is written from now on is newer than all that was there.
    auto family = *(*store)->family("recovered-1");
    const auto vector = vector_of(1, 9, kSmallDim);
    ASSERT_TRUE(
        family.put(scoped(1, ScopeId(1)), std::span<const float>(vector), {.replace = true}).has_value());
    const auto got = family.get(scoped(1, ScopeId(1)));
    ASSERT_TRUE(got && *got);
    EXPECT_TRUE(same_bytes(***got, vector));
  }
}

TEST_F(Repair, RefusesANameThatCannotBeGiven) {
  std::filesystem::remove(temp_.file("MANIFEST-0"));
  const auto refused = repair(
      temp_.path(), {.apply = true, .family_names = {{FamilyId(1), "a/b"}}, .environment = environment_});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), ErrorCode::kInvalidArgument);
}

TEST_F(Repair, MakesAMissingUnusedManifestFileAnew) {
  std::filesystem::remove(temp_.file("MANIFEST-1"));
  EXPECT_FALSE(Store::open(temp_.path(), options()).has_value());
  expect_whole(temp_.path());
}

TEST_F(Repair, WritesASegmentHeaderAnewFromWhatTheManifestSays) {
  for (const std::string& path : {temp_.path(), killed_.path()}) {
    for (const auto& name : names(path, ".vls")) flip(path + "/" + name, 50);
    expect_whole(path);
    EXPECT_TRUE(names(path, "quarantine").empty());
  }
}

TEST_F(Repair, QuarantinesADamagedVectorAndLetsNoOlderVersionAnswerForIt) {
  for (const std::string& path : {temp_.path(), killed_.path()}) {
    const std::string file = path + "/" + sealed_vectors(path);
    const auto header = header_of(file);
    const auto bytes = read_file(file);
    std::uint64_t damaged = 0;
    for (std::uint32_t row = 0; row < header.row_capacity; ++row) {
      MetaRow meta;
      std::memcpy(&meta, bytes.data() + header.meta_offset + row * 64ULL, sizeof meta);
      for (std::uint64_t key = 0; key < kKeys; ++key) {
        // The newest version of a key that was replaced: version 1 has a higher sequence than all of version
        // 0.
        if (meta.key.digest != digest_of(key) || last_version(key) != 1 || is_erased(key)) continue;
        const auto vector = vector_of(key, 1, kSmallDim * 2);
        const auto* at = bytes.data() + header.matrix_offset + std::uint64_t{row} * header.row_bytes;
        if (std::memcmp(at, vector.data(), header.row_bytes) != 0) continue;
        flip(file, header.matrix_offset + std::uint64_t{row} * header.row_bytes + 7);
        ++damaged;
      }
    }
    ASSERT_GT(damaged, 0U);
    const Contents contents = repaired(path);
    EXPECT_EQ(contents.missing, damaged);
    EXPECT_EQ(contents.present, live_keys() - damaged);
    EXPECT_EQ(last_.rows_quarantined, damaged) << to_text(last_);
    EXPECT_EQ(last_.rows_of_unknown_key, 0U);
  }
}

TEST_F(Repair, CountsRowsWhoseKeyIsLostToo) {
  const std::string file = temp_.file(sealed_vectors(temp_.path()));
  const auto header = header_of(file);
  flip(file, header.meta_offset + 64 * 2 + 3);
  const Contents contents = repaired(temp_.path());
  EXPECT_EQ(contents.missing, 1U);
  EXPECT_EQ(last_.rows_quarantined, 1U);
  EXPECT_EQ(last_.rows_of_unknown_key, 1U);
}

TEST_F(Repair, QuarantinesDamagedRecordsAlone) {
  for (const std::string& path : {temp_.path(), killed_.path()}) {
    for (const auto& name : names(path, ".vls")) {
      const auto header = header_of(path + "/" + name);
      if (header.kind != SegmentKind::kRecord) continue;
      flip(path + "/" + name, header.matrix_offset + 64 * 4 + 1);
    }
    const Contents contents = repaired(path);
    EXPECT_GE(contents.missing, 1U);
    EXPECT_LE(contents.missing, 2U);
  }
}

TEST_F(Repair, SealsASegmentAgainWhoseFooterIsDamaged) {
  for (const auto& name : names(temp_.path(), ".vls")) {
    const auto header = header_of(temp_.file(name));
    flip(temp_.file(name), header.footer_offset + 20);
  }
  // Suspended segments have no footer: their flip is in unused space and no damage.
  const auto report = mend(temp_.path());
  EXPECT_TRUE(check(temp_.path()).clean());
  EXPECT_EQ(open_and_look(temp_.path()).present, live_keys()) << to_text(report);
  EXPECT_TRUE(check(temp_.path()).clean()) << to_text(check(temp_.path()));
}

TEST_F(Repair, GrowsATruncatedSegmentAndKeepsTheRowsBeforeTheCut) {
  const std::string file = temp_.file(sealed_vectors(temp_.path()));
  const auto header = header_of(file);
  std::filesystem::resize_file(file, header.matrix_offset + 20ULL * header.row_bytes);
  const Contents contents = repaired(temp_.path());
  EXPECT_GE(contents.present, live_keys() * 2 / 3);
  EXPECT_GT(contents.missing, 0U);
}

TEST_F(Repair, CutsASegmentThatIsTooLong) {
  const std::string file = temp_.file(sealed_vectors(temp_.path()));
  std::filesystem::resize_file(file, std::filesystem::file_size(file) + 5'000);
  expect_whole(temp_.path());
}

TEST_F(Repair, ForgetsASegmentThatIsMissing) {
  const std::string file = temp_.file(sealed_vectors(temp_.path()));
  std::filesystem::remove(file);
  const Contents contents = repaired(temp_.path());
  EXPECT_GT(contents.missing, 0U);
  EXPECT_GE(contents.present, live_keys() * 2 / 3);
  EXPECT_EQ(last_.files_lost, 1U);
}

TEST_F(Repair, SetsFilesOfAnotherStoreAsideAndDeletesNothing) {
  const std::string name = sealed_vectors(temp_.path());
  TempDirectory other;
  {
    auto store = Store::open(other.path(), options());
    ASSERT_TRUE(fill(**store).has_value());
    ASSERT_TRUE((*store)->close().has_value());
  }
  const auto foreign = read_file(other.file(name));
  write_file(temp_.file(name), foreign);
  const Contents contents = repaired(temp_.path());
  EXPECT_GT(contents.missing, 0U);
  EXPECT_EQ(read_file(temp_.file("quarantine-" + name)), foreign);
}

TEST_F(Repair, KeepsErasesOfADamagedJournal) {
  for (const std::string& path : {temp_.path(), killed_.path()}) {
    for (const auto& name : names(path, ".vlj")) flip(path + "/" + name, 60);  // Its header.
    expect_whole(path);
  }
}

TEST_F(Repair, KeepsErasesOfAJournalWhoseHeaderAndManifestAreDamaged) {
  for (const std::string& path : {temp_.path(), killed_.path()}) {
    for (const auto& name : names(path, ".vlj")) flip(path + "/" + name, 90);
    std::filesystem::remove(path + "/MANIFEST-0");
    EXPECT_EQ(repaired(path).present, live_keys());
  }
}

TEST_F(Repair, LosesOnlyTheErasesThatCannotBeRead) {
  const auto journals = names(temp_.path(), ".vlj");
  flip(temp_.file(journals.back()), kJournalHeaderBytes + 64 + 20);
  const auto report = mend(temp_.path());
  ASSERT_TRUE(report.after && report.after->clean()) << to_text(report);
  const Contents contents = open_and_look(temp_.path());
  EXPECT_EQ(contents.revived, 1U) << "the erase of one key in one family stood in that row";
  EXPECT_EQ(contents.present, live_keys());
  EXPECT_EQ(contents.foreign + contents.stale + contents.missing, 0U);
}

TEST_F(Repair, NeverRepairsWhatANewerVersionWrote) {
  auto bytes = read_file(temp_.file("STORE"));
  Superblock superblock = *decode_superblock(bytes);
  superblock.incompat = 1;
  write_file(temp_.file("STORE"), encode_superblock(superblock));
  std::filesystem::remove(temp_.file("MANIFEST-0"));
  const auto refused = repair(temp_.path(), {.apply = true, .family_names = {}, .environment = environment_});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace vectolith::testing
