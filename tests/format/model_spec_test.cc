/// @file
/// Specs: limits, canonical bytes that read back, fingerprints that differ whenever vectors must not mix.
#include <vectolith/format/model_spec.h>

#include <array>
#include <functional>
#include <map>
#include <random>
#include <set>

#include <gtest/gtest.h>

#include <vectolith/format/bytes.h>

#include "format/damage.h"
#include "format/format_samples.h"
#include "support/random_seed.h"

namespace vectolith::format {
namespace {

constexpr Dtype kDtypes[] = {Dtype::kF32, Dtype::kF16, Dtype::kBf16, Dtype::kI8, Dtype::kU8, Dtype::kB1};

ErrorCode refusal(const ModelSpec& spec) {
  const auto checked = check_model_spec(spec);
  return checked.has_value() ? ErrorCode{} : checked.error().code();
}

std::string random_text(std::mt19937_64& random) {
  std::string text(random() % 20, '\0');
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

ModelSpec random_spec(std::mt19937_64& random) {
  ModelSpec spec;
  spec.model = random_text(random);
  spec.revision = random_text(random);
  spec.parameters = random_text(random);
  spec.role = random() % 2 == 0 ? Role::kDocument : Role::kQuery;
  spec.dtype = kDtypes[random() % 6];
  spec.metric = static_cast<Metric>(1 + random() % 3);
  spec.dim = static_cast<std::uint32_t>(8 * (1 + random() % 1'000));
  spec.unit_norm = static_cast<int>(spec.dtype) <= 3 && random() % 2 == 0;
  return spec;
}

TEST(ModelSpec, RoundTripsForAllSixDtypes) {
  for (const Dtype dtype : kDtypes) {
    const auto spec = samples::spec(dtype);
    ASSERT_TRUE(check_model_spec(spec).has_value()) << to_string(dtype);
    EXPECT_EQ(decode_model_spec(encode_model_spec(spec)).value(), spec) << to_string(dtype);
  }
}

TEST(ModelSpec, RoundTripsForRandomSpecs) {
  std::mt19937_64 random(vectolith::testing::random_seed());
  for (int i = 0; i < 1'000; ++i) {
    const auto spec = random_spec(random);
    const auto decoded = decode_model_spec(encode_model_spec(spec));
    ASSERT_TRUE(decoded.has_value()) << decoded.error().to_string();
    ASSERT_EQ(*decoded, spec);
    ASSERT_TRUE(difference(*decoded, spec).empty());
  }
}

TEST(ModelSpec, VectorBytesFollowTheDtype) {
  const std::map<Dtype, std::uint32_t> expected = {{Dtype::kF32, 128}, {Dtype::kF16, 64}, {Dtype::kBf16, 64},
                                                   {Dtype::kI8, 32},   {Dtype::kU8, 32},  {Dtype::kB1, 4}};
  for (const auto& [dtype, bytes] : expected) EXPECT_EQ(samples::spec(dtype).vector_bytes(), bytes);
}

TEST(ModelSpec, NamesReadBackAndUnknownOnesDoNot) {
  for (const Dtype dtype : kDtypes) EXPECT_EQ(parse_dtype(to_string(dtype)), dtype);
  for (const Metric metric : {Metric::kCosine, Metric::kDot, Metric::kL2}) {
    EXPECT_EQ(parse_metric(to_string(metric)), metric);
  }
  for (const Role role : {Role::kDocument, Role::kQuery}) EXPECT_EQ(parse_role(to_string(role)), role);
  EXPECT_FALSE(parse_dtype("f64").has_value());
  EXPECT_FALSE(parse_metric("").has_value());
  EXPECT_FALSE(parse_role("Document").has_value());
  EXPECT_EQ(to_string(Dtype{}), "unknown");
}

TEST(Fingerprint, DiffersForEveryField) {
  const std::function<void(ModelSpec&)> changes[] = {
      [](ModelSpec& s) { s.model += "x"; },
      [](ModelSpec& s) { s.revision += "x"; },
      [](ModelSpec& s) { s.parameters += "x"; },
      [](ModelSpec& s) { s.role = Role::kQuery; },
      [](ModelSpec& s) { s.dim += 8; },
      [](ModelSpec& s) { s.dtype = Dtype::kBf16; },
      [](ModelSpec& s) { s.metric = Metric::kDot; },
      [](ModelSpec& s) { s.unit_norm = !s.unit_norm; },
  };
  std::set<Fingerprint> fingerprints = {fingerprint(samples::spec())};
  for (const auto& change : changes) {
    auto changed = samples::spec();
    change(changed);
    fingerprints.insert(fingerprint(changed));
    EXPECT_FALSE(difference(changed, samples::spec()).empty());
  }
  EXPECT_EQ(fingerprints.size(), 1 + std::size(changes));
}

TEST(Fingerprint, TellsAmbiguousConcatenationsApart) {
  std::set<Fingerprint> fingerprints;
  const std::pair<std::string, std::string> cuts[] = {{"abc", ""}, {"ab", "c"}, {"a", "bc"}, {"", "abc"}};
  for (const auto& [left, right] : cuts) {
    auto by_model = samples::spec();
    by_model.model = left;
    by_model.revision = right;
    fingerprints.insert(fingerprint(by_model));
    auto by_revision = samples::spec();
    by_revision.revision = left;
    by_revision.parameters = right;
    fingerprints.insert(fingerprint(by_revision));
  }
  EXPECT_EQ(fingerprints.size(), 2 * std::size(cuts));
}

TEST(Fingerprint, IsThePersistentOne) {
  // It stands in segment headers: if this changes, old stores mismatch their own specs.
  constexpr std::array<unsigned, 4> kFirst = {0xE6, 0xA2, 0xB3, 0x8D};
  const Fingerprint sum = fingerprint(samples::spec());
  for (std::size_t i = 0; i < kFirst.size(); ++i)
    EXPECT_EQ(std::to_integer<unsigned>(sum.bytes[i]), kFirst[i]);
}

TEST(CheckModelSpec, RejectsEachIllegalValueNamingTheField) {
  const auto with = [](auto change) {
    auto spec = samples::spec();
    change(spec);
    return spec;
  };
  const std::pair<ModelSpec, std::string> illegal[] = {
      {with([](auto& s) { s.dim = 0; }), "dim"},
      {with([](auto& s) { s.dim = kDimMax + 1; }), "dim"},
      {with([](auto& s) { s.role = Role{}; }), "role"},
      {with([](auto& s) { s.dtype = Dtype{7}; }), "dtype"},
      {with([](auto& s) { s.metric = Metric{}; }), "metric"},
      {with([](auto& s) { s.model = std::string(kModelSpecBytesMax, 'm'); }), "model"},
      {with([](auto& s) { s.parameters = std::string(70'000, 'p'); }), "parameters"},
  };
  for (const auto& [spec, field] : illegal) {
    EXPECT_EQ(refusal(spec), ErrorCode::kInvalidArgument);
    EXPECT_NE(check_model_spec(spec).error().message().find(field), std::string::npos) << field;
  }
}

TEST(CheckModelSpec, WantsWholeBytesForB1) {
  auto spec = samples::spec(Dtype::kB1);
  spec.dim = 12;
  EXPECT_EQ(refusal(spec), ErrorCode::kInvalidArgument);
}

TEST(CheckModelSpec, KnowsNoUnitNormForIntegers) {
  for (const Dtype dtype : {Dtype::kI8, Dtype::kU8, Dtype::kB1}) {
    auto spec = samples::spec(dtype);
    spec.unit_norm = true;
    EXPECT_EQ(refusal(spec), ErrorCode::kInvalidArgument) << to_string(dtype);
  }
}

TEST(CheckModelSpec, TheLongestSpecIsTwoThousandAndFortyEightBytes) {
  auto spec = samples::spec();
  spec.parameters.clear();
  const std::size_t rest = encode_model_spec(spec).size();
  spec.parameters = std::string(kModelSpecBytesMax - rest, 'p');
  EXPECT_TRUE(check_model_spec(spec).has_value());
  EXPECT_EQ(encode_model_spec(spec).size(), kModelSpecBytesMax);
  EXPECT_TRUE(decode_model_spec(encode_model_spec(spec)).has_value());
  spec.parameters += 'p';
  EXPECT_EQ(refusal(spec), ErrorCode::kInvalidArgument);
}

TEST(DecodeModelSpec, TreatsEveryTruncationAndTrailingByteAsCorruption) {
  auto bytes = encode_model_spec(samples::spec());
  const auto decode = [](std::span<const std::byte> span) { return decode_model_spec(span); };
  testing::expect_every_truncation_fails(bytes, decode);
  bytes.push_back(std::byte{0});
  EXPECT_EQ(code_of(decode_model_spec(bytes)), ErrorCode::kCorruption);
}

TEST(DecodeModelSpec, TreatsValuesOutOfRangeAsCorruption) {
  // encoding, role, dtype, metric, unit_norm as u16 at 0, 2, 4, 6, 8; dim as u32 at 10.
  for (const std::size_t offset : {0U, 2U, 4U, 6U, 8U}) {
    auto bytes = encode_model_spec(samples::spec());
    bytes[offset + 1] = std::byte{0x40};
    EXPECT_EQ(code_of(decode_model_spec(bytes)), ErrorCode::kCorruption) << offset;
  }
  auto bytes = encode_model_spec(samples::spec());
  bytes[10] = std::byte{0};
  EXPECT_EQ(code_of(decode_model_spec(bytes)), ErrorCode::kCorruption);
}

TEST(Difference, NamesEachFieldThatDiffersWithBothValues) {
  auto here = samples::spec();
  here.dim = 384;
  here.metric = Metric::kL2;
  auto stored = samples::spec();
  stored.dim = 768;
  EXPECT_EQ(difference(here, stored),
            "dim: 384 here, 768 in the store; metric: l2 here, cosine in the store");
  EXPECT_EQ(difference(stored, stored), "");
}

}  // namespace
}  // namespace vectolith::format
