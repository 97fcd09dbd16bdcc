/// @file
/// fsck of an open store through its socket: sound rows are counted, damage is named and survived.
#include <string>

#include <gtest/gtest.h>

#include "engine/control/served_store.h"

namespace vectolith::engine {
namespace {

using testing::served_key;
using testing::served_vector;

class ControlFsck : public ::testing::Test {
 protected:
  ControlFsck() {
    options_.control = true;
    options_.create_if_missing = true;
    options_.environment = vectolith::testing::test_environment();
    store_ = Store::open(path_, options_).value();
    ModelSpec spec;
    spec.dim = testing::kServedDim;
    auto family = store_->family("vectors", spec).value();
    for (std::uint64_t i = 0; i < kRows; ++i)
      EXPECT_TRUE(family.put(served_key(i), std::span<const std::byte>(served_vector(i))).has_value());
    auto records = store_->record_family("records").value();
    EXPECT_TRUE(records.put(served_key(0), "a gloss").has_value());
  }
  /// Flips a bit of the first place where `content` lies in a file of the open store; returns that file.
  std::string damage(std::span<const std::byte> content) {
    for (const auto& name : store_names()) {
      auto bytes = vectolith::testing::read_file(path_ + "/" + name);
      const auto at = std::ranges::search(bytes, content);
      if (at.empty()) continue;
      const auto directory = options_.environment->open_directory(path_, false).value();
      const auto file = directory->open(name, OpenMode::kReadWrite).value();
      const std::byte flipped = at.front() ^ std::byte{0x10};
      EXPECT_TRUE(
          file->write_at(static_cast<std::uint64_t>(at.begin() - bytes.begin()), std::span(&flipped, 1))
              .has_value());
      return name;
    }
    ADD_FAILURE() << "no file holds these bytes";
    return {};
  }
  std::vector<std::string> store_names() const {
    auto names = options_.environment->open_directory(path_, false).value()->list().value();
    std::erase_if(names, [](const std::string& name) { return !name.ends_with(".vls"); });
    return names;
  }
  FsckReport check() const { return ControlClient::connect(path_).value().fsck().value(); }

  static constexpr std::uint64_t kRows = 10;
  vectolith::testing::TempDirectory temp_;
  std::string path_ = temp_.file("store");
  Options options_;
  std::unique_ptr<Store> store_;
};

TEST_F(ControlFsck, CountsTheRowsOfASoundStore) {
  const auto report = check();
  EXPECT_TRUE(report.clean());
  EXPECT_EQ(report.rows, kRows + 1);
  EXPECT_EQ(report.segments, 2U);
}

TEST_F(ControlFsck, NamesARowThatWasWrittenASecondAgoAndReadSinceAndServesOn) {
  auto family = store_->family("vectors").value();
  ASSERT_TRUE(family.get(served_key(4)).has_value()) << "it has been checked once";
  const auto name = damage(served_vector(4));
  for (int again = 0; again < 2; ++again) {
    const auto report = check();
    ASSERT_EQ(report.damage, 1U);
    EXPECT_TRUE(report.findings.at(0).file.ends_with(name)) << report.findings.at(0).file;
    EXPECT_EQ(report.rows, kRows);
  }
  EXPECT_TRUE(family.put(served_key(99), std::span<const std::byte>(served_vector(99))).has_value());
}

TEST_F(ControlFsck, ScrubsTheOpenStoreInPiecesAndFindsTheSame) {
  (void)damage(served_vector(4));
  const auto whole = ControlClient::connect(path_).value().scrub().value();
  EXPECT_TRUE(whole.is_complete);
  EXPECT_EQ(whole.found.damage, 1U);
  EXPECT_EQ(whole.found.rows, kRows);
  EXPECT_EQ(whole.found.findings.at(0).offset, check().findings.at(0).offset);
  ScrubReport piece;
  std::uint64_t damages = 0, rows = 0, pieces = 0;
  do {
    ScrubOptions options;
    options.from = piece.next;
    options.bytes_max = 1;
    piece = ControlClient::connect(path_).value().scrub(options).value();
    damages += piece.found.damage;
    rows += piece.found.rows;
    ASSERT_LT(++pieces, 100U);
  } while (!piece.is_complete);
  EXPECT_EQ(pieces, 2U) << "an active segment of vectors, one of records";
  EXPECT_EQ(damages, 1U);
  EXPECT_EQ(rows, kRows);
}

TEST_F(ControlFsck, NamesADamagedRecord) {
  const std::string text = "a gloss";
  const auto name = damage(std::as_bytes(std::span(text)));
  const auto report = check();
  ASSERT_EQ(report.damage, 1U);
  EXPECT_TRUE(report.findings.at(0).file.ends_with(name)) << report.findings.at(0).file;
}

TEST_F(ControlFsck, EndsWithTheStore) {
  auto client = ControlClient::connect(path_).value();
  ASSERT_TRUE(store_->close().has_value());
  EXPECT_EQ(client.fsck().error().code(), ErrorCode::kClosed);
  EXPECT_EQ(ControlClient::connect(path_).error().code(), ErrorCode::kNotFound);
}

}  // namespace
}  // namespace vectolith::engine
