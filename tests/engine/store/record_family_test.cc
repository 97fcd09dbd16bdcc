/// @file
/// Promises of RecordFamily: variable-length records with the keys and levels of vectors.
#include <map>

#include <vectolith/store.h>

#include "store_fixture.h"

namespace vectolith::testing {
namespace {

std::string text_of(std::uint64_t number, std::uint64_t version = 0) {
  std::string text = "record " + std::to_string(number) + "/" + std::to_string(version) + ": ";
  // Some compress, some don't; lengths cross the 64-byte units.
  for (std::uint64_t i = 0; i < number * 13 % 700; ++i)
    text += number % 2 == 0 ? 'a' : static_cast<char>('!' + (i * i * 31 + number) % 90);
  return text;
}

class Records : public StoreTest {
 protected:
  RecordFamily records() { return *store_->record_family("r"); }
  static void expect_text(const RecordFamily& family, std::uint64_t number, std::uint64_t version) {
    const auto got = family.get(key_of(number));
    ASSERT_TRUE(got.has_value()) << got.error().to_string();
    ASSERT_TRUE(got->has_value()) << number;
    const auto& payload = (*got)->payload;
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(payload.data()), payload.size()),
              text_of(number, version));
  }
};

TEST_F(Records, SurviveReplaceEraseCloseAndOpen) {
  Options small = options();
  small.segment_bytes_initial = small.segment_bytes_target = 1 << 20;
  open(small);
  auto r = records();
  for (std::uint64_t i = 0; i < 4'000; ++i) ASSERT_TRUE(r.put(key_of(i), text_of(i)).has_value()) << i;
  for (std::uint64_t i = 0; i < 4'000; i += 3)
    ASSERT_TRUE(r.put(key_of(i), text_of(i, 1), {.replace = true})->stored);
  for (std::uint64_t i = 0; i < 4'000; i += 7) ASSERT_TRUE(r.erase(key_of(i))->existed);
  EXPECT_FALSE(r.put(key_of(1), "other")->stored);
  const auto check = [&] {
    const auto family = records();
    for (std::uint64_t i = 0; i < 4'000; ++i) {
      if (i % 7 == 0) {
        EXPECT_FALSE(family.get(key_of(i))->has_value()) << i;
      } else {
        expect_text(family, i, i % 3 == 0 ? 1 : 0);
      }
    }
    std::map<Key, int> seen;
    EXPECT_TRUE(family
                    .for_each([&](const Record& record) {
                      ++seen[record.key];
                      return true;
                    })
                    .has_value());
    EXPECT_EQ(seen.size(), family.size());
  };
  check();
  close();
  open(small);
  check();
}

TEST_F(Records, MayBeEmptyAndHaveALimit) {
  open();
  auto r = records();
  ASSERT_TRUE(r.put(key_of(1), "").has_value());
  EXPECT_TRUE(r.get(key_of(1))->value().payload.empty());
  EXPECT_EQ(r.put(key_of(2), std::string((16 << 20) + 1, 'x')).error().code(), ErrorCode::kInvalidArgument);
  close();
  open();
  EXPECT_TRUE(*records().contains(key_of(1)));
}

TEST_F(Records, AreRecoveredFromACopyTakenWhileTheStoreWasOpen) {
  open();
  auto r = records();
  for (std::uint64_t i = 0; i < 500; ++i) ASSERT_TRUE(r.put(key_of(i), text_of(i)).has_value());
  TempDirectory copy;
  copy_files(directory_.path(), copy.path());
  auto reopened = Store::open(copy.path(), options());
  ASSERT_TRUE(reopened.has_value()) << reopened.error().to_string();
  const auto family = *(*reopened)->existing_record_family("r");
  for (std::uint64_t i = 0; i < 500; ++i) expect_text(family, i, 0);
}

}  // namespace
}  // namespace vectolith::testing
