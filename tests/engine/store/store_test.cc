/// @file
/// Promises of Store: create, open, lock, families, interned ids, close.
#include <vectolith/store.h>

#include <filesystem>
#include <fstream>

#include <vectolith/format/superblock.h>

#include "store/store_impl.h"
#include "store_fixture.h"
#include "support/fault_environment.h"

namespace vectolith::testing {
namespace {

using Create = StoreTest;

TEST_F(Create, MakesAStoreThatOpensAgainEmpty) {
  open();
  EXPECT_TRUE(store_->families().empty());
  close();
  Options plain = options();
  plain.create_if_missing = false;
  open(plain);
  EXPECT_TRUE(store_->families().empty());
}

TEST_F(Create, RefusesADirectoryThatHoldsSomethingElse) {
  std::ofstream(directory_.file("thesis.txt")) << "mine";
  const auto opened = Store::open(directory_.path(), options());
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().code(), ErrorCode::kNotAStore);
  EXPECT_TRUE(std::filesystem::exists(directory_.file("thesis.txt")));
}

TEST_F(Create, RefusesToCreateOverAStore) {
  open();
  close();
  const auto created = Store::create(directory_.path(), options());
  ASSERT_FALSE(created.has_value());
  EXPECT_EQ(created.error().code(), ErrorCode::kExists);
}

TEST_F(Create, BeginsAnewWhereACrashCutACreationShort) {
  // What a crash between any two steps of a creation can leave behind.
  const std::vector<std::vector<std::string>> leftovers = {
      {"LOCK"}, {"LOCK", "MANIFEST-0"}, {"LOCK", "MANIFEST-0", "MANIFEST-1", "STORE.tmp"}};
  for (const auto& names : leftovers) {
    const TempDirectory directory;
    for (const auto& name : names) std::ofstream(directory.file(name)) << "torn";
    Options plain = options();
    plain.create_if_missing = false;
    const auto refused = Store::open(directory.path(), plain);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code(), ErrorCode::kNotAStore);
    const auto made = Store::create(directory.path(), options());
    ASSERT_TRUE(made.has_value()) << names.back() << ": " << made.error().to_string();
    EXPECT_TRUE((*made)->families().empty());
    EXPECT_FALSE(std::filesystem::exists(directory.file("STORE.tmp")));
  }
}

TEST_F(Create, NeverTakesAStoreThatLostItsSuperblockForAnEmptyDirectory) {
  open();
  auto docs = family();
  put(docs, 1);
  close();
  const TempDirectory aside;
  std::filesystem::rename(directory_.file("STORE"), aside.file("STORE"));
  for (const bool must_create : {false, true}) {
    const auto opened =
        must_create ? Store::create(directory_.path(), options()) : Store::open(directory_.path(), options());
    ASSERT_FALSE(opened.has_value());
    EXPECT_EQ(opened.error().code(), ErrorCode::kCorruption);
    EXPECT_TRUE(opened.error().file().ends_with("/STORE"));
  }
  std::filesystem::rename(aside.file("STORE"), directory_.file("STORE"));
  open();
  expect_holds(family(), 1);
}

// Story: two processes create the same store. The second has found the directory empty when the first makes
// its store, puts a row and closes; then the second gets the lock.
TEST_F(Create, OpensTheStoreThatAnotherCreatorFinishedMeanwhile) {
  const auto late = std::make_shared<FaultEnvironment>(environment_);
  bool met = false;
  late->decide([&](const DiskChange& change) {
    if (std::exchange(met, true)) return Verdict{};
    EXPECT_TRUE(change.path.ends_with("/LOCK")) << change.path;
    open();
    auto docs = family();
    put(docs, 1);
    close();
    return Verdict{};
  });
  Options with = options();
  with.environment = late;
  auto opened = Store::open(directory_.path(), with);
  ASSERT_TRUE(opened.has_value()) << opened.error().to_string();
  EXPECT_TRUE(met);
  expect_holds(*(*opened)->family("f"), 1);
}

TEST_F(Create, SaysExistsForADirectoryWithForeignFiles) {
  std::ofstream(directory_.file("thesis.txt")) << "mine";
  const auto created = Store::create(directory_.path(), options());
  ASSERT_FALSE(created.has_value());
  EXPECT_EQ(created.error().code(), ErrorCode::kExists);
  EXPECT_FALSE(std::filesystem::exists(directory_.file("LOCK")));
}

TEST_F(Create, RefusesOptionsOutOfRange) {
  Options bad = options();
  bad.segment_bytes_target = 1'024;
  const auto opened = Store::open(directory_.path(), bad);
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().code(), ErrorCode::kInvalidArgument);
}

using Open = StoreTest;

TEST_F(Open, RefusesADirectoryThatIsNoStore) {
  Options plain = options();
  plain.create_if_missing = false;
  const auto opened = Store::open(directory_.path(), plain);
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().code(), ErrorCode::kNotAStore);
}

TEST_F(Open, SaysNotFoundForAMissingDirectory) {
  Options plain = options();
  plain.create_if_missing = false;
  const auto opened = Store::open(directory_.file("nowhere"), plain);
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().code(), ErrorCode::kNotFound);
}

TEST_F(Open, RefusesASecondWriter) {
  open();
  const auto second = Store::open(directory_.path(), options());
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code(), ErrorCode::kLocked);
}

TEST_F(Open, ReadOnlyKnowsWhereTheStoresSequencesStand) {
  open();
  auto f = family();
  for (std::uint64_t i = 0; i < 5; ++i) put(f, i);
  const auto next = store_->stats().next_sequence;
  close();
  Options reader = options();
  reader.read_only = true;
  open(reader);
  EXPECT_EQ(store_->stats().next_sequence, next);
  EXPECT_EQ(store_->snapshot()->sequence().value, next - 1);
}

TEST_F(Open, LetsReadersInBesideAndAfterAWriter) {
  open();
  auto f = family();
  put(f, 1, 0, {.durability = Durability::kDurable});
  Options read_only = options();
  read_only.read_only = true;
  auto reader = Store::open(directory_.path(), read_only);
  ASSERT_TRUE(reader.has_value()) << reader.error().to_string();
  auto seen = (*reader)->family("f");
  ASSERT_TRUE(seen.has_value());
  expect_holds(*seen, 1);
  const auto refused = seen->put(key_of(2), std::span<const float>(vector_of(2)));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), ErrorCode::kReadOnly);
}

TEST_F(Open, RefusesAStoreOfANewerFormat) {
  open();
  close();
  auto bytes = read_file(directory_.file("STORE"));
  // Both copies get a newer major version and a sum that holds.
  for (const std::size_t copy : {std::size_t{0}, format::kSuperblockBytes}) {
    bytes[copy + 8] = std::byte{9};
    const auto sum = format::checksum64(std::span(bytes).subspan(copy, format::kSuperblockBytes - 8));
    std::memcpy(bytes.data() + copy + format::kSuperblockBytes - 8, &sum, sizeof(sum));
  }
  write_file(directory_.file("STORE"), bytes);
  const auto opened = Store::open(directory_.path(), options());
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().code(), ErrorCode::kUnsupported);
}

TEST_F(Open, NamesFsckWhenBothManifestsAreLost) {
  open();
  close();
  for (const char* name : {"MANIFEST-0", "MANIFEST-1"}) {
    auto bytes = read_file(directory_.file(name));
    bytes[100] ^= std::byte{1};
    write_file(directory_.file(name), bytes);
  }
  const auto opened = Store::open(directory_.path(), options());
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().code(), ErrorCode::kCorruption);
  EXPECT_NE(opened.error().to_string().find("fsck"), std::string::npos);
}

using Families = StoreTest;

TEST_F(Families, NameEachDifferenceOfAnotherSpec) {
  open();
  (void)family();
  auto other = small_spec(128);
  other.metric = Metric::kDot;
  const auto refused = store_->family("f", other);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), ErrorCode::kSpecMismatch);
  EXPECT_NE(refused.error().message().find("dim"), std::string::npos);
  EXPECT_NE(refused.error().message().find("metric"), std::string::npos);
}

TEST_F(Families, OfVectorsAndOfRecordsDoNotMix) {
  open();
  (void)family("vectors");
  ASSERT_TRUE(store_->record_family("records").has_value());
  EXPECT_EQ(store_->record_family("vectors").error().code(), ErrorCode::kWrongFamily);
  EXPECT_EQ(store_->family("records").error().code(), ErrorCode::kWrongFamily);
  EXPECT_EQ(store_->family("nobody").error().code(), ErrorCode::kNotFound);
}

TEST_F(Families, RefuseBadNamesAndSpecs) {
  open();
  for (const std::string& name :
       {std::string(), std::string("a/b"), std::string("a\nb"), std::string(256, 'x')}) {
    const auto made = store_->family(name, small_spec());
    ASSERT_FALSE(made.has_value()) << name;
    EXPECT_EQ(made.error().code(), ErrorCode::kInvalidArgument);
  }
  EXPECT_EQ(store_->family("f", small_spec(0)).error().code(), ErrorCode::kInvalidArgument);
}

TEST_F(Families, ThatAreDroppedFreeTheirFilesAndRefuseTheirHandles) {
  open();
  auto f = family();
  auto kept = family("kept", small_spec(32));
  for (std::uint64_t i = 0; i < 100; ++i) put(f, i);
  for (std::uint64_t i = 0; i < 10; ++i) put(kept, i);
  const auto pinned = f.get(key_of(7));
  ASSERT_TRUE(store_->drop_family("f").has_value());
  EXPECT_EQ(f.get(key_of(7)).error().code(), ErrorCode::kWrongFamily);
  EXPECT_EQ(f.put(key_of(7), std::span<const float>(vector_of(7))).error().code(), ErrorCode::kWrongFamily);
  EXPECT_TRUE(same_bytes(***pinned, vector_of(7))) << "a pinned view outlives its family";
  EXPECT_EQ(store_->drop_family("f").error().code(), ErrorCode::kNotFound);
  close();
  open();
  ASSERT_EQ(store_->families().size(), 1U);
  auto again = store_->family("kept");
  for (std::uint64_t i = 0; i < 10; ++i) expect_holds(*again, i);
}

TEST_F(Families, MayBeMadeAgainUnderTheNameOfADroppedOne) {
  open();
  auto f = family();
  put(f, 1);
  ASSERT_TRUE(store_->drop_family("f").has_value());
  auto again = family("f", small_spec(32));
  expect_missing(again, 1);
  put(again, 1);
  close();
  open();
  expect_holds(*store_->family("f"), 1);
}

TEST_F(Families, ServeEveryDtype) {
  open();
  const std::vector<std::pair<Dtype, std::uint8_t>> dtypes = {{Dtype::kF32, 0x3F},  {Dtype::kF16, 0x3C},
                                                              {Dtype::kBf16, 0x3F}, {Dtype::kI8, 0x81},
                                                              {Dtype::kU8, 0xFF},   {Dtype::kB1, 0xA5}};
  for (const auto& [dtype, fill] : dtypes) {
    auto spec = small_spec();
    spec.dtype = dtype;
    auto f = family(std::string(to_string(dtype)), spec);
    std::vector<std::byte> vector(spec.vector_bytes(), std::byte{fill});
    ASSERT_TRUE(f.put(key_of(1), vector).has_value()) << to_string(dtype);
  }
  close();
  open();
  for (const auto& [dtype, fill] : dtypes) {
    const auto f = store_->family(to_string(dtype));
    const auto got = f->get(key_of(1));
    ASSERT_TRUE(got.has_value() && got->has_value()) << to_string(dtype);
    EXPECT_EQ((**got)->bytes().size(), vector_bytes(dtype, kDim));
    for (const auto byte : (**got)->bytes()) EXPECT_EQ(byte, std::byte{fill});
  }
}

using Interned = StoreTest;

TEST_F(Interned, IdsAreStableAcrossRestarts) {
  open();
  const auto scope = store_->intern_scope("tenant-a");
  const auto chunker = store_->intern_chunker("words", 3);
  const auto build = store_->intern_build("model@1");
  EXPECT_EQ(store_->intern_scope("")->value, 0U);
  EXPECT_NE(*store_->intern_scope("tenant-b"), *scope);
  EXPECT_NE(*store_->intern_chunker("words", 4), *chunker);
  close();
  open();
  EXPECT_EQ(*store_->intern_scope("tenant-a"), *scope);
  EXPECT_EQ(*store_->intern_chunker("words", 3), *chunker);
  EXPECT_EQ(*store_->intern_build("model@1"), *build);
}

TEST_F(Interned, ScopesAndChunkersKeepEqualDigestsApart) {
  open();
  auto f = family();
  const auto scope = *store_->intern_scope("tenant-a");
  const auto chunker = *store_->intern_chunker("words", 1);
  const Key plain = key_of(1);
  const Key scoped{plain.digest, scope, ChunkerId(0)};
  const Key chunked{plain.digest, ScopeId(0), chunker};
  ASSERT_TRUE(f.put(plain, std::span<const float>(vector_of(1))).has_value());
  ASSERT_TRUE(f.put(scoped, std::span<const float>(vector_of(2))).has_value());
  ASSERT_TRUE(f.put(chunked, std::span<const float>(vector_of(3))).has_value());
  EXPECT_TRUE(same_bytes(***f.get(plain), vector_of(1)));
  EXPECT_TRUE(same_bytes(***f.get(scoped), vector_of(2)));
  EXPECT_TRUE(same_bytes(***f.get(chunked), vector_of(3)));
}

TEST_F(Interned, IdsThatWereNeverDefinedAreRefusedByEveryPut) {
  open();
  auto f = family();
  auto records = *store_->record_family("r");
  const auto scope = *store_->intern_scope("tenant");
  const auto chunker = *store_->intern_chunker("words", 3);
  const auto build = *store_->intern_build("b1");
  const auto vector = vector_of(1);
  const auto bytes = std::as_bytes(std::span(vector));
  for (const bool reopened : {false, true}) {
    if (reopened) {
      close();
      open();
      f = family();
      records = *store_->record_family("r");
    }
    const Key good{Digest::from_number(1), scope, chunker};
    const Key keys[] = {{good.digest, ScopeId(scope.value + 1), chunker},
                        {good.digest, scope, ChunkerId(chunker.value + 1)}};
    for (const auto& key : keys) {
      const std::vector<BatchRow> rows = {{good, bytes}, {key, bytes}};
      EXPECT_EQ(f.put(key, bytes).error().code(), ErrorCode::kInvalidArgument);
      EXPECT_EQ(f.submit_put(key, bytes).error().code(), ErrorCode::kInvalidArgument);
      EXPECT_EQ(f.put_batch(rows).error().code(), ErrorCode::kInvalidArgument);
      EXPECT_EQ(records.put(key, bytes).error().code(), ErrorCode::kInvalidArgument);
      EXPECT_FALSE(*f.contains(key));
    }
    const BuildId unknown(static_cast<std::uint16_t>(build.value + 1));
    const auto refused = f.put(good, bytes, {.build = unknown});
    ASSERT_FALSE(refused.has_value());
    EXPECT_NE(refused.error().to_string().find("embedder build id 2"), std::string::npos)
        << refused.error().to_string();
    EXPECT_EQ(f.size(), reopened ? 1U : 0U);
    EXPECT_TRUE(f.put(good, bytes, {.build = build}).has_value());
  }
}

using Close = StoreTest;

TEST_F(Close, MakesEveryLaterCallSayClosed) {
  open();
  auto f = family();
  put(f, 1);
  const auto pinned = f.get(key_of(1));
  auto records = store_->record_family("r");
  ASSERT_TRUE(store_->close().has_value());
  EXPECT_EQ(f.get(key_of(1)).error().code(), ErrorCode::kClosed);
  EXPECT_EQ(f.put(key_of(2), std::span<const float>(vector_of(2))).error().code(), ErrorCode::kClosed);
  EXPECT_EQ(f.erase(key_of(1)).error().code(), ErrorCode::kClosed);
  EXPECT_EQ(f.segments().error().code(), ErrorCode::kClosed);
  EXPECT_EQ(records->get(key_of(1)).error().code(), ErrorCode::kClosed);
  EXPECT_EQ(store_->sync().error().code(), ErrorCode::kClosed);
  EXPECT_EQ(store_->snapshot().error().code(), ErrorCode::kClosed);
  EXPECT_TRUE(store_->close().has_value()) << "closing twice is no error";
  store_.reset();
  EXPECT_TRUE(same_bytes(***pinned, vector_of(1))) << "a pinned view outlives the store";
}

TEST_F(Close, LetsTheNextWriterResumeTheSegmentAndLosesNoSpace) {
  for (std::uint64_t round = 0; round < 40; ++round) {
    open();
    auto f = family();
    put(f, round);
    close();
  }
  open();
  auto f = family();
  for (std::uint64_t round = 0; round < 40; ++round) expect_holds(f, round);
  EXPECT_EQ(store_->stats().families.front().segments, 1U);
}

}  // namespace
}  // namespace vectolith::testing
