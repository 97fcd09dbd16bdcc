/// @file
/// What all four 4 KiB headers have in common: damage, versions, features and reserved bytes.
#include <array>
#include <cstring>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include <vectolith/format/checksum.h>
#include <vectolith/format/describe.h>

#include "format/damage.h"
#include "format/format_samples.h"

namespace vectolith::format {
namespace {

constexpr std::size_t kHeaderBytes = 4'096;

/// Whether a decoder accepts, and with which error it does not.
using Verdict = Result<bool>;
struct HeaderCase {
  std::string_view struct_name;
  std::vector<std::byte> (*encode)();
  Verdict (*decode)(std::span<const std::byte>);
};

template <class Decoded>
Verdict verdict(Decoded decoded) {
  if (!decoded.has_value()) return std::unexpected(decoded.error());
  return true;
}

std::vector<std::byte> to_vector(std::span<const std::byte> bytes) { return {bytes.begin(), bytes.end()}; }

std::vector<std::byte> first_copy(std::vector<std::byte> file) {
  file.resize(kHeaderBytes);
  return file;
}

const HeaderCase kCases[] = {
    {"Superblock", [] { return first_copy(encode_superblock(samples::superblock())); },
     [](std::span<const std::byte> bytes) { return verdict(decode_superblock(bytes)); }},
    {"SegmentHeader", [] { return to_vector(encode_segment_header(samples::vector_header())); },
     [](std::span<const std::byte> bytes) { return verdict(decode_segment_header(bytes)); }},
    {"SegmentHeader", [] { return to_vector(encode_segment_header(samples::record_header())); },
     [](std::span<const std::byte> bytes) { return verdict(decode_segment_header(bytes)); }},
    {"JournalHeader", [] { return to_vector(encode_journal_header(samples::journal_header())); },
     [](std::span<const std::byte> bytes) { return verdict(decode_journal_header(bytes)); }},
    {"ManifestHeader", [] { return to_vector(encode_manifest_header(samples::manifest_header())); },
     [](std::span<const std::byte> bytes) { return verdict(decode_manifest_header(bytes)); }},
};

class HeaderRules : public ::testing::TestWithParam<HeaderCase> {
 protected:
  static FieldInfo field(std::string_view name) {
    for (const auto& info : struct_table()) {
      if (info.name != GetParam().struct_name) continue;
      for (const auto& candidate : info.fields) {
        if (candidate.name == name) return candidate;
      }
    }
    ADD_FAILURE() << "no field " << name;
    return {};
  }
  /// The sample with `value` in `name`, and a sum that holds again.
  template <class T>
  static std::vector<std::byte> with(std::string_view name, T value) {
    auto bytes = GetParam().encode();
    std::memcpy(bytes.data() + field(name).offset, &value, sizeof(value));
    return resummed(std::move(bytes));
  }
  static std::vector<std::byte> resummed(std::vector<std::byte> bytes) {
    const std::uint64_t sum = checksum64(std::span(bytes).first(kHeaderBytes - sizeof(std::uint64_t)));
    std::memcpy(bytes.data() + kHeaderBytes - sizeof(sum), &sum, sizeof(sum));
    return bytes;
  }
  static ErrorCode refusal(const std::vector<std::byte>& bytes) {
    const auto result = GetParam().decode(bytes);
    EXPECT_FALSE(result.has_value());
    return result.has_value() ? ErrorCode{} : result.error().code();
  }
};

TEST_P(HeaderRules, AcceptsWhatItWrote) { EXPECT_TRUE(GetParam().decode(GetParam().encode()).has_value()); }

TEST_P(HeaderRules, TreatsEveryTruncationAsCorruption) {
  testing::expect_every_truncation_fails(GetParam().encode(), GetParam().decode);
}

TEST_P(HeaderRules, TreatsEveryFlippedBitAsCorruption) {
  testing::expect_every_bit_flip_fails(GetParam().encode(), GetParam().decode);
}

TEST_P(HeaderRules, TreatsZerosAsCorruption) {
  EXPECT_EQ(refusal(std::vector<std::byte>(kHeaderBytes)), ErrorCode::kCorruption);
}

TEST_P(HeaderRules, ReadsANewerMinorVersion) {
  EXPECT_TRUE(GetParam().decode(with("version_minor", std::uint16_t{999})).has_value());
}

TEST_P(HeaderRules, RefusesANewerMajorVersionEvenIfItsReservedBytesAreInUse) {
  auto bytes = with("version_major", std::uint16_t{kVersionMajor + 1});
  EXPECT_EQ(refusal(bytes), ErrorCode::kUnsupported);
  bytes[kHeaderBytes - 9] = std::byte{1};
  EXPECT_EQ(refusal(resummed(bytes)), ErrorCode::kUnsupported);
}

TEST_P(HeaderRules, TellsADamagedVersionFromANewOne) {
  auto bytes = GetParam().encode();
  bytes[field("version_major").offset] = std::byte{2};
  EXPECT_EQ(refusal(bytes), ErrorCode::kCorruption);
}

TEST_P(HeaderRules, ReadsUnknownCompatibleAndReadOnlyCompatibleFeatures) {
  EXPECT_TRUE(GetParam().decode(with("compat", std::uint32_t{0x8000'0000})).has_value());
  EXPECT_TRUE(GetParam().decode(with("ro_compat", std::uint32_t{0x8000'0000})).has_value());
}

TEST_P(HeaderRules, RefusesUnknownIncompatibleFeatures) {
  EXPECT_EQ(refusal(with("incompat", std::uint32_t{1})), ErrorCode::kUnsupported);
  EXPECT_EQ(refusal(with("incompat", std::uint32_t{0x8000'0000})), ErrorCode::kUnsupported);
}

TEST_P(HeaderRules, RejectsAnyReservedByteThatIsNotZero) {
  for (const auto& info : struct_table()) {
    if (info.name != GetParam().struct_name) continue;
    for (const auto& candidate : info.fields) {
      if (!candidate.name.starts_with("reserved")) continue;
      for (std::size_t i = 0; i < candidate.bytes; ++i) {
        auto bytes = GetParam().encode();
        bytes[candidate.offset + i] = std::byte{1};
        ASSERT_EQ(refusal(resummed(bytes)), ErrorCode::kCorruption) << candidate.name << " + " << i;
      }
    }
  }
}

TEST_P(HeaderRules, RejectsAnotherHeaderSize) {
  const auto name = GetParam().struct_name == "Superblock" ? "superblock_bytes" : "header_bytes";
  EXPECT_EQ(refusal(with(name, std::uint32_t{8'192})), ErrorCode::kCorruption);
}

TEST_P(HeaderRules, RejectsTheMagicOfAnotherFile) {
  for (const auto& other : kCases) {
    if (other.struct_name == GetParam().struct_name) continue;
    EXPECT_EQ(refusal(other.encode()), ErrorCode::kCorruption) << other.struct_name;
  }
}

INSTANTIATE_TEST_SUITE_P(Every, HeaderRules, ::testing::ValuesIn(kCases), [](const auto& instance) {
  return std::string(instance.param.struct_name) + std::to_string(instance.index);
});

}  // namespace
}  // namespace vectolith::format
