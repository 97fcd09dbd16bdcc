/// @file
/// The disk that forgets, before anything stands on it: what it may lose and what it must keep.
#include "fault_fs/volatile_tree.h"

#include <cstring>
#include <set>
#include <string>

#include <gtest/gtest.h>
#include <sys/stat.h>

namespace vectolith::crash {
namespace {

constexpr CutShape kLoseAll{.keep = 0, .unit = 512};
constexpr CutShape kKeepAll{.keep = 1, .unit = 512};
constexpr CutShape kToss{.keep = 0.5, .unit = 512};

void write(SectorFile& file, std::uint64_t offset, std::size_t bytes, char letter) {
  const std::string text(bytes, letter);
  file.write(offset, std::as_bytes(std::span(text)));
}

std::string text_of(const SectorFile& file) {
  std::string text(file.size(), '?');
  EXPECT_EQ(file.read(0, std::as_writable_bytes(std::span(text))), text.size());
  return text;
}

TEST(SectorFile, KeepsWhatWasSyncedThroughAnyCut) {
  SectorFile file;
  write(file, 0, 3000, 'a');
  file.sync();
  std::mt19937_64 random(1);
  file.cut_power(random, kLoseAll);
  EXPECT_EQ(text_of(file), std::string(3000, 'a'));
}

TEST(SectorFile, LosesEachUnsyncedSectorAloneAndNeverABitBesides) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    SectorFile file;
    write(file, 0, 2048, 'a');
    file.sync();
    write(file, 100, 1300, 'b');  // Sectors 0 to 2, of which 0 and 2 only in part.
    std::mt19937_64 random(seed);
    file.cut_power(random, kToss);
    std::string state;
    const std::string text = text_of(file);
    for (std::size_t at = 0; at < text.size(); ++at) {
      const bool written = at >= 100 && at < 1400;
      ASSERT_TRUE(text[at] == 'a' || (written && text[at] == 'b')) << at;
      if (at % 512 == 256) state += text[at];
    }
    seen.insert(state);
  }
  EXPECT_EQ(seen.size(), 8U) << "three sectors have eight fates";
}

TEST(SectorFile, MayLoseASizeAndKeepTheSectorsOrTheOtherWayRound) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    SectorFile file;
    write(file, 0, 512, 'a');
    file.sync();
    write(file, 512, 512, 'b');
    std::mt19937_64 random(seed);
    file.cut_power(random, kToss);
    seen.insert(text_of(file));
  }
  const std::string first(512, 'a');
  EXPECT_EQ(seen,
            (std::set<std::string>{first, first + std::string(512, 'b'), first + std::string(512, '\0')}));
}

TEST(SectorFile, NeverKeepsWhatAFailedSyncCoveredUnlessItIsWrittenAgain) {
  SectorFile file;
  write(file, 0, 1024, 'a');
  file.sync();
  write(file, 0, 1024, 'b');
  file.fail_sync();
  EXPECT_EQ(text_of(file), std::string(1024, 'b')) << "readers go on seeing it";
  write(file, 512, 512, 'c');
  file.sync();
  std::mt19937_64 random(1);
  file.cut_power(random, kKeepAll);
  EXPECT_EQ(text_of(file), std::string(512, 'a') + std::string(512, 'c'));
}

TEST(VolatileTree, ForgetsAndKeepsUnsyncedNamesAndARenameOnlyAsAWhole) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    VolatileTree tree;
    Node& root = *tree.root();
    tree.make(root, "old", S_IFREG);
    tree.sync_directory(root);
    EXPECT_EQ(tree.rename(root, "old", root, "new"), 0);
    tree.make(root, "fresh", S_IFREG);
    tree.cut_power(seed, kToss);
    std::string names;
    for (const auto& [name, node] : root.entries) names += name + " ";
    seen.insert(names);
  }
  EXPECT_EQ(seen, (std::set<std::string>{"old ", "new ", "fresh old ", "fresh new "}));
}

TEST(VolatileTree, BringsAnUnlinkedFileBackWithWhatWasSyncedInIt) {
  VolatileTree tree;
  Node& root = *tree.root();
  const auto node = tree.make(root, "file", S_IFREG);
  write(node->file, 0, 512, 'a');
  node->file.sync();
  tree.sync_directory(root);
  write(node->file, 0, 512, 'b');
  EXPECT_EQ(tree.remove(root, "file", false), 0);
  const auto id = node->id;
  tree.cut_power(1, kLoseAll);
  ASSERT_TRUE(root.entries.contains("file"));
  EXPECT_EQ(text_of(root.entries["file"]->file), std::string(512, 'a'));
  EXPECT_EQ(tree.find(id), nullptr) << "who held the file before the cut must not reach it";
}

}  // namespace
}  // namespace vectolith::crash
