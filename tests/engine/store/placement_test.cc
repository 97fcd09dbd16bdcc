/// @file
/// Promises of placement: wherever vectors are kept, every read gives the same answers; cold ones stay out of
/// the page cache, pinned ones stay in memory.
#include <algorithm>
#include <array>
#include <atomic>
#include <fstream>
#include <optional>
#include <random>
#include <ranges>
#include <set>
#include <thread>

#include <unistd.h>

#include <vectolith/format/file_name.h>

#include "store/cold_reads.h"
#include "store_fixture.h"
#include "support/page_cache.h"
#include "support/random_seed.h"

namespace vectolith::testing {
namespace {

constexpr std::uint64_t kRows = 3'000;
constexpr std::uint32_t kOddDim = 83;  // Rows begin at any offset.

class PlacementTest : public StoreTest {
 protected:
  /// Several sealed segments and an active one, with replaced and erased rows.
  Family make_rows(std::uint32_t dim = kOddDim) {
    auto with = options();
    with.segment_bytes_initial = 64U << 10;
    with.segment_bytes_target = 256U << 10;
    open(with);
    auto f = family("f", small_spec(dim));
    for (std::uint64_t i = 0; i < kRows; ++i) put(f, i);
    for (std::uint64_t i = 0; i < kRows; i += 7) put(f, i, 1, {.replace = true});
    for (std::uint64_t i = 0; i < kRows; i += 11) EXPECT_TRUE(f.erase(key_of(i)).has_value());
    close();
    open(with);
    f = family("f", small_spec(dim));
    for (std::uint64_t i = 1; i < kRows; i += 101) put(f, i, 2, {.replace = true});
    return f;
  }
  /// The version that answers for a row of `make_rows`; nothing if it was erased.
  static std::optional<std::uint64_t> version_of(std::uint64_t number) {
    if (number >= kRows) return std::nullopt;
    if (number % 101 == 1) return 2;
    if (number % 11 == 0) return std::nullopt;
    return number % 7 == 0 ? 1 : 0;
  }
  static std::vector<std::byte> expected_bytes(std::uint64_t number, std::uint32_t dim = kOddDim) {
    const auto vector = vector_of(number, *version_of(number), dim);
    const auto bytes = std::as_bytes(std::span(vector));
    return {bytes.begin(), bytes.end()};
  }
  /// Shuffled, with misses and duplicates.
  static std::vector<std::uint64_t> mixed_numbers() {
    std::vector<std::uint64_t> numbers;
    for (std::uint64_t i = 0; i < kRows + 200; ++i) numbers.push_back(i);
    for (std::uint64_t i = 0; i < 300; ++i) numbers.push_back(i * 5);
    std::ranges::shuffle(numbers, std::mt19937_64(random_seed()));
    return numbers;
  }
  static std::vector<Key> keys_of(const std::vector<std::uint64_t>& numbers) {
    std::vector<Key> keys;
    for (const auto number : numbers) keys.push_back(key_of(number));
    return keys;
  }
  void expect_all_reads_right(const Family& f) {
    const auto numbers = mixed_numbers();
    const auto keys = keys_of(numbers);
    const auto scope = store_->read_scope();
    std::vector<Lookup> answers(keys.size());
    ASSERT_TRUE(f.multi_get(scope, keys, answers).has_value());
    const std::size_t row_bytes = f.spec().vector_bytes();
    std::vector<std::byte> matrix(keys.size() * row_bytes);
    const auto found = std::make_unique<bool[]>(keys.size());
    const auto hits = f.multi_get_copy(keys, matrix, {found.get(), keys.size()});
    ASSERT_TRUE(hits.has_value()) << hits.error().to_string();
    std::size_t expected_hits = 0;
    std::vector<RowId> rows;
    std::vector<std::uint64_t> numbers_of_rows;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const bool is_there = version_of(numbers[i]).has_value();
      ASSERT_EQ(answers[i].status, is_there ? Lookup::Status::kHit : Lookup::Status::kMiss) << numbers[i];
      ASSERT_EQ(found[i], is_there) << numbers[i];
      if (!is_there) continue;
      ++expected_hits;
      const auto expected = expected_bytes(numbers[i]);
      ASSERT_EQ(answers[i].view.key(), keys[i]);
      ASSERT_TRUE(std::ranges::equal(answers[i].view.bytes(), expected)) << numbers[i];
      ASSERT_TRUE(std::ranges::equal(std::span(matrix).subspan(i * row_bytes, row_bytes), expected));
      rows.push_back(answers[i].view.row_id());
      numbers_of_rows.push_back(numbers[i]);
    }
    EXPECT_EQ(*hits, expected_hits);
    matrix.assign(rows.size() * row_bytes, std::byte{0});
    const auto gathered = f.gather(rows, matrix);
    ASSERT_TRUE(gathered.has_value()) << gathered.error().to_string();
    for (std::size_t i = 0; i < rows.size(); ++i)
      ASSERT_TRUE(std::ranges::equal(std::span(matrix).subspan(i * row_bytes, row_bytes),
                                     expected_bytes(numbers_of_rows[i])));
    for (std::uint64_t number = 0; number < kRows; number += 13) expect_single_reads_right(f, number);
    std::set<Key> scanned;
    const auto scan = f.scan([&](const RowBlock& block) {
      for (std::uint32_t row = 0; row < block.rows; ++row) {
        if (!block.is_live(row)) continue;
        EXPECT_TRUE(scanned.insert(block.meta[row].key).second);
        const auto seen = f.get(block.meta[row].key);
        EXPECT_TRUE(std::ranges::equal(block.vector(row), (**seen)->bytes()));
      }
      return true;
    });
    ASSERT_TRUE(scan.has_value()) << scan.error().to_string();
    EXPECT_EQ(scanned.size(), f.size());
  }
  void expect_single_reads_right(const Family& f, std::uint64_t number) {
    const auto version = version_of(number);
    const auto scope = store_->read_scope();
    const auto seen = f.get(scope, key_of(number));
    std::vector<std::byte> copy(f.spec().vector_bytes());
    const auto copied = f.get_copy(key_of(number), copy);
    ASSERT_TRUE(seen.has_value() && copied.has_value());
    ASSERT_EQ(seen->has_value(), version.has_value());
    ASSERT_EQ(*copied, version.has_value());
    if (!version) return expect_missing(f, number);
    expect_holds(f, number, *version);
    ASSERT_TRUE(std::ranges::equal((*seen)->bytes(), expected_bytes(number)));
    ASSERT_EQ(copy, expected_bytes(number));
  }
  void place(Family& f, Placement placement, bool pin_metas = false) {
    const auto placed = f.place(placement, pin_metas);
    ASSERT_TRUE(placed.has_value()) << placed.error().to_string();
  }
  /// How many pages of a segment's matrix are in the page cache.
  static std::size_t pages_in_memory(const SegmentView& view) {
    return resident_pages({view.base, std::size_t{view.rows} * view.stride_bytes});
  }
};

TEST_F(PlacementTest, EveryReadGivesTheSameAnswersWhereverVectorsAreKept) {
  auto f = make_rows();
  for (const auto placement : {Placement::kCold, Placement::kCached, Placement::kPinned, Placement::kCold}) {
    place(f, placement, placement == Placement::kCold);
    EXPECT_EQ(f.placement(), placement);
    expect_all_reads_right(f);
  }
}

TEST_F(PlacementTest, EveryReadGivesTheSameAnswersWhenMappedPagesAreTakenBack) {
  auto f = make_rows();
  const auto views = *f.segments();
  for (const auto& view : views) {
    const auto directory = *environment_->open_directory(directory_.path(), false);
    const auto file = *directory->open(format::segment_name(view.id), engine::OpenMode::kReadOnly);
    file->drop_cache(0, *file->size());
  }
  expect_all_reads_right(f);
}

TEST_F(PlacementTest, ColdReadsLeaveThePageCacheAsItIs) {
  auto f = make_rows();
  place(f, Placement::kCold);
  auto views = *f.segments();
  views.pop_back();  // The active segment is in the cache because it was just written.
  std::size_t before = 0;
  for (const auto& view : views) before += pages_in_memory(view);
  if (before != 0) GTEST_SKIP() << "this file system keeps everything in memory (tmpfs?)";
  expect_all_reads_right(f);
  std::size_t after = 0;
  for (const auto& view : views) after += pages_in_memory(view);
  EXPECT_EQ(after, 0U);
}

TEST_F(PlacementTest, WhatWasReadColdLivesAsLongAsItsScopeOrPin) {
  auto f = make_rows();
  place(f, Placement::kCold);
  auto pinned = *f.get(key_of(1'000));
  ASSERT_TRUE(pinned.has_value());
  {
    const auto scope = store_->read_scope();
    const auto first = **f.get(scope, key_of(5));
    for (std::uint64_t i = 0; i < kRows; i += 3) ASSERT_TRUE(f.get(scope, key_of(i)).has_value());
    EXPECT_TRUE(std::ranges::equal(first.bytes(), expected_bytes(5)));
  }
  f = family("other");
  ASSERT_TRUE(store_->drop_family("f").has_value());
  close();
  EXPECT_TRUE(std::ranges::equal((*pinned)->bytes(), expected_bytes(1'000)));
  EXPECT_EQ((*pinned)->key(), key_of(1'000));
}

TEST_F(PlacementTest, ADamagedVectorIsNamedAndNotServedHoweverItIsRead) {
  auto f = make_rows();
  const auto victim = f.get(key_of(2))->value().operator*().row_id();
  const std::string path = directory_.path() + "/" + format::segment_name(victim.segment);
  std::uint64_t offset = 0;
  {
    std::ifstream in(path, std::ios::binary);
    std::vector<std::byte> bytes(format::kSegmentHeaderBytes);
    in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    const auto header = *format::decode_segment_header(bytes);
    offset = header.matrix_offset + std::uint64_t{victim.row.value} * header.row_bytes;
  }
  std::fstream(path, std::ios::binary | std::ios::in | std::ios::out)
      .seekp(static_cast<std::streamoff>(offset) + 17)
      .put('\x5A');
  place(f, Placement::kCold);
  const auto names_it = [&](const Error& error) {
    return error.code() == ErrorCode::kCorruption && error.file() == path && error.offset() == offset;
  };
  const auto scope = store_->read_scope();
  const std::vector<Key> keys = {key_of(1), key_of(2), key_of(3)};
  std::vector<Lookup> answers(3);
  ASSERT_TRUE(f.multi_get(scope, keys, answers).has_value());
  EXPECT_EQ(answers[0].status, Lookup::Status::kHit);
  EXPECT_EQ(answers[1].status, Lookup::Status::kCorrupt);
  EXPECT_EQ(answers[2].status, Lookup::Status::kHit);
  std::vector<std::byte> matrix(3 * f.spec().vector_bytes());
  std::array<bool, 3> found{};
  EXPECT_TRUE(names_it(f.get(scope, key_of(2)).error()));
  EXPECT_TRUE(names_it(f.get(key_of(2)).error()));
  EXPECT_TRUE(names_it(f.get_copy(key_of(2), std::span(matrix).first(f.spec().vector_bytes())).error()));
  EXPECT_TRUE(names_it(f.multi_get_copy(keys, matrix, found).error()));
  const std::vector<RowId> rows = {answers[0].view.row_id(), victim};
  EXPECT_TRUE(names_it(f.scan([](const RowBlock&) { return true; }).error()));
  EXPECT_TRUE(names_it(f.gather(rows, std::span(matrix).first(2 * f.spec().vector_bytes())).error()));
}

TEST_F(PlacementTest, PinnedVectorsStayInMemoryAndAreCounted) {
  auto f = make_rows();
  const auto placed = f.place(Placement::kPinned, true);
  if (!placed) {
    ASSERT_EQ(placed.error().code(), ErrorCode::kLimit) << placed.error().to_string();
    GTEST_SKIP() << placed.error().to_string();
  }
  std::uint64_t matrices = 0;
  const auto views = *f.segments();
  for (const auto& view : views) {
    const auto directory = *environment_->open_directory(directory_.path(), false);
    const auto file = *directory->open(format::segment_name(view.id), engine::OpenMode::kReadOnly);
    file->drop_cache(0, *file->size());
    const std::size_t bytes = std::size_t{view.rows} * view.stride_bytes;
    EXPECT_EQ(pages_in_memory(view), (bytes + 4'095) / 4'096);
    matrices += bytes;
  }
  EXPECT_GE(store_->stats().pinned_bytes, matrices);
  place(f, Placement::kCached);
  EXPECT_EQ(store_->stats().pinned_bytes, 0U);
}

TEST_F(PlacementTest, APinThatTheBudgetForbidsChangesNothing) {
  auto f = make_rows();
  close();
  auto with = options();
  with.pinned_bytes_max = 100'000;
  open(with);
  f = family("f", small_spec(kOddDim));
  place(f, Placement::kCold);
  const auto placed = f.place(Placement::kPinned);
  ASSERT_FALSE(placed.has_value());
  EXPECT_EQ(placed.error().code(), ErrorCode::kLimit);
  EXPECT_EQ(f.placement(), Placement::kCold);
  EXPECT_EQ(store_->stats().pinned_bytes, 0U);
  expect_all_reads_right(f);
}

TEST_F(PlacementTest, ReadersBesideWritersAndPlacementsSeeOnlyWholeRightVectors) {
  auto f = make_rows();
  place(f, Placement::kCold);
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> wrong = 0;
  std::vector<std::thread> readers;
  for (std::uint64_t r = 0; r < 2; ++r) {
    readers.emplace_back([&, r] {
      std::mt19937_64 random(r);
      std::vector<Lookup> answers(64);
      while (!stop.load()) {
        std::vector<std::uint64_t> numbers(64);
        for (auto& number : numbers) number = random() % kRows;
        const auto scope = store_->read_scope();
        if (!f.multi_get(scope, keys_of(numbers), answers)) ++wrong;
        for (std::size_t i = 0; i < numbers.size(); ++i) {
          if (answers[i].status != Lookup::Status::kHit) continue;
          const bool known = std::ranges::any_of(std::views::iota(0, 4), [&](int version) {
            return same_bytes(answers[i].view,
                              vector_of(numbers[i], static_cast<std::uint64_t>(version), kOddDim));
          });
          if (!known || answers[i].view.key() != key_of(numbers[i])) ++wrong;
        }
      }
    });
  }
  for (std::uint64_t i = 0; i < kRows; i += 2) {
    put(f, i, 3, {.replace = true});
    if (i % 500 == 0) place(f, i % 1'000 == 0 ? Placement::kCached : Placement::kCold);
  }
  stop = true;
  for (auto& reader : readers) reader.join();
  EXPECT_EQ(wrong.load(), 0U);
}

TEST(AlignedRange, CoversTheRowInWholeUnits) {
  for (const std::uint32_t alignment : {1U, 512U, 4'096U}) {
    for (const std::uint64_t offset : {0ULL, 1ULL, 511ULL, 512ULL, 65'536ULL, 70'003ULL}) {
      for (const std::size_t bytes : {1UL, 332UL, 3'072UL, 12'288UL}) {
        const auto range = engine::align_range(offset, bytes, alignment);
        EXPECT_EQ(range.offset % alignment, 0U);
        EXPECT_EQ(range.bytes % alignment, 0U);
        EXPECT_EQ(range.offset + range.head, offset);
        EXPECT_LE(range.head + bytes, range.bytes);
        EXPECT_LT(range.bytes, bytes + 2ULL * alignment);
      }
    }
  }
}

}  // namespace
}  // namespace vectolith::testing
