/// @file
/// Promises of Family: puts, batches, erases, reads in every form, validation, threads.
#include <atomic>
#include <barrier>
#include <cmath>
#include <filesystem>
#include <limits>
#include <map>
#include <thread>

#include <vectolith/format/file_name.h>
#include <vectolith/store.h>

#include "store_fixture.h"

namespace vectolith::testing {
namespace {

using Put = StoreTest;

TEST_F(Put, KeepsTheFirstWriteUnlessAskedToReplace) {
  open();
  auto f = family();
  const auto first = f.put(key_of(1), std::span<const float>(vector_of(1, 0)));
  const auto second = f.put(key_of(1), std::span<const float>(vector_of(1, 1)));
  ASSERT_TRUE(first && second);
  EXPECT_TRUE(first->stored);
  EXPECT_FALSE(second->stored);
  EXPECT_EQ(first->sequence, second->sequence);
  expect_holds(f, 1, 0);
  const auto third = f.put(key_of(1), std::span<const float>(vector_of(1, 2)), {.replace = true});
  ASSERT_TRUE(third.has_value());
  EXPECT_TRUE(third->stored);
  EXPECT_GT(third->sequence, first->sequence);
  expect_holds(f, 1, 2);
  EXPECT_EQ(f.size(), 1U);
}

TEST_F(Put, SurvivesCloseAndOpenAcrossManySegments) {
  Options small = options();
  small.segment_bytes_initial = small.segment_bytes_target = 128 << 10;
  open(small);
  auto f = family();
  for (std::uint64_t i = 0; i < 3'000; ++i) put(f, i, 0, {.replace = true});
  for (std::uint64_t i = 0; i < 3'000; i += 3) put(f, i, 1, {.replace = true});
  EXPECT_GT(store_->stats().families.front().segments, 5U);
  close();
  open(small);
  f = family();
  EXPECT_EQ(f.size(), 3'000U);
  for (std::uint64_t i = 0; i < 3'000; ++i) expect_holds(f, i, i % 3 == 0 ? 1 : 0);
}

TEST_F(Put, StoresProvenanceWithTheRow) {
  open();
  auto f = family();
  const auto build = *store_->intern_build("embedder@7");
  put(f, 1, 0, {.build = build, .created_at_s = 1'700'000'000});
  const auto got = f.get(key_of(1));
  EXPECT_EQ((**got)->build(), build);
  EXPECT_EQ((**got)->created_at_s(), 1'700'000'000U);
  EXPECT_EQ((**got)->key(), key_of(1));
}

TEST_F(Put, FillsSegmentsOfTheSizeThatWasAskedFor) {
  Options small = options();
  small.segment_bytes_initial = small.segment_bytes_target = 128 << 10;
  open(small);
  auto f = family();
  for (std::uint64_t i = 0; i < 1'000; ++i) put(f, i);
  for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
    if (entry.path().extension() != ".vls") continue;
    EXPECT_LE(entry.file_size(), 128U << 10) << entry.path();
  }
}

TEST_F(Put, RefusesATimeThatDoesNotFitARow) {
  open();
  auto f = family();
  const auto vector = vector_of(1);
  const auto put_at = [&](std::uint64_t s) {
    return f.put(key_of(1), std::span<const float>(vector), {.created_at_s = s});
  };
  EXPECT_EQ(put_at(1ULL << 32).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(put_at(~0ULL).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_TRUE(put_at((1ULL << 32) - 1).has_value());
}

TEST_F(Put, RejectsWhatIsNoVectorOfTheFamilyAndCountsWhy) {
  open();
  auto f = family();
  auto vector = vector_of(1);
  const auto code = [&](const std::vector<float>& v) {
    return f.put(key_of(1), std::span<const float>(v)).error().code();
  };
  EXPECT_EQ(code(vector_of(1, 0, kDim - 1)), ErrorCode::kRejected);
  vector[5] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(code(vector), ErrorCode::kRejected);
  vector[5] = -std::numeric_limits<float>::infinity();
  EXPECT_EQ(code(vector), ErrorCode::kRejected);
  EXPECT_EQ(code(std::vector<float>(kDim)), ErrorCode::kRejected);
  EXPECT_EQ(code(std::vector<float>(kDim, -0.0F)), ErrorCode::kRejected);
  const auto with = [&](Validator validator) {
    EXPECT_TRUE(f.set_validator(std::move(validator)).has_value());
  };
  with([](std::span<const std::byte>) { return std::optional<std::string>("no luck"); });
  EXPECT_NE(f.put(key_of(1), std::span<const float>(vector_of(1))).error().message().find("no luck"),
            std::string::npos);
  with([](std::span<const std::byte>) -> std::optional<std::string> { throw std::runtime_error("boom"); });
  EXPECT_NE(f.put(key_of(1), std::span<const float>(vector_of(1))).error().message().find("boom"),
            std::string::npos);
  const auto stats = store_->stats();
  const auto rejected = [&](RejectReason reason) { return stats.rejected[static_cast<std::size_t>(reason)]; };
  EXPECT_EQ(rejected(RejectReason::kLength), 1U);
  EXPECT_EQ(rejected(RejectReason::kNotFinite), 2U);
  EXPECT_EQ(rejected(RejectReason::kAllZero), 2U);
  EXPECT_EQ(rejected(RejectReason::kValidator), 2U);
  EXPECT_EQ(f.size(), 0U);
}

TEST_F(Put, AcceptsHugeAndTinyElementsWhoseSquaresOverflowOrVanish) {
  open();
  auto f = family();
  EXPECT_TRUE(f.put(key_of(1), std::span<const float>(std::vector<float>(kDim, 1e30F))).has_value());
  EXPECT_TRUE(f.put(key_of(2), std::span<const float>(std::vector<float>(kDim, 1e-30F))).has_value());
}

TEST_F(Put, ChecksTheNormWhereTheSpecSaysUnitNorm) {
  open();
  auto spec = small_spec();
  spec.unit_norm = true;
  auto f = family("unit", spec);
  std::vector<float> vector(kDim, 1.0F / std::sqrt(static_cast<float>(kDim)));
  EXPECT_TRUE(f.put(key_of(1), std::span<const float>(vector)).has_value());
  EXPECT_NE((**f.get(key_of(1)))->meta().flags & format::kRowNormalised, 0);
  vector[0] = 1.0F;
  EXPECT_EQ(f.put(key_of(2), std::span<const float>(vector)).error().code(), ErrorCode::kRejected);
}

TEST_F(Put, SubmittedWithoutWaitingHappensAllTheSame) {
  open();
  auto f = family();
  std::vector<PendingPut> pending;
  for (std::uint64_t i = 0; i < 500; ++i) {
    const auto vector = vector_of(i);
    auto submitted = f.submit_put(key_of(i), std::as_bytes(std::span(vector)));
    ASSERT_TRUE(submitted.has_value());
    if (i % 2 == 0) pending.push_back(*std::move(submitted));  // The others are dropped, not cancelled.
  }
  for (auto& put : pending) ASSERT_TRUE(put.wait().has_value());
  close();
  open();
  f = family();
  for (std::uint64_t i = 0; i < 500; ++i) expect_holds(f, i);
}

using Batch = StoreTest;

TEST_F(Batch, ThatDoesNotFitLeavesNoSpaceBehindInTheSegmentBeforeIt) {
  Options small = options();
  small.segment_bytes_initial = small.segment_bytes_target = 1 << 20;
  open(small);
  auto f = family("wide", small_spec(1'024));
  std::vector<std::vector<float>> vectors;
  for (std::uint64_t i = 0; i < 600; ++i) vectors.push_back(vector_of(i, 0, 1'024));
  // About 230 rows fit into a segment: each batch of 130 leaves 100 rows of 4 KiB unused.
  for (std::uint64_t first = 0; first + 130 <= vectors.size(); first += 130) {
    std::vector<BatchRow> rows;
    for (std::uint64_t i = first; i < first + 130; ++i)
      rows.push_back({key_of(i), std::as_bytes(std::span(vectors[i]))});
    ASSERT_TRUE(f.put_batch(rows).has_value());
  }
  const auto rows = f.size();
  close();
  std::uint64_t allocated = 0;
  const auto directory = *environment_->open_directory(directory_.path(), false);
  const auto names = *directory->list();
  for (const auto& name : names) {
    if (name.ends_with(".vls"))
      allocated += *(*directory->open(name, engine::OpenMode::kReadOnly))->allocated_bytes();
  }
  EXPECT_LT(allocated, rows * 4'096 * 12 / 10);
}

std::vector<BatchRow> rows_of(const std::vector<std::vector<float>>& vectors, std::uint64_t first) {
  std::vector<BatchRow> rows;
  for (std::size_t i = 0; i < vectors.size(); ++i)
    rows.push_back({key_of(first + i), std::as_bytes(std::span(vectors[i]))});
  return rows;
}

TEST_F(Batch, StoresAllRowsAndKeepsThoseThatExist) {
  open();
  auto f = family();
  put(f, 3, 9);
  std::vector<std::vector<float>> vectors;
  for (std::uint64_t i = 0; i < 10; ++i) vectors.push_back(vector_of(i));
  const auto results = f.put_batch(rows_of(vectors, 0));
  ASSERT_TRUE(results.has_value()) << results.error().to_string();
  for (std::uint64_t i = 0; i < 10; ++i) {
    EXPECT_EQ((*results)[i].stored, i != 3);
    expect_holds(f, i, i == 3 ? 9 : 0);
  }
}

TEST_F(Batch, WithOneBadRowStoresNothing) {
  open();
  auto f = family();
  std::vector<std::vector<float>> vectors = {vector_of(0), std::vector<float>(kDim), vector_of(2)};
  const auto refused = f.put_batch(rows_of(vectors, 0));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), ErrorCode::kRejected);
  EXPECT_NE(refused.error().message().find("row 1"), std::string::npos);
  EXPECT_EQ(f.size(), 0U);
}

TEST_F(Batch, RefusesAKeyThatOccursTwice) {
  open();
  auto f = family();
  const auto a = vector_of(1);
  const std::vector<BatchRow> rows = {{key_of(1), std::as_bytes(std::span(a))},
                                      {key_of(1), std::as_bytes(std::span(a))}};
  EXPECT_EQ(f.put_batch(rows).error().code(), ErrorCode::kInvalidArgument);
}

TEST_F(Batch, LargerThanASegmentIsPublishedWholeAndSurvives) {
  Options small = options();
  small.segment_bytes_initial = small.segment_bytes_target = 128 << 10;
  open(small);
  auto f = family();
  std::vector<std::vector<float>> vectors;
  for (std::uint64_t i = 0; i < 2'000; ++i) vectors.push_back(vector_of(i));
  ASSERT_TRUE(f.put_batch(rows_of(vectors, 0)).has_value());
  EXPECT_EQ(f.size(), 2'000U);
  put(f, 5'000);
  close();
  open(small);
  f = family();
  for (std::uint64_t i = 0; i < 2'000; ++i) expect_holds(f, i);
  expect_holds(f, 5'000);
}

using Erase = StoreTest;

TEST_F(Erase, RemovesAtOnceAndForGood) {
  open();
  auto f = family();
  put(f, 1);
  put(f, 2);
  EXPECT_TRUE(f.erase(key_of(1))->existed);
  EXPECT_FALSE(f.erase(key_of(1))->existed);
  expect_missing(f, 1);
  close();
  open();
  f = family();
  expect_missing(f, 1);
  expect_holds(f, 2);
  put(f, 1, 5);
  close();
  open();
  expect_holds(family(), 1, 5);
}

TEST_F(Erase, GoesOnWhenTheJournalIsFull) {
  open();
  auto f = family();
  constexpr std::uint64_t kErases = 70'000;  // More than one journal file holds.
  for (std::uint64_t i = 0; i < kErases; ++i) {
    put(f, i % 10, i);
    ASSERT_TRUE(f.erase(key_of(i % 10))->existed) << i;
  }
  put(f, 1, 1);
  close();
  open();
  f = family();
  EXPECT_EQ(f.size(), 1U);
  expect_holds(f, 1, 1);
}

using Get = StoreTest;

TEST_F(Get, InAScopeCopiedAndInGroupsAgree) {
  open();
  auto f = family();
  for (std::uint64_t i = 0; i < 200; ++i) put(f, i);
  std::vector<Key> keys;
  for (std::uint64_t i = 0; i < 333; ++i) keys.push_back(key_of(i * 7 % 300));
  const auto scope = store_->read_scope();
  std::vector<Lookup> answers(keys.size());
  ASSERT_TRUE(f.multi_get(scope, keys, answers).has_value());
  std::vector<std::byte> matrix(keys.size() * kDim * 4);
  const auto found = std::make_unique<bool[]>(keys.size());
  ASSERT_TRUE(f.multi_get_copy(keys, matrix, {found.get(), keys.size()}).has_value());
  std::vector<std::byte> copy(kDim * 4);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const std::uint64_t number = i * 7 % 300;
    const bool there = number < 200;
    const auto view = f.get(scope, keys[i]);
    EXPECT_EQ((*view).has_value(), there);
    EXPECT_EQ(answers[i].status == Lookup::Status::kHit, there);
    EXPECT_EQ(found[i], there);
    EXPECT_EQ(*f.get_copy(keys[i], copy), there);
    EXPECT_EQ(*f.contains(keys[i]), there);
    if (!there) continue;
    const auto expected = vector_of(number);
    const auto bytes = std::as_bytes(std::span(expected));
    EXPECT_TRUE(same_bytes(**view, expected));
    EXPECT_TRUE(same_bytes(answers[i].view, expected));
    EXPECT_TRUE(
        std::equal(bytes.begin(), bytes.end(), matrix.begin() + static_cast<std::ptrdiff_t>(i * kDim * 4)));
    EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), copy.begin()));
  }
}

TEST_F(Get, OfDurableRowsOnlySkipsWhatNoBarrierCovered) {
  open();
  auto f = family();
  put(f, 1);
  EXPECT_TRUE(f.get(key_of(1))->has_value());
  EXPECT_FALSE(f.get(key_of(1), {.min_durability = Durability::kDurable})->has_value());
  ASSERT_TRUE(store_->sync().has_value());
  EXPECT_TRUE(f.get(key_of(1), {.min_durability = Durability::kDurable})->has_value());
}

TEST_F(Get, WaitDurableCoversTheTicketAndAllBefore) {
  open();
  auto f = family();
  put(f, 1);
  const auto ticket = f.put(key_of(2), std::span<const float>(vector_of(2)))->ticket;
  ASSERT_TRUE(store_->wait_durable(ticket).has_value());
  for (std::uint64_t i : {1U, 2U})
    EXPECT_TRUE(f.get(key_of(i), {.min_durability = Durability::kDurable})->has_value());
  const auto syncs = store_->stats().data_syncs;
  ASSERT_TRUE(store_->wait_durable(ticket).has_value());
  EXPECT_EQ(store_->stats().data_syncs, syncs) << "what is durable needs no barrier again";
}

TEST_F(Get, OfADamagedRowIsCorruptionNamingFileAndOffsetAndNeverAMiss) {
  open();
  auto f = family();
  for (std::uint64_t i = 0; i < 50; ++i) put(f, i);
  const auto views = *f.segments();
  const auto view = views.front();
  const auto name = format::segment_name(view.id);
  close();
  auto bytes = read_file(directory_.file(name));
  format::SegmentHeader header;
  std::memcpy(&header, bytes.data(), sizeof(header));
  const std::uint64_t offset = header.matrix_offset + 20ULL * kDim * 4;
  bytes[offset + 9] ^= std::byte{0x10};
  write_file(directory_.file(name), bytes);
  open();
  f = family();
  const auto got = f.get(key_of(20));
  ASSERT_FALSE(got.has_value());
  EXPECT_EQ(got.error().code(), ErrorCode::kCorruption);
  EXPECT_NE(got.error().file().find(name), std::string::npos);
  EXPECT_EQ(got.error().offset(), offset);
  const auto scope = store_->read_scope();
  const std::vector<Key> keys = {key_of(19), key_of(20), key_of(21)};
  std::vector<Lookup> answers(3);
  ASSERT_TRUE(f.multi_get(scope, keys, answers).has_value());
  EXPECT_EQ(answers[0].status, Lookup::Status::kHit);
  EXPECT_EQ(answers[1].status, Lookup::Status::kCorrupt);
  EXPECT_EQ(answers[2].status, Lookup::Status::kHit);
  EXPECT_GE(store_->stats().corruptions, 2U);
}

using Scan = StoreTest;

TEST_F(Scan, SegmentsAreContiguousMatricesWithALiveBitmap) {
  Options small = options();
  small.segment_bytes_initial = small.segment_bytes_target = 256 << 10;
  open(small);
  auto f = family();
  for (std::uint64_t i = 0; i < 2'500; ++i) put(f, i);
  for (std::uint64_t i = 0; i < 2'500; i += 5) ASSERT_TRUE(f.erase(key_of(i)).has_value());
  const auto views = f.segments();
  ASSERT_TRUE(views.has_value());
  ASSERT_GT(views->size(), 1U);
  std::uint64_t live = 0;
  std::vector<RowId> ids;
  for (const auto& view : *views) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(view.base) % 4'096, 0U);
    EXPECT_EQ(view.stride_bytes, kDim * 4);
    for (std::uint32_t row = 0; row < view.rows; ++row) {
      if (!view.is_live(row)) continue;
      ++live;
      ids.push_back({view.id, RowIndex(row)});
      std::uint64_t number = 0;
      std::memcpy(&number, view.meta[row].key.digest.bytes.data(), sizeof(number));
      EXPECT_NE(number % 5, 0U);
      const auto expected = vector_of(number);
      const auto bytes = std::as_bytes(std::span(expected));
      EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), view.vector(row).begin()));
    }
  }
  EXPECT_EQ(live, 2'000U);
  std::vector<std::byte> matrix(ids.size() * kDim * 4);
  ASSERT_TRUE(f.gather(ids, matrix).has_value());
  ids.front().row.value = 1U << 19;
  EXPECT_EQ(f.gather(ids, matrix).error().code(), ErrorCode::kNotFound);
}

TEST_F(Scan, ForEachVisitsEveryLiveRowOnce) {
  open();
  auto f = family();
  for (std::uint64_t i = 0; i < 100; ++i) put(f, i);
  for (std::uint64_t i = 0; i < 100; i += 2) put(f, i, 1, {.replace = true});
  std::map<Key, int> seen;
  ASSERT_TRUE(f.for_each([&](const VectorView& view) {
                 ++seen[view.key()];
                 return true;
               }).has_value());
  EXPECT_EQ(seen.size(), 100U);
  for (const auto& [key, times] : seen) EXPECT_EQ(times, 1);
}

using Threads = StoreTest;

TEST_F(Threads, WriteReadReplaceAndEraseSideBySideWithoutLosingARow) {
  open();
  auto f = family();
  constexpr std::uint64_t kThreads = 4;
  constexpr std::uint64_t kRounds = 150;
  for (std::uint64_t i = 0; i < 64; ++i) put(f, 100'000 + i);
  std::barrier start(kThreads + 1);
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> wrong{0};
  std::vector<std::jthread> threads;
  for (std::uint64_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      start.arrive_and_wait();
      for (std::uint64_t i = 0; i < kRounds; ++i) {
        const std::uint64_t number = t * 10'000 + i;
        const auto level = i % 16 == 0 ? Durability::kDurable : Durability::kBuffered;
        const auto vector = vector_of(number);
        if (!f.put(key_of(number), std::span<const float>(vector), {.durability = level})) ++wrong;
        const auto newer = vector_of(number, 1);
        if (i % 3 == 0 &&
            !f.put(key_of(number), std::span<const float>(newer), {.durability = level, .replace = true}))
          ++wrong;
        if (i % 5 == 0 && !f.erase(key_of(number)).value_or(EraseResult{}).existed) ++wrong;
      }
    });
  }
  std::jthread reader([&] {
    start.arrive_and_wait();
    while (!stop.load()) {
      const auto scope = store_->read_scope();
      for (std::uint64_t i = 0; i < 64; ++i) {
        const auto got = f.get(scope, key_of(100'000 + i));
        if (!got || !*got || !same_bytes(**got, vector_of(100'000 + i))) ++wrong;
      }
    }
  });
  threads.clear();
  stop.store(true);
  reader.join();
  EXPECT_EQ(wrong.load(), 0U);
  const auto check = [&](const Family& family) {
    for (std::uint64_t t = 0; t < kThreads; ++t) {
      for (std::uint64_t i = 0; i < kRounds; ++i) {
        if (i % 5 == 0) {
          expect_missing(family, t * 10'000 + i);
        } else {
          expect_holds(family, t * 10'000 + i, i % 3 == 0 ? 1 : 0);
        }
      }
    }
  };
  check(f);
  close();
  open();
  check(family());
}

}  // namespace
}  // namespace vectolith::testing
