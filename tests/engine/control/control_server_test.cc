/// @file
/// The control socket of a real store: what its verbs do, seen by clients and by the store itself.
#include "control/control_server.h"

#include <algorithm>
#include <map>
#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "engine/control/served_store.h"

namespace vectolith::engine {
namespace {

using testing::served_key;
using testing::served_vector;
using testing::ServedStore;

std::vector<std::byte> bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

TEST(ControlServer, PutsGetsAndErasesVectorsThatTheStoreSees) {
  ServedStore served;
  auto client = served.client();
  const auto put = client.put("vectors", served_key(1), served_vector(1), Durability::kDurable, false);
  ASSERT_TRUE(put.has_value()) << put.error().to_string();
  EXPECT_TRUE(put->stored);

  const auto direct = served.vectors().get(served_key(1)).value();
  ASSERT_TRUE(direct.has_value());
  EXPECT_EQ((*direct)->sequence(), put->sequence);
  const auto row = client.get("vectors", served_key(1)).value();
  ASSERT_TRUE(row.has_value());
  EXPECT_EQ(row->family, "vectors");
  EXPECT_EQ(row->key, served_key(1));
  EXPECT_EQ(row->sequence, put->sequence);
  EXPECT_EQ(row->created_at_s, (*direct)->created_at_s());
  EXPECT_EQ(row->vector, served_vector(1));

  EXPECT_TRUE(client.erase("vectors", served_key(1), Durability::kBuffered).value().existed);
  EXPECT_FALSE(client.erase("vectors", served_key(1), Durability::kBuffered).value().existed);
  EXPECT_FALSE(client.get("vectors", served_key(1)).value().has_value());
  EXPECT_FALSE(served.vectors().contains(served_key(1)).value());
}

TEST(ControlServer, ReplacesARowOnlyWhenAsked) {
  ServedStore served;
  auto client = served.client();
  ASSERT_TRUE(
      client.put("vectors", served_key(1), served_vector(1), Durability::kBuffered, false).value().stored);
  EXPECT_FALSE(
      client.put("vectors", served_key(1), served_vector(2), Durability::kBuffered, false).value().stored);
  EXPECT_EQ(client.get("vectors", served_key(1)).value()->vector, served_vector(1));
  EXPECT_TRUE(
      client.put("vectors", served_key(1), served_vector(2), Durability::kBuffered, true).value().stored);
  EXPECT_EQ(client.get("vectors", served_key(1)).value()->vector, served_vector(2));
}

TEST(ControlServer, ServesRecordFamiliesByTheSameVerbs) {
  ServedStore served;
  auto client = served.client();
  const auto put = client.put("records", served_key(1), bytes_of("a gloss"), Durability::kBuffered, false);
  ASSERT_TRUE(put.has_value()) << put.error().to_string();
  EXPECT_EQ(served.records().get(served_key(1)).value()->payload, bytes_of("a gloss"));
  const auto row = client.get("records", served_key(1)).value();
  ASSERT_TRUE(row.has_value());
  EXPECT_EQ(row->vector, bytes_of("a gloss"));
  EXPECT_EQ(row->sequence, put->sequence);
  EXPECT_EQ(row->created_at_s, served.records().get(served_key(1)).value()->created_at_ms / 1'000);

  std::size_t rows = 0;
  ASSERT_TRUE(client.scan("records", [&](const RemoteRow&) { return ++rows > 0; }).has_value());
  EXPECT_EQ(rows, 1U);
  EXPECT_TRUE(client.erase("records", served_key(1), Durability::kDurable).value().existed);
  EXPECT_FALSE(client.get("records", served_key(1)).value().has_value());
}

TEST(ControlServer, ReportsStatisticsAndFamiliesOfTheRunningStore) {
  ServedStore served;
  served.fill(10);
  auto client = served.client();
  ASSERT_TRUE(client.sync().has_value());
  const auto stats = client.stats().value();
  const auto direct = served.store().stats();
  EXPECT_EQ(stats.puts, direct.puts);
  EXPECT_EQ(stats.io_backend, direct.io_backend);
  ASSERT_EQ(stats.families.size(), direct.families.size());
  EXPECT_EQ(stats.families[0].live_rows, direct.families[0].live_rows);

  const auto families = client.families().value();
  const auto vectors = std::ranges::find(families, std::string("vectors"), &FamilyInfo::name);
  ASSERT_NE(vectors, families.end());
  EXPECT_EQ(vectors->rows, 10U);
  EXPECT_EQ(vectors->spec, served.vectors().spec());
  EXPECT_EQ(vectors->id, served.vectors().id());
}

TEST(ControlServer, ScansEveryLiveRowOnceOverManyBatches) {
  constexpr std::uint64_t kRows = 1'500;  // 1 KiB each: six batches.
  ServedStore served;
  served.fill(kRows);
  for (std::uint64_t i = 0; i < kRows; i += 10)
    ASSERT_TRUE(served.vectors().erase(served_key(i)).has_value());
  std::map<Key, std::vector<std::byte>> rows;
  auto client = served.client();
  const auto scanned = client.scan("vectors", [&](const RemoteRow& row) {
    EXPECT_TRUE(rows.emplace(row.key, row.vector).second) << row.key.digest.to_hex();
    return true;
  });
  ASSERT_TRUE(scanned.has_value()) << scanned.error().to_string();
  EXPECT_EQ(rows.size(), kRows - kRows / 10);
  for (std::uint64_t i = 0; i < kRows; ++i) {
    const auto row = rows.find(served_key(i));
    ASSERT_EQ(row != rows.end(), i % 10 != 0) << i;
    if (row != rows.end()) {
      EXPECT_EQ(row->second, served_vector(i)) << i;
    }
  }
}

TEST(ControlServer, EndsAScanThatItsVisitorStoppedAtAnyRowAndServesOn) {
  ServedStore served;
  served.fill(800);
  auto client = served.client();
  for (const std::size_t wanted : {1U, 255U, 256U, 257U, 600U, 800U}) {
    std::size_t rows = 0;
    ASSERT_TRUE(client.scan("vectors", [&](const RemoteRow&) { return ++rows < wanted; }).has_value());
    EXPECT_EQ(rows, wanted);
    EXPECT_TRUE(client.sync().has_value());
  }
}

TEST(ControlServer, ScansAnEmptyFamilyToItsEnd) {
  ServedStore served;
  auto client = served.client();
  EXPECT_TRUE(client.scan("vectors", [](const RemoteRow&) { return false; }).has_value());
  EXPECT_TRUE(client.scan("records", [](const RemoteRow&) { return false; }).has_value());
}

TEST(ControlServer, AnswersWithTheErrorThatTheStoreWouldReturn) {
  ServedStore served;
  auto client = served.client();
  const auto missing = client.get("nobody", served_key(1));
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(missing.error().to_string(), served.store().family("nobody").error().to_string());

  const auto whole_vector = served_vector(1);
  const auto short_vector = std::span(whole_vector).first(8);
  const auto rejected = client.put("vectors", served_key(1), short_vector, Durability::kBuffered, false);
  ASSERT_FALSE(rejected.has_value());
  EXPECT_EQ(rejected.error().code(), ErrorCode::kRejected);
  EXPECT_EQ(rejected.error().to_string(),
            served.vectors().put(served_key(1), short_vector).error().to_string());
  EXPECT_EQ(client.scan("nobody", [](const RemoteRow&) { return true; }).error().code(),
            ErrorCode::kNotFound);
  EXPECT_TRUE(client.sync().has_value()) << "an error of the store ends no connection";
}

TEST(ControlServer, HandsOnAnErrorWithFileAndOffset) {
  ServedStore served({}, []() -> Result<FsckReport> { return std::unexpected(testing::sample_error()); });
  const auto report = served.client().fsck();
  ASSERT_FALSE(report.has_value());
  EXPECT_EQ(report.error().code(), testing::sample_error().code());
  EXPECT_EQ(report.error().file(), testing::sample_error().file());
  EXPECT_EQ(report.error().offset(), testing::sample_error().offset());
  EXPECT_EQ(report.error().to_string(), testing::sample_error().to_string());
}

TEST(ControlServer, RunsTheFsckItWasGivenOrSaysThatItHasNone) {
  ServedStore with({}, [] { return Result<FsckReport>(testing::sample_report()); });
  EXPECT_EQ(with.client().fsck().value().findings.at(0).offset, testing::sample_report().findings[0].offset);
  ServedStore without;
  EXPECT_EQ(without.client().fsck().error().code(), ErrorCode::kUnsupported);
}

TEST(ControlServer, ServesManyClientsAtOnceWithoutMixingTheirRows) {
  constexpr std::uint64_t kClients = 8, kKeys = 40;
  ServedStore served;
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < kClients; ++t) {
    threads.emplace_back([&served, t] {
      auto client = served.client();
      for (std::uint64_t i = 0; i < kKeys; ++i) {
        const auto number = t * kKeys + i;
        ASSERT_TRUE(
            client.put("vectors", served_key(number), served_vector(number), Durability::kBuffered, false)
                .has_value());
        const auto row = client.get("vectors", served_key(number));
        ASSERT_TRUE(row.has_value() && row->has_value()) << number;
        EXPECT_EQ((*row)->vector, served_vector(number));
        if (i % 16 == 0) {
          EXPECT_TRUE(client.scan("vectors", [](const RemoteRow&) { return true; }).has_value());
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(served.vectors().size(), kClients * kKeys);
}

}  // namespace
}  // namespace vectolith::engine
