/// @file
/// Salvage takes over what can be read of a broken store and leaves that one alone; traces of what was erased
/// are found.
#include <cstring>
#include <filesystem>

#include "engine/verify/repairable_store.h"

namespace vectolith::testing {
namespace {

using namespace format;

class Salvage : public RepairableStore {
 protected:
  static std::map<std::string, std::vector<std::byte>> files(const std::string& path) {
    std::map<std::string, std::vector<std::byte>> found;
    for (const auto& entry : std::filesystem::directory_iterator(path))
      found[entry.path().filename()] = read_file(entry.path());
    return found;
  }
  SalvageReport saved(const std::string& path, std::map<FamilyId, std::string> names = {}) {
    const auto before = files(path);
    target_ = std::make_unique<TempDirectory>();
    const auto report =
        salvage(path, target_->path(), {.family_names = std::move(names), .environment = environment_});
    EXPECT_TRUE(report.has_value()) << report.error().to_string();
    EXPECT_TRUE(files(path) == before) << "the broken store was written to";
    contents_ = open_and_look(target_->path());
    EXPECT_EQ(contents_.foreign + contents_.stale + contents_.revived, 0U);
    EXPECT_TRUE(check(target_->path()).clean());
    return report.value_or(SalvageReport{});
  }

  std::unique_ptr<TempDirectory> target_;
  Contents contents_;
};

TEST_F(Salvage, TakesOverAWholeStoreCompletely) {
  for (const std::string& path : {temp_.path(), killed_.path()}) {
    const auto report = saved(path);
    EXPECT_TRUE(report.is_complete());
    EXPECT_EQ(report.rows, live_keys());
    EXPECT_EQ(contents_.present, live_keys());
    EXPECT_GT(report.rows_older, 0U);
    EXPECT_GT(report.rows_erased, 0U);
  }
}

TEST_F(Salvage, WorksWithoutManifestSuperblockAndLock) {
  for (const std::string& path : {temp_.path(), killed_.path()}) {
    for (const char* name : {"MANIFEST-0", "MANIFEST-1", "STORE", "LOCK"})
      std::filesystem::remove(path + "/" + name);
    const auto report = saved(path, {{FamilyId(1), "first"}});
    EXPECT_EQ(report.rows, live_keys());
    EXPECT_EQ(contents_.present, live_keys());
    EXPECT_FALSE(report.is_complete()) << "names are lost";
    const auto store = Store::open(target_->path(), options());
    EXPECT_TRUE((*store)->family("first", small_spec(kSmallDim)).has_value());
    EXPECT_TRUE((*store)->existing_record_family("recovered-3").has_value());
  }
}

TEST_F(Salvage, CountsDamagedRowsAndLetsNoOlderVersionStandInForThem) {
  std::uint64_t flipped = 0;
  for (const auto& name : names(temp_.path(), ".vls")) {
    const auto header = header_of(temp_.file(name));
    if (header.kind != SegmentKind::kVector) continue;
    flip(temp_.file(name), header.matrix_offset + 3ULL * header.row_bytes + 1);
    ++flipped;
  }
  const auto report = saved(temp_.path());
  EXPECT_EQ(report.rows_damaged, flipped);
  EXPECT_LE(contents_.missing, flipped);
  EXPECT_EQ(contents_.present + contents_.missing, live_keys());
}

TEST_F(Salvage, GoesOnWithoutFilesThatAreMissingOrOfAnotherKind) {
  const auto segments = names(temp_.path(), ".vls");
  std::filesystem::remove(temp_.file(segments.front()));
  write_file(temp_.file(segments.back()), std::vector<std::byte>(100, std::byte{'x'}));
  const auto report = saved(temp_.path());
  EXPECT_GE(report.remarks.size(), 2U);
  EXPECT_EQ(contents_.present, report.rows);
}

TEST_F(Salvage, RefusesATargetThatIsAStoreAndASourceThatIsOpen) {
  const auto taken = salvage(temp_.path(), killed_.path(), {.family_names = {}, .environment = environment_});
  EXPECT_EQ(taken.error().code(), ErrorCode::kExists);
  const auto store = Store::open(temp_.path(), options());
  TempDirectory target;
  const auto locked = salvage(temp_.path(), target.path(), {.family_names = {}, .environment = environment_});
  EXPECT_EQ(locked.error().code(), ErrorCode::kLocked);
}

class Traces : public RepairableStore {
 protected:
  std::map<Trace::Place, int> places(std::uint64_t key, std::vector<std::byte> vector) {
    const auto report =
        find_traces(temp_.path(), digest_of(key), {.vector = std::move(vector), .environment = environment_});
    EXPECT_TRUE(report.has_value()) << report.error().to_string();
    std::map<Trace::Place, int> counts;
    for (const Trace& trace : report->traces) ++counts[trace.place];
    EXPECT_EQ(report->found, report->traces.size());
    EXPECT_EQ(report->bytes_unread, 0U);
    return counts;
  }
};

TEST_F(Traces, OfALiveKeyAreItsRowsAndOfAnErasedOneDeadRowsAndTheErases) {
  using Place = Trace::Place;
  ASSERT_FALSE(is_erased(8));
  ASSERT_TRUE(is_erased(27));
  EXPECT_EQ(places(8, {}), (std::map<Place, int>{{Place::kLiveRow, 3}}));
  EXPECT_EQ(places(27, {}), (std::map<Place, int>{{Place::kDeadRow, 3}, {Place::kJournalRow, 3}}));
  // The front of the longer vector in "second" has the same bytes.
  const auto vector = vector_of(27, 0, kSmallDim);
  const auto bytes = std::as_bytes(std::span(vector));
  EXPECT_EQ(places(27, {bytes.begin(), bytes.end()}),
            (std::map<Place, int>{{Place::kDeadRow, 5}, {Place::kJournalRow, 3}}));
}

TEST_F(Traces, AreFoundAtEveryOffsetOfEveryFileAndBetweenTwoReads) {
  using Place = Trace::Place;
  const auto digest = Digest::from_number(0xABCDEF);
  for (const std::uint64_t at : {0ULL, 13ULL, (4ULL << 20) - 5, (4ULL << 20), (4ULL << 20) + 77}) {
    std::vector<std::byte> content((4U << 20) + 200);
    std::ranges::copy(digest.bytes, content.begin() + static_cast<std::ptrdiff_t>(at));
    write_file(temp_.file("quarantine-something"), content);
    const auto report = find_traces(temp_.path(), digest, {.vector = {}, .environment = environment_});
    ASSERT_TRUE(report.has_value());
    ASSERT_EQ(report->traces.size(), 1U) << at;
    EXPECT_EQ(report->traces[0].offset, at);
    EXPECT_EQ(report->traces[0].place, Place::kSlack);
  }
}

}  // namespace
}  // namespace vectolith::testing
