/// @file
/// The rule for newer versions and unknown feature bits, bit by bit.
#include <vectolith/format/features.h>

#include <gtest/gtest.h>

namespace vectolith::format {
namespace {

TEST(CheckFeatures, OpensThisVersionForWriting) {
  EXPECT_EQ(check_features(kVersionMajor, kKnownFeatures, "superblock").value(), Access::kReadWrite);
}

TEST(CheckFeatures, IgnoresEveryUnknownCompatibleBit) {
  for (unsigned bit = 0; bit < 32; ++bit) {
    EXPECT_EQ(check_features(kVersionMajor, {.compat = 1U << bit}, "x").value(), Access::kReadWrite) << bit;
  }
}

TEST(CheckFeatures, EveryUnknownReadOnlyBitForbidsWriting) {
  for (unsigned bit = 0; bit < 32; ++bit) {
    EXPECT_EQ(check_features(kVersionMajor, {.ro_compat = 1U << bit}, "x").value(), Access::kReadOnly) << bit;
  }
}

TEST(CheckFeatures, EveryUnknownIncompatibleBitIsRefusedAndNamed) {
  for (unsigned bit = 0; bit < 32; ++bit) {
    const auto access = check_features(kVersionMajor, {.incompat = 1U << bit}, "journal header");
    ASSERT_FALSE(access.has_value()) << bit;
    EXPECT_EQ(access.error().code(), ErrorCode::kUnsupported);
    EXPECT_NE(access.error().to_string().find("journal header"), std::string::npos);
    EXPECT_FALSE(access.error().found().empty());
  }
}

TEST(CheckFeatures, RefusesOtherMajorVersionsByName) {
  for (const int major : {0, kVersionMajor + 1, 65'535}) {
    const auto access = check_features(static_cast<std::uint16_t>(major), {}, "superblock");
    ASSERT_FALSE(access.has_value()) << major;
    EXPECT_EQ(access.error().code(), ErrorCode::kUnsupported);
    EXPECT_EQ(access.error().found(), std::to_string(major));
  }
}

}  // namespace
}  // namespace vectolith::format
