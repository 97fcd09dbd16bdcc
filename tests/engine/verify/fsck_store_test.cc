/// @file
/// fsck of stores that the engine wrote: clean, killed, in use, and with rows damaged afterwards.
#include <atomic>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <vectolith/format/file_name.h>
#include <vectolith/store.h>

#include "engine/verify/tiny_store.h"
#include "support/random_seed.h"
#include "support/temp_directory.h"

namespace vectolith {
namespace {

using namespace testing;

constexpr std::uint32_t kDim = 48;

/// A store under random writes: puts, replaces, batches, erases, records, families that come and go.
class FsckStoreTest : public ::testing::Test {
 protected:
  Options options() const {
    Options options;
    options.create_if_missing = true;
    options.segment_bytes_target = 1 << 20;
    options.environment = environment_;
    return options;
  }
  std::unique_ptr<Store> open() {
    auto store = Store::open(temp_.path(), options());
    EXPECT_TRUE(store.has_value()) << store.error().to_string();
    return store ? *std::move(store) : nullptr;
  }
  static ModelSpec spec() {
    ModelSpec spec;
    spec.model = "m";
    spec.dim = kDim;
    return spec;
  }
  FsckReport check(const std::string& path, bool online = false) {
    auto report = fsck(path, {.on_progress = {}, .environment = environment_, .online = online});
    EXPECT_TRUE(report.has_value()) << report.error().to_string();
    return report ? *std::move(report) : FsckReport{};
  }

  /// `steps` random operations; returns the first error.
  Result<void> write(Store& store, int steps) {
    VECTOLITH_TRY_ASSIGN(const ScopeId scope, store.intern_scope("tenant-" + std::to_string(random_() % 3)));
    VECTOLITH_TRY_ASSIGN(const ChunkerId chunker, store.intern_chunker("words", 2));
    VECTOLITH_TRY_ASSIGN(const BuildId build, store.intern_build("build"));
    VECTOLITH_TRY_ASSIGN(auto family, store.family("v", spec()));
    VECTOLITH_TRY_ASSIGN(auto records, store.record_family("r"));
    for (int i = 0; i < steps; ++i) {
      const Key key{.digest = Digest::from_number(random_() % 2'000), .scope = scope, .chunker = chunker};
      std::vector<float> vector(kDim, 0.5F);
      vector[0] = static_cast<float>(random_() % 1'000);
      const auto durability = random_() % 50 == 0 ? Durability::kDurable : Durability::kBuffered;
      switch (random_() % 8) {
        case 0: VECTOLITH_TRY(family.erase(key, durability)); break;
        case 1:
          VECTOLITH_TRY(
              records.put(key, std::string(random_() % 3'000, 'r'),
                          {.durability = durability, .replace = true, .build = {}, .created_at_s = {}}));
          break;
        case 2: VECTOLITH_TRY(put_batch(family, key)); break;
        default:
          VECTOLITH_TRY(family.put(
              key, std::span<const float>(vector),
              {.durability = durability, .replace = random_() % 2 == 0, .build = build, .created_at_s = {}}));
      }
    }
    return {};
  }

  Result<void> put_batch(Family& family, Key key) {
    std::vector<std::vector<float>> vectors(2 + random_() % 6, std::vector<float>(kDim, 0.25F));
    std::vector<BatchRow> rows;
    for (std::size_t i = 0; i < vectors.size(); ++i) {
      key.digest = Digest::from_number(10'000 + random_() % 1'000'000 * 8 + i);
      rows.push_back({key, std::as_bytes(std::span(vectors[i]))});
    }
    const std::set<Digest> distinct = [&] {
      std::set<Digest> digests;
      for (const BatchRow& row : rows) digests.insert(row.key.digest);
      return digests;
    }();
    if (distinct.size() < rows.size()) return {};
    VECTOLITH_TRY(family.put_batch(rows));
    return {};
  }

  TempDirectory temp_;
  std::mt19937_64 random_{random_seed()};
  std::shared_ptr<engine::Environment> environment_ = test_environment();
};

TEST_F(FsckStoreTest, FindsNothingInStoresThatWereClosed) {
  for (int round = 0; round < 6; ++round) {
    auto store = open();
    ASSERT_NE(store, nullptr);
    const auto written = write(*store, 1'500);
    ASSERT_TRUE(written.has_value()) << written.error().to_string();
    if (round == 3) {
      const auto dropped = store->drop_family("r");
      ASSERT_TRUE(dropped.has_value()) << dropped.error().to_string();
    }
    const auto closed = store->close();
    ASSERT_TRUE(closed.has_value()) << closed.error().to_string();
    const FsckReport report = check(temp_.path());
    EXPECT_TRUE(report.findings.empty()) << "round " << round << "\n" << to_text(report);
    EXPECT_GT(report.rows, 500U);
  }
}

// Story: the process is killed between two operations, again and again, and each time the next one
// goes on. What the files then hold is normal for fsck, before and after the recovery.
TEST_F(FsckStoreTest, FindsNoDamageInStoresThatWereKilled) {
  for (int round = 0; round < 6; ++round) {
    auto store = open();
    ASSERT_NE(store, nullptr);
    ASSERT_TRUE(write(*store, 700).has_value());
    const TempDirectory killed;
    copy_files(temp_.path(), killed.path());
    const FsckReport before = check(killed.path());
    EXPECT_TRUE(before.clean()) << "round " << round << "\n" << to_text(before);
    EXPECT_EQ(before.warnings, 0U) << to_text(before);
    store.reset();
    copy_files(killed.path(), temp_.path());
    store = open();
    ASSERT_NE(store, nullptr);
    ASSERT_TRUE(store->close().has_value());
    const FsckReport after = check(temp_.path());
    EXPECT_TRUE(after.clean()) << "round " << round << "\n" << to_text(after);
  }
}

TEST_F(FsckStoreTest, FindsNoDamageWhileAWriterGoesOn) {
  auto store = open();
  ASSERT_NE(store, nullptr);
  ASSERT_TRUE(write(*store, 500).has_value());
  std::atomic<bool> done = false;
  std::thread writer([&] {
    for (int i = 0; i < 60; ++i) {
      const auto written = write(*store, 50);
      EXPECT_TRUE(written.has_value()) << written.error().to_string();
    }
    done.store(true);
  });
  do {
    const FsckReport report = check(temp_.path(), true);
    EXPECT_TRUE(report.clean()) << to_text(report);
    EXPECT_EQ(report.warnings, 0U) << to_text(report);
  } while (!done.load());
  writer.join();
}

TEST_F(FsckStoreTest, RefusesAStoreInUseUnlessItIsOnline) {
  auto store = open();
  ASSERT_NE(store, nullptr);
  const auto report = fsck(temp_.path(), {.on_progress = {}, .environment = environment_, .online = false});
  ASSERT_FALSE(report.has_value());
  EXPECT_EQ(report.error().code(), ErrorCode::kLocked);
  EXPECT_TRUE(check(temp_.path(), true).clean());
}

TEST_F(FsckStoreTest, FindsADamagedVectorOfAClosedStoreWhereItIs) {
  {
    auto store = open();
    ASSERT_NE(store, nullptr);
    ASSERT_TRUE(write(*store, 300).has_value());
    ASSERT_TRUE(store->close().has_value());
  }
  std::string path;
  format::SegmentHeader header;
  std::vector<std::byte> bytes;
  for (std::uint64_t id = 1; header.kind != format::SegmentKind::kVector; ++id) {
    path = temp_.file(format::segment_name(SegmentId(id)));
    bytes = read_file(path);
    header = *format::decode_segment_header(bytes);
  }
  const std::uint64_t at = header.matrix_offset + 3ULL * header.row_bytes + 17;
  bytes[at] ^= std::byte{4};
  write_file(path, bytes);
  const FsckReport report = check(temp_.path());
  const Finding* finding = find(report, "the vector of an acknowledged row is damaged");
  ASSERT_NE(finding, nullptr) << to_text(report);
  EXPECT_EQ(finding->file, path);
  EXPECT_EQ(finding->offset, header.matrix_offset + 3ULL * header.row_bytes);
}

}  // namespace
}  // namespace vectolith
