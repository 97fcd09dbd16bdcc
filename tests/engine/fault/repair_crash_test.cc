/// @file
/// A crash at every change of the disk that a repair makes: another repair finishes it, to the same contents.
#include <cstring>
#include <filesystem>
#include <functional>
#include <random>

#include "engine/verify/repairable_store.h"
#include "support/fault_environment.h"
#include "support/random_seed.h"

namespace vectolith::testing {
namespace {

using namespace format;

class RepairCrash : public RepairableStore {
 protected:
  using Damage = std::function<void(const std::string& path)>;

  static void copy_store(const std::string& from, const std::string& to) {
    for (const auto& entry : std::filesystem::directory_iterator(to)) std::filesystem::remove(entry.path());
    copy_files(from, to);
  }
  static void damage_rows(const std::string& path) {
    for (const auto& name : names(path, ".vls")) {
      const auto header = header_of(path + "/" + name);
      flip(path + "/" + name, header.matrix_offset + 3ULL * header.row_bytes + 1);
      flip(path + "/" + name, header.matrix_offset + 9ULL * header.row_bytes + 1);
    }
  }
  static void damage_headers(const std::string& path) {
    for (const auto& name : names(path, ".vls")) flip(path + "/" + name, 50);
  }
  static void damage_journals(const std::string& path) {
    for (const auto& name : names(path, ".vlj")) flip(path + "/" + name, 90);
  }
  static void damage_superblock(const std::string& path) {
    flip(path + "/STORE", 40);
    flip(path + "/STORE", 4'096 + 40);
  }

  /// Repairs copies of `from` with `damage`, dying in every change in turn, every other time by a power cut.
  /// Prints how many states were seen.
  void die_everywhere(const std::string& from, const Damage& damage) {
    const TempDirectory damaged;
    copy_files(from, damaged.path());
    damage(damaged.path());
    const TempDirectory work;
    copy_store(damaged.path(), work.path());
    const auto counting = std::make_shared<FaultEnvironment>(environment_);
    auto whole = repair(work.path(), {.apply = true, .family_names = {}, .environment = counting});
    ASSERT_TRUE(whole.has_value()) << whole.error().to_string();
    ASSERT_TRUE(whole->after && whole->after->clean()) << to_text(*whole) << to_text(*whole->after);
    const Contents expected = open_and_look(work.path());
    std::uint64_t states = 0;
    for (std::uint64_t change = 0; change < counting->changes(); ++change) {
      copy_store(damaged.path(), work.path());
      const auto dying = std::make_shared<FaultEnvironment>(environment_);
      dying->die_at(change, random_() % 5'000);
      const auto died = repair(work.path(), {.apply = true, .family_names = {}, .environment = dying});
      EXPECT_FALSE(died.has_value()) << "change " << change;
      if (random_() % 2 == 0) dying->power_cut(random_());
      expect_finished(work.path(), expected, change);
      if (HasFailure()) return;
      ++states;
    }
    std::cout << states << " crash states, " << counting->changes() << " changes\n";
  }

  void expect_finished(const std::string& path, const Contents& expected, std::uint64_t change) {
    auto again = repair(path, {.apply = true, .family_names = {}, .environment = environment_});
    ASSERT_TRUE(again.has_value()) << "change " << change << ": " << again.error().to_string();
    const FsckReport& after = again->applied ? *again->after : again->before;
    ASSERT_TRUE(after.clean()) << "change " << change << "\n" << to_text(*again) << to_text(after);
    const Contents contents = open_and_look(path);
    EXPECT_EQ(contents.present, expected.present) << "change " << change << "\n" << to_text(*again);
    EXPECT_EQ(contents.missing, expected.missing) << "change " << change;
    EXPECT_EQ(contents.stale, expected.stale) << "change " << change;
    EXPECT_EQ(contents.foreign + contents.revived, 0U) << "change " << change;
    EXPECT_TRUE(check(path).clean()) << "change " << change;
  }

  std::mt19937_64 random_{random_seed()};
};

TEST_F(RepairCrash, WhileAManifestIsRebuiltIsFinishedByAnotherRepair) {
  die_everywhere(temp_.path(), [](const std::string& path) {
    std::filesystem::remove(path + "/MANIFEST-0");
    std::filesystem::remove(path + "/MANIFEST-1");
  });
}

TEST_F(RepairCrash, WhileADamagedManifestIsReplacedKeepsItsNames) {
  die_everywhere(killed_.path(),
                 [](const std::string& path) { flip(path + "/MANIFEST-0", 4'096 + 128 + 9); });
}

TEST_F(RepairCrash, WhileRowsAreQuarantinedIsFinishedByAnotherRepair) {
  die_everywhere(temp_.path(), [](const std::string& path) { damage_rows(path); });
}

TEST_F(RepairCrash, WhileAJournalIsReplacedForgetsNoErase) {
  die_everywhere(killed_.path(), [](const std::string& path) { damage_journals(path); });
}

TEST_F(RepairCrash, WhileFilesAreMendedInPlaceIsFinishedByAnotherRepair) {
  die_everywhere(temp_.path(), [](const std::string& path) {
    damage_headers(path);
    damage_superblock(path);
    const std::string name = names(path, ".vls").front();
    std::filesystem::resize_file(path + "/" + name, std::filesystem::file_size(path + "/" + name) + 100);
  });
}

TEST_F(RepairCrash, WhileEverythingIsDamagedAtOnceIsFinishedByAnotherRepair) {
  die_everywhere(temp_.path(), [](const std::string& path) {
    damage_rows(path);
    damage_superblock(path);
    damage_journals(path);
    flip(path + "/MANIFEST-0", 4'096 + 128 + 9);
    const auto segments = names(path, ".vls");
    flip(path + "/" + segments[0], 50);
    const auto header = header_of(path + "/" + segments[1]);
    std::filesystem::resize_file(path + "/" + segments[1], header.matrix_offset + 30ULL * header.row_bytes);
  });
}

}  // namespace
}  // namespace vectolith::testing
