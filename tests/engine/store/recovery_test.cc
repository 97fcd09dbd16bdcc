/// @file
/// Promises of recovery: what was acknowledged is there after a kill, a power cut, or a crash in recovery.
///
/// A copy of the directory's files taken while the store is open is what a kill -9 leaves behind.
#include <cerrno>
#include <filesystem>
#include <random>

#include <vectolith/format/file_name.h>
#include <vectolith/store.h>
#include <vectolith/verify.h>

#include "store_fixture.h"
#include "support/fault_environment.h"
#include "support/random_seed.h"

namespace vectolith::testing {
namespace {

class Kill : public StoreTest {
 protected:
  /// Leaves the store as if its process had been killed now, and opens what it left.
  void kill_and_open(const Options& with) {
    TempDirectory left;
    copy_files(directory_.path(), left.path());
    store_.reset();
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path()))
      std::filesystem::remove(entry.path());
    copy_files(left.path(), directory_.path());
    open(with);
  }
  void expect_clean_fsck() {
    const auto report = fsck(directory_.path());
    ASSERT_TRUE(report.has_value()) << report.error().to_string();
    for (const auto& finding : report->findings) {
      EXPECT_NE(finding.severity, Finding::Severity::kDamage)
          << finding.file << "@" << finding.offset << ": " << finding.what;
    }
  }
};

TEST_F(Kill, LosesNothingThatWasAcknowledgedAndFsckStaysClean) {
  Options small = options();
  small.segment_bytes_initial = small.segment_bytes_target = 128 << 10;
  open(small);
  auto f = family();
  std::uint64_t next = 0;
  for (int round = 0; round < 8; ++round) {
    for (int i = 0; i < 300; ++i, ++next)
      put(f, next, 0, {.durability = next % 50 == 0 ? Durability::kDurable : Durability::kBuffered});
    for (std::uint64_t i = 0; i < next; i += 11)
      put(f, i, static_cast<std::uint64_t>(round) + 1, {.replace = true});
    for (std::uint64_t i = 5; i < next; i += 11) (void)f.erase(key_of(i));
    kill_and_open(small);
    f = family();
    for (std::uint64_t i = 0; i < next; ++i) {
      if (i % 11 == 5) {
        expect_missing(f, i);
      } else {
        expect_holds(f, i, i % 11 == 0 ? static_cast<std::uint64_t>(round) + 1 : 0);
      }
    }
  }
  close();
  expect_clean_fsck();
}

TEST_F(Kill, KeepsOrDropsABatchAsAWhole) {
  open();
  auto f = family();
  put(f, 1);
  std::vector<std::vector<float>> vectors;
  for (std::uint64_t i = 0; i < 20; ++i) vectors.push_back(vector_of(100 + i));
  std::vector<BatchRow> rows;
  for (std::size_t i = 0; i < vectors.size(); ++i)
    rows.push_back({key_of(100 + i), std::as_bytes(std::span(vectors[i]))});
  ASSERT_TRUE(f.put_batch(rows).has_value());
  const auto views = *f.segments();
  const auto segment = views.front();
  const std::string name = format::segment_name(segment.id);
  // The batch is acknowledged kBuffered only; a power cut may tear any of its rows.
  for (std::uint32_t torn = 1; torn <= 20; torn += 3) {
    TempDirectory left;
    copy_files(directory_.path(), left.path());
    auto bytes = read_file(left.file(name));
    format::SegmentHeader header;
    std::memcpy(&header, bytes.data(), sizeof(header));
    bytes[header.matrix_offset + torn * kDim * 4ULL + 3] ^= std::byte{1};
    write_file(left.file(name), bytes);
    auto reopened = Store::open(left.path(), options());
    ASSERT_TRUE(reopened.has_value()) << reopened.error().to_string();
    const auto family = *(*reopened)->family("f");
    expect_holds(family, 1);
    EXPECT_EQ(family.size(), 1U) << "torn row " << torn;
  }
}

TEST_F(Kill, ReportsDamageBelowTheWatermarkAndQuarantinesThatRowAlone) {
  open();
  auto f = family();
  for (std::uint64_t i = 0; i < 100; ++i) put(f, i);
  ASSERT_TRUE(store_->sync().has_value());
  for (std::uint64_t i = 100; i < 110; ++i) put(f, i);
  const auto views = *f.segments();
  const auto segment = views.front();
  TempDirectory left;
  copy_files(directory_.path(), left.path());
  const std::string name = format::segment_name(segment.id);
  auto bytes = read_file(left.file(name));
  format::SegmentHeader header;
  std::memcpy(&header, bytes.data(), sizeof(header));
  bytes[header.meta_offset + 40 * 64] ^= std::byte{1};   // A durable row's meta: damage.
  bytes[header.meta_offset + 105 * 64] ^= std::byte{1};  // A buffered row's: an unfinished tail.
  write_file(left.file(name), bytes);
  auto reopened = Store::open(left.path(), options());
  ASSERT_TRUE(reopened.has_value()) << reopened.error().to_string();
  const auto family = *(*reopened)->family("f");
  EXPECT_EQ(family.size(), 108U);
  EXPECT_EQ((*reopened)->stats().damaged_rows, 1U);
  const bool told =
      std::ranges::any_of(events_, [](const Event& event) { return event.kind == Event::Kind::kCorruption; });
  EXPECT_TRUE(told);
  for (std::uint64_t i = 0; i < 110; ++i) {
    if (i == 40 || i == 105) continue;
    expect_holds(family, i);
  }
}

TEST_F(Kill, NeverAppendsToASegmentItInherited) {
  open();
  auto f = family();
  for (std::uint64_t i = 0; i < 10; ++i) put(f, i);
  const auto views = *f.segments();
  const auto before = views.front().id;
  kill_and_open(options());
  f = family();
  put(f, 100);
  const auto got = f.get(key_of(100));
  EXPECT_NE((**got)->row_id().segment, before);
}

TEST_F(Kill, OfTheSameStoreTwiceInARowComesToTheSameRows) {
  open();
  auto f = family();
  for (std::uint64_t i = 0; i < 200; ++i) put(f, i);
  for (std::uint64_t i = 0; i < 200; i += 2) (void)f.erase(key_of(i));
  for (int again = 0; again < 5; ++again) {
    kill_and_open(options());
    f = family();
    ASSERT_EQ(f.size(), 100U);
    for (std::uint64_t i = 1; i < 200; i += 2) expect_holds(f, i);
  }
}

TEST_F(Kill, RefusesAManifestOlderThanWhatTheFilesName) {
  open();
  auto f = family();
  put(f, 1);
  TempDirectory old;
  copy_files(directory_.path(), old.path());
  Options small = options();
  (void)family("second", small_spec(32));
  auto second = *store_->family("second");
  put(second, 1, 0, {.durability = Durability::kDurable});
  (void)f.erase(key_of(1));
  close();
  for (const char* name : {"MANIFEST-0", "MANIFEST-1"})
    write_file(directory_.file(name), read_file(old.file(name)));
  const auto opened = Store::open(directory_.path(), options());
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().code(), ErrorCode::kCorruption);
  EXPECT_NE(opened.error().to_string().find("fsck"), std::string::npos);
}

// A power cut takes back a random part of what no barrier covered, at every change of the disk in
// turn; what was acknowledged kDurable must be there, and what is there must be whole.
TEST_F(Kill, AndPowerCutsAtEveryDiskChangeKeepWhatWasDurable) {
  const auto seed = random_seed();
  constexpr std::uint64_t kKeys = 60;
  std::uint64_t last_change = 0;
  for (std::uint64_t at = 3; at < 400; at += 7) {
    TempDirectory directory;
    auto faults = std::make_shared<FaultEnvironment>(test_environment());
    Options with = options();
    with.environment = faults;
    with.segment_bytes_initial = with.segment_bytes_target = 128 << 10;
    std::vector<std::uint64_t> durable(kKeys, 0);
    std::vector<std::uint64_t> tried(kKeys, 0);
    std::mt19937_64 random(seed + at);
    {
      faults->die_at(at, random() % 4'096);
      auto store = Store::open(directory.path(), with);
      if (store.has_value()) {
        auto f = (*store)->family("f", small_spec());
        for (int i = 0; f.has_value() && i < 120; ++i) {
          const std::uint64_t key = random() % kKeys;
          const std::uint64_t version = ++tried[key];
          const auto vector = vector_of(key, version);
          const auto level = random() % 2 == 0 ? Durability::kDurable : Durability::kBuffered;
          const auto done =
              f->put(key_of(key), std::span<const float>(vector), {.durability = level, .replace = true});
          if (done && level == Durability::kDurable) durable[key] = version;
        }
      }
      last_change = faults->changes();
    }
    faults->power_cut(seed ^ at);
    auto reopened = Store::open(directory.path(), options());
    if (!reopened) {
      EXPECT_EQ(reopened.error().code(), ErrorCode::kNotAStore) << at << ": " << reopened.error().to_string();
      continue;
    }
    const auto f = (*reopened)->family("f");
    if (!f) {
      for (const auto version : durable)
        EXPECT_EQ(version, 0U) << "a durable row lost its family, change " << at;
      continue;
    }
    for (std::uint64_t key = 0; key < kKeys; ++key) {
      const auto got = f->get(key_of(key));
      ASSERT_TRUE(got.has_value()) << got.error().to_string() << " change " << at;
      if (!got->has_value()) {
        EXPECT_EQ(durable[key], 0U) << "key " << key << " change " << at;
        continue;
      }
      bool known = false;
      for (std::uint64_t version = durable[key]; version <= tried[key]; ++version)
        known |= same_bytes(***got, vector_of(key, version));
      EXPECT_TRUE(known) << "key " << key << " change " << at;
    }
  }
  EXPECT_GT(last_change, 100U) << "the scenario is too short to be cut everywhere";
}

}  // namespace
}  // namespace vectolith::testing
