/// @file
/// Digests: hexadecimal both ways, numbers, and content hashing that stays as it is on disk.
#include <vectolith/format/key.h>

#include <string>

#include <gtest/gtest.h>

#include "format/format_samples.h"

namespace vectolith {
namespace {

TEST(Digest, HexadecimalReadsBack) {
  const Digest digest = Digest::xxh3("some text");
  const std::string hex = digest.to_hex();
  ASSERT_EQ(hex.size(), 64U);
  EXPECT_EQ(Digest::from_hex(hex).value(), digest);
  std::string upper = hex;
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  EXPECT_EQ(Digest::from_hex(upper).value(), digest);
}

TEST(Digest, RejectsTextThatIsNotSixtyFourHexadecimalDigits) {
  const std::string good(64, 'a');
  for (const std::string& bad :
       {std::string(), good.substr(1), good + "a", "g" + good.substr(1), good.substr(1) + " "}) {
    const auto digest = Digest::from_hex(bad);
    ASSERT_FALSE(digest.has_value()) << bad;
    EXPECT_EQ(digest.error().code(), ErrorCode::kInvalidArgument);
  }
}

TEST(Digest, FromNumberIsLittleEndianInTheFirstEightBytes) {
  EXPECT_EQ(Digest::from_number(0x0102).to_hex(), "0201" + std::string(60, '0'));
}

TEST(Digest, ContentHashIsThePersistentOne) {
  // These stand in stores: a change of seeds or byte order would orphan every row keyed by xxh3.
  EXPECT_EQ(Digest::xxh3("vectolith").to_hex(),
            "31f96bf40faa8f7ccd23e9da4ea406eecdb334167fdadb9c8344dd7818e18312");
  EXPECT_NE(Digest::xxh3(""), Digest{});
}

TEST(Digest, BothHalvesOfAContentHashDiffer) {
  const std::string hex = Digest::xxh3("x").to_hex();
  EXPECT_NE(hex.substr(0, 32), hex.substr(32));
}

TEST(Key, EqualityNeedsDigestScopeAndChunker) {
  const Key key = format::samples::key(1);
  EXPECT_EQ(key, format::samples::key(1));
  EXPECT_NE(key, format::samples::key(2));
  EXPECT_NE(key, (Key{.digest = key.digest, .scope = ScopeId(0), .chunker = key.chunker}));
  EXPECT_NE(key, (Key{.digest = key.digest, .scope = key.scope, .chunker = ChunkerId(0)}));
}

}  // namespace
}  // namespace vectolith
