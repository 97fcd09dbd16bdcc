/// @file
/// A scrub finds what fsck finds, in one go or in pieces, at the rate it was given.
#include "verify/scrub.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include <vectolith/format/file_name.h>
#include <vectolith/format/superblock.h>
#include <vectolith/store.h>

#include "engine/verify/tiny_store.h"
#include "support/page_cache.h"
#include "support/read_fault_environment.h"
#include "support/temp_directory.h"
#include "verify/read_pacer.h"

namespace vectolith {
namespace {

using namespace format;
using namespace testing;
using Kind = Finding::Kind;

/// The clock moves only by the pauses of workers, which run at once.
class PauseClock final : public FaultEnvironment {
 public:
  using FaultEnvironment::FaultEnvironment;
  [[nodiscard]] std::uint64_t steady_ns() const noexcept override { return now_ns; }
  std::unique_ptr<engine::Worker> start_worker(std::string_view name,
                                               std::function<std::chrono::nanoseconds()> step) override {
    EXPECT_EQ(name, "scrub-pace");
    for (auto pause = step(); pause < std::chrono::hours(1); pause = step()) {
      now_ns += static_cast<std::uint64_t>(pause.count());
      ++pauses;
    }
    return std::make_unique<Ended>();
  }
  std::uint64_t now_ns = 1;
  std::uint64_t pauses = 0;

 private:
  class Ended final : public engine::Worker {
    void notify() noexcept override {}
  };
};

/// A cleanly closed store that the engine wrote: rows of 1,200 bytes, which no block of 1 MiB ends with.
class Scrub : public ::testing::Test {
 protected:
  static constexpr std::uint32_t kDim = 300;
  static constexpr std::uint64_t kRows = 4'000;

  Scrub() {
    Options options;
    options.create_if_missing = true;
    options.segment_bytes_target = 4 << 20;
    options.environment = environment_;
    auto store = Store::open(temp_.path(), options).value();
    ModelSpec spec;
    spec.dim = kDim;
    auto vectors = store->family("v", spec).value();
    std::vector<float> vector(kDim, 0.5F);
    for (std::uint64_t i = 0; i < kRows; ++i) {
      vector[0] = static_cast<float>(i);
      EXPECT_TRUE(vectors.put(key(i), std::span<const float>(vector)).has_value());
    }
    auto records = store->record_family("r").value();
    for (std::uint64_t i = 0; i < 50; ++i)
      EXPECT_TRUE(records.put(key(i), std::string(200, 'r')).has_value());
    EXPECT_TRUE(vectors.erase(key(3)).has_value());
    EXPECT_TRUE(store->close().has_value());
  }
  static Key key(std::uint64_t i) { return {.digest = Digest::from_number(i), .scope = {}, .chunker = {}}; }

  ScrubReport piece(ScrubPosition from, std::uint64_t bytes_max) {
    ScrubOptions options;
    options.from = from;
    options.bytes_max = bytes_max;
    options.environment = environment_;
    return scrub(temp_.path(), options).value();
  }
  /// Scrubs piece by piece until it is complete; each goes on where the one before it stopped.
  ScrubReport pieces(std::uint64_t bytes_max) {
    ScrubReport whole;
    pieces_ = 0;
    do {
      ScrubReport next = piece(whole.next, bytes_max);
      EXPECT_TRUE(next.is_complete || next.next != whole.next) << "no piece stands still";
      whole.next = next.next;
      whole.is_complete = next.is_complete;
      engine::append(whole.found, std::move(next.found));
    } while (!whole.is_complete && ++pieces_ < 10'000);
    EXPECT_TRUE(whole.is_complete) << "it does not end";
    return whole;
  }
  FsckReport check() {
    return fsck(temp_.path(), {.on_progress = {}, .environment = environment_, .online = false}).value();
  }

  using Identity = std::tuple<std::string, std::uint64_t, std::string, int, int>;
  static std::set<Identity> identities(const FsckReport& report) {
    std::set<Identity> all;
    for (const Finding& f : report.findings)
      all.emplace(f.file, f.offset, f.what, static_cast<int>(f.kind), static_cast<int>(f.severity));
    return all;
  }
  void flip(const std::string& name, std::uint64_t at) {
    auto bytes = read_file(temp_.file(name));
    bytes.at(at) ^= std::byte{4};
    write_file(temp_.file(name), bytes);
  }
  struct SegmentOnDisk {
    std::string name;
    SegmentHeader header;
  };
  std::vector<SegmentOnDisk> segments(SegmentKind kind) {
    std::vector<SegmentOnDisk> found;
    for (std::uint64_t id = 1; id < 20; ++id) {
      const std::string name = segment_name(SegmentId(id));
      if (!std::filesystem::exists(temp_.file(name))) continue;
      const auto header = decode_segment_header(read_file(temp_.file(name)));
      if (header && header->kind == kind) found.push_back({name, *header});
    }
    return found;
  }

  TempDirectory temp_;
  std::shared_ptr<engine::Environment> environment_ = test_environment();
  std::uint64_t pieces_ = 0;
};

TEST_F(Scrub, CountsEachRowOfASoundStoreOnceHoweverItIsDivided) {
  const FsckReport expected = check();
  ASSERT_TRUE(expected.findings.empty()) << to_text(expected);
  ASSERT_EQ(expected.rows, kRows + 50);
  ASSERT_GE(expected.segments, 3U);
  for (const std::uint64_t bytes_max : {0ULL, 50'000ULL, 99'991ULL, 1'048'576ULL, 5'000'000ULL}) {
    const ScrubReport report = pieces(bytes_max);
    EXPECT_TRUE(report.found.findings.empty()) << bytes_max << "\n" << to_text(report.found);
    EXPECT_EQ(report.found.rows, expected.rows) << bytes_max;
    EXPECT_EQ(report.found.segments, expected.segments) << bytes_max;
    EXPECT_EQ(report.next, ScrubPosition{}) << "the next scrub begins anew";
  }
}

TEST_F(Scrub, StopsInsideASegmentAndGoesOnThere) {
  (void)pieces(50'000);
  EXPECT_GT(pieces_, kRows * kDim * 4 / 200'000) << "pieces are about as small as asked for";
  const ScrubReport first = piece({}, 400'000);
  ASSERT_FALSE(first.is_complete);
  EXPECT_GT(first.next.row, 0U);
  EXPECT_LT(first.found.rows, kRows);
}

TEST_F(Scrub, FindsDamageInEachRegionInPiecesAsInOneGo) {
  const auto vectors = segments(SegmentKind::kVector);
  const auto records = segments(SegmentKind::kRecord);
  ASSERT_GE(vectors.size(), 2U);
  ASSERT_GE(records.size(), 1U);
  const auto large = std::ranges::find_if(
      vectors, [](const auto& s) { return s.header.matrix_bytes > 3 * kMatrixBlockBytes / 2; });
  ASSERT_NE(large, vectors.end());
  const SegmentHeader& v = large->header;
  const std::vector<std::pair<std::string, std::uint64_t>> places = {
      {large->name, 40},                               // header
      {large->name, v.meta_offset + 7 * 64 + 9},       // meta of row 7
      {large->name, v.matrix_offset + 11},             // the first row
      {large->name, v.matrix_offset + 1'048'576 + 3},  // a row that two blocks share
      {large->name, v.matrix_offset + 1'200 * 1'200},  // one in the middle of a block
      {large->name, v.footer_offset + 20},             // footer
      {vectors[0].name, vectors[0].header.matrix_offset + 5 * 1'200},
      {records[0].name, records[0].header.matrix_offset + 70},
      {records[0].name, 40},
      {journal_name(JournalId(1)), kJournalHeaderBytes + 3},
      {std::string(kSuperblockName), 33},
  };
  for (const auto& [name, at] : places) {
    flip(name, at);
    const auto expected = identities(check());
    EXPECT_FALSE(expected.empty()) << name << " " << at;
    const ScrubReport whole = piece({}, 0);
    EXPECT_TRUE(whole.is_complete);
    EXPECT_EQ(identities(whole.found), expected) << name << " " << at << "\n" << to_text(whole.found);
    EXPECT_EQ(whole.found.damage, check().damage);
    const ScrubReport divided = pieces(150'000);
    EXPECT_EQ(identities(divided.found), expected) << name << " " << at << "\n" << to_text(divided.found);
    EXPECT_EQ(divided.found.damage, whole.found.damage) << "what several pieces say counts once";
    flip(name, at);
  }
  EXPECT_TRUE(check().findings.empty()) << "every bit was flipped back";
}

TEST_F(Scrub, ReportsWhatTheDiskRefusesToReadAndGoesOn) {
  const auto vectors = segments(SegmentKind::kVector);
  const std::uint64_t bad = vectors[0].header.matrix_offset + 900'000;
  environment_ =
      std::make_shared<ReadFaultEnvironment>(test_environment(), BadBytes{vectors[0].name, bad, bad + 512});
  for (const std::uint64_t bytes_max : {0ULL, 150'000ULL}) {
    const ScrubReport report = pieces(bytes_max);
    EXPECT_TRUE(report.is_complete);
    EXPECT_TRUE(std::ranges::any_of(report.found.findings, [&](const Finding& f) {
      return f.kind == Kind::kUnreadable && f.severity == Finding::Severity::kDamage &&
             f.file == temp_.file(vectors[0].name);
    })) << to_text(report.found);
    EXPECT_GT(report.found.rows, 50U) << "other segments are checked all the same";
  }
}

TEST_F(Scrub, GoesOnAfterASegmentThatIsGone) {
  const ScrubReport report = piece({SegmentId(1'000), 77}, 0);
  EXPECT_TRUE(report.is_complete);
  EXPECT_EQ(report.found.segments, 0U);
  EXPECT_TRUE(report.found.clean());
}

TEST_F(Scrub, StopsWhenItIsToldToAndGoesOnThere) {
  const FsckReport expected = check();
  ScrubReport whole;
  std::uint64_t stops = 0;
  for (; !whole.is_complete; ++stops) {
    ASSERT_LT(stops, 100U) << "it does not end";
    ScrubOptions options;
    options.from = whole.next;
    options.environment = environment_;
    options.should_stop = [asked = 0]() mutable { return ++asked > 1; };
    ScrubReport next = scrub(temp_.path(), options).value();
    whole.next = next.next;
    whole.is_complete = next.is_complete;
    engine::append(whole.found, std::move(next.found));
  }
  EXPECT_GT(stops, 1U);
  EXPECT_EQ(whole.found.rows, expected.rows);
  EXPECT_EQ(whole.found.segments, expected.segments);
}

TEST_F(Scrub, ThatIsToldToStopAtOnceDoesNotGoBack) {
  ScrubOptions options;
  options.from = piece({}, 400'000).next;
  ASSERT_GT(options.from.row, 0U);
  options.environment = environment_;
  options.should_stop = [] { return true; };
  const ScrubReport report = scrub(temp_.path(), options).value();
  EXPECT_FALSE(report.is_complete);
  EXPECT_EQ(report.next, options.from);
}

TEST_F(Scrub, ThatIsToldToStopDoesNotPauseAnyMore) {
  auto clock = std::make_shared<PauseClock>(test_environment());
  ScrubOptions options;
  options.environment = clock;
  options.bytes_per_s = 1;
  options.should_stop = [&] { return clock->now_ns > 5'000'000'000; };
  const ScrubReport report = scrub(temp_.path(), options).value();
  EXPECT_FALSE(report.is_complete);
  EXPECT_LT(clock->now_ns, 6'000'000'000U);
}

TEST_F(Scrub, LeavesNothingInThePageCacheThatNobodyHasMapped) {
  const auto environment = *engine::make_environment(engine::BackendChoice::kSync);
  const auto directory = *environment->open_directory(temp_.path(), false);
  const auto file = *directory->open(segment_name(SegmentId(2)), engine::OpenMode::kReadOnly);
  const auto mapping = *file->map();
  ASSERT_TRUE(file->data_sync().has_value());
  file->drop_cache(0, 0);
  if (resident_pages(mapping->bytes()) != 0) GTEST_SKIP() << "this file system keeps everything in memory";
  ASSERT_TRUE(scrub(temp_.path(), {}).has_value());
  EXPECT_LT(resident_pages(mapping->bytes()), mapping->bytes().size() / 4'096 / 4);
}

TEST_F(Scrub, TakesAsLongAsItsRateSays) {
  auto clock = std::make_shared<PauseClock>(test_environment());
  environment_ = clock;
  ScrubOptions options;
  options.environment = clock;
  options.bytes_per_s = 1'000'000;
  const ScrubReport report = scrub(temp_.path(), options).value();
  const std::uint64_t expected_ns = report.found.bytes * 1'000;
  EXPECT_GE(clock->now_ns, expected_ns);
  EXPECT_LE(clock->now_ns, expected_ns + 1'000) << "a read takes no time on this clock";
  EXPECT_GT(clock->pauses, report.found.bytes / 200'000) << "no pause is longer than it must be";
}

TEST(ReadPacer, DoesNotMakeUpForTheTimeOfASlowDisk) {
  PauseClock clock(test_environment());
  engine::ReadPacer pacer(clock, 1'000);
  pacer.spend(500);
  EXPECT_EQ(clock.now_ns, 1 + 500'000'000U);
  clock.now_ns += 10'000'000'000;  // The disk hung.
  pacer.spend(500);
  const std::uint64_t then_ns = clock.now_ns;
  pacer.spend(500);
  EXPECT_EQ(clock.now_ns, then_ns + 500'000'000U);
}

TEST(ReadPacer, NeverPausesWithoutARate) {
  PauseClock clock(test_environment());
  engine::ReadPacer pacer(clock, 0);
  pacer.spend(1ULL << 40);
  EXPECT_EQ(clock.pauses, 0U);
}

}  // namespace
}  // namespace vectolith
