/// @file
/// What the tool prints: exit codes, base64, numbers, progress; and the fixed values of stress.
#include <array>

#include <gtest/gtest.h>

#include "output.h"
#include "progress.h"
#include "stress_model.h"

namespace vectolith::tools {
namespace {

TEST(Output, EveryErrorCodeHasItsFixedExitCode) {
  const std::array<std::pair<ErrorCode, int>, 17> table = {{{ErrorCode::kInvalidArgument, 1},
                                                            {ErrorCode::kNotFound, 2},
                                                            {ErrorCode::kCorruption, 3},
                                                            {ErrorCode::kIo, 4},
                                                            {ErrorCode::kLocked, 5},
                                                            {ErrorCode::kUnsupported, 6},
                                                            {ErrorCode::kNoSpace, 4},
                                                            {ErrorCode::kLimit, 1},
                                                            {ErrorCode::kExists, 1},
                                                            {ErrorCode::kReadOnly, 4},
                                                            {ErrorCode::kClosed, 4},
                                                            {ErrorCode::kBusy, 5},
                                                            {ErrorCode::kRejected, 1},
                                                            {ErrorCode::kWrongFamily, 1},
                                                            {ErrorCode::kInternal, 4},
                                                            {ErrorCode::kSpecMismatch, 1},
                                                            {ErrorCode::kNotAStore, 2}}};
  for (const auto& [code, exit_code] : table) EXPECT_EQ(exit_code_of(code), exit_code) << to_string(code);
}

TEST(Output, Base64FollowsTheVectorsOfRfc4648) {
  const std::array<std::pair<std::string_view, std::string_view>, 7> table = {{{"", ""},
                                                                               {"f", "Zg=="},
                                                                               {"fo", "Zm8="},
                                                                               {"foo", "Zm9v"},
                                                                               {"foob", "Zm9vYg=="},
                                                                               {"fooba", "Zm9vYmE="},
                                                                               {"foobar", "Zm9vYmFy"}}};
  for (const auto& [text, encoded] : table) EXPECT_EQ(base64(std::as_bytes(std::span(text))), encoded);
}

TEST(Output, NumbersAreReadable) {
  EXPECT_EQ(with_commas(0), "0");
  EXPECT_EQ(with_commas(999), "999");
  EXPECT_EQ(with_commas(117'659), "117,659");
  EXPECT_EQ(with_commas(1'000'000), "1,000,000");
  EXPECT_EQ(human_bytes(1'023), "1023 B");
  EXPECT_EQ(human_bytes(1'536), "1.5 KiB");
  EXPECT_EQ(hex(0xABC), "0000000000000abc");
}

TEST(Progress, ALineNamesShareRateAndTimeLeft) {
  EXPECT_EQ(progress_text("import", "rows", 25, 100, 2'500, 2.0, true),
            "import [######..................] 25 %  2,500 rows  1,250 rows/s  ETA 0:06");
  EXPECT_EQ(progress_text("import", "rows", 0, 0, 0, 0, false), "import 100 %  0 rows  0 rows/s");
  EXPECT_EQ(clock_text(3'725), "1:02:05");
}

TEST(StressModel, ValuesAreThoseOfTheDocumentedFormula) {
  EXPECT_EQ(splitmix64(0), 0xE220A8397B1DCDAFU);  // first output of Vigna's splitmix64.c from state 0
  EXPECT_EQ(SplitMix(0).next(), 0xE220A8397B1DCDAFU);
  SplitMix sequence(1'234'567);
  EXPECT_EQ(sequence.next(), 6'457'827'717'110'365'317U);  // the sequence that other implementations test
  EXPECT_EQ(sequence.next(), 3'203'168'211'198'807'973U);

  std::array<float, 3> vector{};
  fill_version(7, 5, 2, vector);
  for (std::uint64_t j = 0; j < vector.size(); ++j) {
    const std::uint64_t u = splitmix64(7 + 0x9E3779B97F4A7C15U * (5 * 1'000'003 + 2) + j);
    EXPECT_EQ(vector[j], static_cast<float>(u >> 40) / 8'388'608.0F - 1.0F);
    EXPECT_GE(vector[j], -1.0F);
    EXPECT_LT(vector[j], 1.0F);
  }
}

TEST(StressModel, AVersionIsFoundByItsBytes) {
  std::array<float, 8> vector{};
  fill_version(3, 11, 40, vector);
  const auto bytes = std::as_bytes(std::span(vector));
  EXPECT_TRUE(is_version(3, 11, 40, bytes));
  EXPECT_FALSE(is_version(3, 11, 41, bytes));
  EXPECT_EQ(find_version(3, 11, 100, bytes), 40U);
  EXPECT_FALSE(find_version(3, 11, 40, bytes).has_value());
  EXPECT_FALSE(find_version(3, 12, 100, bytes).has_value());
}

TEST(StressModel, KeysAreNumbersAndForeignKeysAreTold) {
  EXPECT_EQ(stress_key(41).digest, Digest::from_number(42));
  EXPECT_EQ(stress_key_number(stress_key(41), 42), 41U);
  EXPECT_FALSE(stress_key_number(stress_key(42), 42).has_value());
  Key foreign = stress_key(1);
  foreign.digest.bytes[31] = std::byte{1};
  EXPECT_FALSE(stress_key_number(foreign, 42).has_value());
  Key scoped = stress_key(1);
  scoped.scope = ScopeId(1);
  EXPECT_FALSE(stress_key_number(scoped, 42).has_value());
}

}  // namespace
}  // namespace vectolith::tools
