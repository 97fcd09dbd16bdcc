/// @file
/// Errors say what, where, expected and found; results carry values through the macros.
#include <vectolith/format/result.h>

#include <cerrno>
#include <memory>
#include <set>

#include <gtest/gtest.h>

namespace vectolith {
namespace {

Result<int> half(int number) {
  if (number % 2 != 0) return fail(ErrorCode::kInvalidArgument, "odd");
  return number / 2;
}

Result<int> quarter(int number) {
  VECTOLITH_TRY_ASSIGN(const int once, half(number));
  VECTOLITH_TRY_ASSIGN(const int twice, half(once));
  return twice;
}

Result<void> check_even(int number) {
  VECTOLITH_TRY(half(number));
  return {};
}

TEST(Error, NamesMessageFileOffsetExpectedFoundAndErrno) {
  const auto error = Error(ErrorCode::kIo, "cannot read")
                         .with_errno(EIO)
                         .with_file("0000000000000007.vls")
                         .with_offset(4'096)
                         .with_expected("64 bytes")
                         .with_found("12 bytes");
  EXPECT_EQ(error.code(), ErrorCode::kIo);
  EXPECT_EQ(error.message(), "cannot read");
  EXPECT_EQ(error.file(), "0000000000000007.vls");
  EXPECT_EQ(error.offset(), 4'096U);
  EXPECT_EQ(error.expected(), "64 bytes");
  EXPECT_EQ(error.found(), "12 bytes");
  EXPECT_EQ(error.system_errno(), EIO);
  EXPECT_EQ(
      error.to_string(),
      "kIo: cannot read, file 0000000000000007.vls, offset 4096, expected 64 bytes, found 12 bytes, errno 5 "
      "(Input/output error)");
}

TEST(Error, LeavesOutWhatIsUnknown) {
  const Error error(ErrorCode::kNotFound, "no such family");
  EXPECT_EQ(error.to_string(), "kNotFound: no such family");
  EXPECT_FALSE(error.offset().has_value());
  EXPECT_TRUE(error.file().empty());
}

TEST(Error, ExtendingACopyLeavesTheOriginalAlone) {
  const Error original = Error(ErrorCode::kCorruption, "bad sum").with_file("a");
  const Error extended = Error(original).with_file("b").with_offset(1);
  EXPECT_EQ(original.file(), "a");
  EXPECT_FALSE(original.offset().has_value());
  EXPECT_EQ(extended.file(), "b");
  EXPECT_EQ(extended.message(), "bad sum");
}

TEST(Error, CanBeExtendedAndReadAfterItWasMovedFrom) {
  Error error(ErrorCode::kCorruption, "bad sum");
  const Error taken = std::move(error);
  EXPECT_EQ(taken.message(), "bad sum");
  EXPECT_TRUE(error.message().empty());  // NOLINT(bugprone-use-after-move): the promise under test
  EXPECT_EQ(std::move(error).with_file("late").file(), "late");
}

TEST(ErrorCode, EveryCodeHasANameOfItsOwn) {
  std::set<std::string_view> names;
  for (std::uint16_t code = 1; code <= 17; ++code) names.insert(to_string(static_cast<ErrorCode>(code)));
  EXPECT_EQ(names.size(), 17U);
  EXPECT_FALSE(names.contains("kUnknown"));
  EXPECT_EQ(to_string(static_cast<ErrorCode>(0)), "kUnknown");
  EXPECT_EQ(to_string(ErrorCode::kCorruption), "kCorruption");
}

TEST(Result, MacrosPassValuesOnAndReturnTheFirstError) {
  EXPECT_EQ(quarter(12).value(), 3);
  ASSERT_FALSE(quarter(6).has_value());
  EXPECT_EQ(quarter(6).error().message(), "odd");
  EXPECT_TRUE(check_even(2).has_value());
  EXPECT_EQ(check_even(3).error().code(), ErrorCode::kInvalidArgument);
}

TEST(Result, CarriesValuesThatCanOnlyMove) {
  const auto make = []() -> Result<std::unique_ptr<int>> { return std::make_unique<int>(5); };
  const auto unwrap = [&]() -> Result<int> {
    VECTOLITH_TRY_ASSIGN(const auto pointer, make());
    return *pointer;
  };
  EXPECT_EQ(unwrap().value(), 5);
}

}  // namespace
}  // namespace vectolith
