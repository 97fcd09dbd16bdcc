/// @file
/// Promises of Journal: rows come back in order, damaged ones are counted, valid ones behind them are seen.
#include "log/journal_file.h"

#include <gtest/gtest.h>

#include <vectolith/format/file_name.h>

#include "support/temp_directory.h"

namespace vectolith::engine {
namespace {

class JournalTest : public ::testing::Test {
 protected:
  void SetUp() override {
    disk_ = *environment_->open_directory(directory_.path(), false);
    format::JournalHeader header;
    header.row_capacity = 100;
    header.journal_id = JournalId(1);
    environment_->fill_random(header.journal_uuid.bytes);
    journal_ = *JournalFile::create(*disk_, header);
  }
  void append(std::uint64_t number) {
    auto row =
        format::JournalRow::erase({Digest::from_number(number), {}, {}}, FamilyId(1), Sequence(number), {});
    const auto offset = journal_->place(row);
    ASSERT_TRUE(journal_->file().write_at(offset, std::as_bytes(std::span(&row, 1))).has_value());
  }
  std::vector<std::uint64_t> sequences(JournalFile::Scan& scan) {
    std::vector<std::uint64_t> seen;
    const auto opened = JournalFile::open(*disk_, JournalId(1), OpenMode::kReadOnly);
    scan = *(*opened)->scan([&](const format::JournalRow& row) { seen.push_back(row.sequence().value); });
    return seen;
  }

  testing::TempDirectory directory_;
  std::shared_ptr<Environment> environment_ = testing::test_environment();
  std::unique_ptr<Directory> disk_;
  std::unique_ptr<JournalFile> journal_;
};

TEST_F(JournalTest, GivesBackItsRowsInOrder) {
  for (std::uint64_t i = 1; i <= 100; ++i) append(i);
  EXPECT_EQ(journal_->rows_free(), 0U);
  JournalFile::Scan scan;
  const auto seen = sequences(scan);
  ASSERT_EQ(seen.size(), 100U);
  for (std::uint64_t i = 0; i < 100; ++i) EXPECT_EQ(seen[i], i + 1);
  EXPECT_EQ(scan.invalid, 0U);
}

TEST_F(JournalTest, SeesValidRowsBehindADamagedOne) {
  for (std::uint64_t i = 1; i <= 10; ++i) append(i);
  const auto path = directory_.file(format::journal_name(JournalId(1)));
  auto bytes = testing::read_file(path);
  bytes[format::kJournalHeaderBytes + 3 * 64 + 20] ^= std::byte{4};
  testing::write_file(path, bytes);
  JournalFile::Scan scan;
  EXPECT_EQ(sequences(scan).size(), 9U);
  EXPECT_EQ(scan.invalid, 1U);
  EXPECT_EQ(scan.rows, 10U);
}

TEST_F(JournalTest, RefusesAHeaderWithAFlippedBit) {
  const auto path = directory_.file(format::journal_name(JournalId(1)));
  auto bytes = testing::read_file(path);
  bytes[40] ^= std::byte{1};
  testing::write_file(path, bytes);
  EXPECT_EQ(JournalFile::open(*disk_, JournalId(1), OpenMode::kReadOnly).error().code(),
            ErrorCode::kCorruption);
}

}  // namespace
}  // namespace vectolith::engine
