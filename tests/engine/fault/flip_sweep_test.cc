/// @file
/// Every byte of a small store is damaged in turn: fsck tells of it, nothing dies, no wrong vector is served.
///
/// The store is written by the engine into memory and closed; it has two families of vectors, one of records,
/// sealed and suspended segments, replaced and erased keys. Swept are all bytes that are not zero, and of the
/// zeros in regions that sums cover every 64th (every bit of every header goes through its decoder). Lengths:
/// every 512 bytes (65,536 in files above 256 KiB) and around the bounds of every sector in use; every 64 of
/// STORE.
#include <functional>
#include <iostream>
#include <set>

#include <vectolith/format/journal.h>
#include <vectolith/format/manifest.h>
#include <vectolith/format/superblock.h>

#include "engine/fault/memory_environment.h"
#include "engine/verify/repairable_store.h"

namespace vectolith::testing {
namespace {

using namespace format;

constexpr std::uint64_t kSectorBytes = 512;

/// What a family of these stores holds under which key.
struct Held {
  std::string family;
  std::uint64_t key = 0;
  std::vector<std::byte> bytes;        ///< Empty: erased.
  std::vector<std::byte> older_bytes;  ///< Of the version that it replaced.
};

/// A store in memory.
struct SweptStore {
  MemoryFiles files;
  std::shared_ptr<MemoryEnvironment> environment =
      std::make_shared<MemoryEnvironment>(test_environment(), files);
  std::vector<Held> held;

  Options options(bool read_only) const {
    Options options;
    options.create_if_missing = !read_only;
    options.read_only = read_only;
    options.segment_bytes_initial = options.segment_bytes_target = 64 << 10;
    options.environment = environment;
    return options;
  }
};

std::vector<std::byte> bytes_of(std::span<const std::byte> bytes) { return {bytes.begin(), bytes.end()}; }

/// Keys from `first` on into each family; some are replaced.
Result<void> put_all(Store& store, SweptStore& swept, std::uint64_t salt, std::uint64_t first) {
  VECTOLITH_TRY_ASSIGN(auto records, store.record_family("records"));
  for (const auto& [name, dim, rows] : {std::tuple("small", 4U, 9U), std::tuple("wide", 8U, 12U)}) {
    VECTOLITH_TRY_ASSIGN(auto family, store.family(name, small_spec(dim)));
    for (std::uint64_t key = first; key < first + rows; ++key) {
      Held held{.family = name, .key = key, .bytes = {}, .older_bytes = {}};
      for (std::uint64_t version = 0; version < (key % 4 == 1 ? 2U : 1U); ++version) {
        const auto vector = vector_of(key + salt, version, dim);
        held.older_bytes = std::exchange(held.bytes, bytes_of(std::as_bytes(std::span(vector))));
        VECTOLITH_TRY(family.put(key_of(key), std::span<const float>(vector), {.replace = true}));
      }
      swept.held.push_back(std::move(held));
    }
  }
  for (std::uint64_t key = first; key < first + 4; ++key) {
    const std::string text =
        std::string(20 + key % 8 * 40, static_cast<char>('a' + key % 26)) + std::to_string(salt + key * 977);
    VECTOLITH_TRY(records.put(key_of(key), text));
    swept.held.push_back({"records", key, bytes_of(std::as_bytes(std::span(text))), {}});
  }
  return store.sync();
}

Result<void> erase_one_of_each(Store& store, SweptStore& swept) {
  for (const char* name : {"small", "wide"}) {
    VECTOLITH_TRY_ASSIGN(auto family, store.family(name));
    VECTOLITH_TRY(family.erase(key_of(2)));
  }
  VECTOLITH_TRY_ASSIGN(auto records, store.existing_record_family("records"));
  VECTOLITH_TRY(records.erase(key_of(2)));
  for (Held& held : swept.held) {
    if (held.key == 2) held.bytes.clear();
  }
  return {};
}

std::unique_ptr<Store> open_for_writing(SweptStore& swept) {
  auto store = Store::open("/memory", swept.options(false));
  EXPECT_TRUE(store.has_value()) << store.error().to_string();
  return *std::move(store);
}

/// Written, killed, recovered (what was there is sealed now), written again and closed.
std::unique_ptr<SweptStore> make_store(std::uint64_t salt) {
  auto swept = std::make_unique<SweptStore>();
  auto store = open_for_writing(*swept);
  EXPECT_TRUE(store->intern_scope("tenant").has_value());
  EXPECT_TRUE(put_all(*store, *swept, salt, 0).has_value());
  MemoryFiles killed;
  for (const auto& [name, content] : swept->files)
    killed[name] = std::make_shared<std::vector<std::byte>>(*content);
  EXPECT_TRUE(store->close().has_value());
  store.reset();
  swept->files = std::move(killed);
  store = open_for_writing(*swept);
  EXPECT_TRUE(erase_one_of_each(*store, *swept).has_value());
  EXPECT_TRUE(put_all(*store, *swept, salt, 100).has_value());
  EXPECT_TRUE(store->close().has_value());
  return swept;
}

/// What a store answered after damage.
struct Answers {
  std::uint64_t opened = 0, refused = 0;
  std::uint64_t right = 0, errors = 0, misses = 0;
  std::uint64_t stale = 0, revived = 0, wrong = 0;
};

class FlipSweep : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { store_ = make_store(0).release(); }
  static void TearDownTestSuite() {
    delete store_;
    store_ = nullptr;
  }

  static std::vector<std::byte>& bytes(const std::string& name) { return *store_->files.at(name); }
  static std::vector<std::string> names() {
    std::vector<std::string> names;
    for (const auto& [name, content] : store_->files) names.push_back(name);
    return names;
  }
  static FsckReport check() {
    auto report = fsck("/memory", {.on_progress = {}, .environment = store_->environment, .online = false});
    // A damaged version field that still sums up cannot be: nothing but damage is expected.
    EXPECT_TRUE(report.has_value()) << report.error().to_string();
    return report ? *std::move(report) : FsckReport{};
  }

  /// Opens the store for reading and asks for everything.
  static void look(Answers& answers) {
    auto store = Store::open("/memory", store_->options(true));
    if (!store) {
      ++answers.refused;
      return;
    }
    ++answers.opened;
    for (const Held& held : store_->held) ask(**store, held, answers);
    EXPECT_TRUE((*store)->close().has_value());
  }
  static void ask(Store& store, const Held& held, Answers& answers) {
    std::vector<std::byte> found;
    if (held.family == "records") {
      const auto family = store.existing_record_family(held.family);
      const auto got = family ? family->get(key_of(held.key)) : Result<std::optional<Record>>(std::nullopt);
      if (!got) return void(++answers.errors);
      if (*got) found = (*got)->payload;
    } else {
      const auto family = store.family(held.family);
      const auto got =
          family ? family->get(key_of(held.key)) : Result<std::optional<PinnedVector>>(std::nullopt);
      if (!got) return void(++answers.errors);
      if (*got) found = bytes_of((**got)->bytes());
    }
    if (found.empty()) return void(++answers.misses);
    if (held.bytes.empty()) return void(++answers.revived);
    if (found == held.bytes) return void(++answers.right);
    ++(found == held.older_bytes ? answers.stale : answers.wrong);
  }

  /// Where the last frame of the manifest begins: damage to it looks like a commit that did not end.
  static std::uint64_t last_frame() {
    const auto& image = bytes("MANIFEST-0");
    const auto header = *decode_manifest_header(image);
    std::uint64_t at = kManifestHeaderBytes, last = at;
    while (const auto frame = decode_frame(std::span(image).subspan(at), header.life, at)) {
      last = at;
      at += frame->frame_bytes;
    }
    return last;
  }
  static bool is_header(const std::string& name, std::uint64_t offset) {
    return offset < 4'096 || (name == "STORE" && offset < 8'192);
  }

  /// Flips a bit of each chosen byte; fsck must tell of each, and reads are judged where `reads` says so.
  static void sweep(const std::string& name, const std::function<bool(std::uint64_t)>& reads) {
    auto& content = bytes(name);
    Answers answers;
    std::uint64_t states = 0, told_as_info = 0;
    for (std::uint64_t offset = 0; offset < content.size(); ++offset) {
      const bool is_swept = content[offset] != std::byte{0} || (is_header(name, offset) && offset % 64 == 0);
      if (!is_swept) continue;
      const std::byte mask{static_cast<unsigned char>(1U << (offset * 5 % 8))};
      content[offset] ^= mask;
      const FsckReport report = check();
      if (report.clean()) {
        ++told_as_info;
        EXPECT_FALSE(report.findings.empty()) << name << " byte " << offset << ": fsck is silent";
        EXPECT_TRUE(name == "MANIFEST-0" && offset >= last_frame_) << name << " byte " << offset << "\n"
                                                                   << to_text(report);
      }
      if (reads(offset)) look(answers);
      content[offset] ^= mask;
      ++states;
    }
    EXPECT_GT(states, 0U) << name;
    EXPECT_EQ(answers.wrong, 0U) << name;
    // A damaged journal row is an erase that may be forgotten, a damaged meta row a version that nobody knows
    // of; fsck told of each.
    EXPECT_TRUE(answers.revived == 0 || name.ends_with(".vlj")) << name;
    EXPECT_TRUE(answers.stale == 0 || name.ends_with(".vls")) << name;
    std::cout << name << ": " << states << " flips, " << told_as_info << " told as unfinished; "
              << answers.opened << " opened, " << answers.refused << " refused, " << answers.right
              << " right, " << answers.errors << " errors, " << answers.misses << " misses, " << answers.stale
              << " stale, " << answers.revived << " revived, " << answers.wrong << " wrong\n";
  }
  static std::vector<std::string> segments(SegmentKind kind) {
    std::vector<std::string> found;
    for (const auto& name : names())
      if (name.ends_with(".vls") && decode_segment_header(bytes(name))->kind == kind) found.push_back(name);
    return found;
  }

  void SetUp() override {
    last_frame_ = last_frame();
    const FsckReport report = check();
    ASSERT_TRUE(report.findings.empty()) << to_text(report);
  }

  static inline SweptStore* store_ = nullptr;
  static inline std::uint64_t last_frame_ = 0;
};

TEST_F(FlipSweep, StartsFromAStoreThatHoldsEverythingAndHasEachKindOfFile) {
  Answers answers;
  look(answers);
  EXPECT_EQ(answers.right + 3, store_->held.size());
  EXPECT_EQ(answers.misses, 3U) << "the erased keys";
  EXPECT_EQ(answers.stale + answers.wrong + answers.revived + answers.errors, 0U);
  std::size_t sealed = 0;
  for (const auto& name : segments(SegmentKind::kVector)) {
    const auto header = *decode_segment_header(bytes(name));
    sealed += decode_segment_footer(std::span(bytes(name)).subspan(header.footer_offset, header.footer_bytes),
                                    header)
                      .has_value()
                  ? 1
                  : 0;
  }
  EXPECT_GE(sealed, 1U);
  EXPECT_GE(segments(SegmentKind::kVector).size(), sealed + 2) << "suspended ones too";
  for (const auto& [name, content] : store_->files) {
    if (name == "LOCK" || name == "MANIFEST-1") {
      EXPECT_TRUE(std::ranges::all_of(*content, [](std::byte b) { return b == std::byte{0}; })) << name;
    }
    EXPECT_FALSE(name.ends_with(".pool")) << "nothing is prepared in a closed store";
  }
}

TEST_F(FlipSweep, OfEveryBitOfEveryHeaderFailsItsDecoder) {
  std::uint64_t states = 0;
  for (const auto& name : names()) {
    auto& content = bytes(name);
    if (content.size() < 4'096 || name == "MANIFEST-1") continue;
    const auto decodes = [&](std::uint64_t at) {
      const auto header = std::span<const std::byte>(content).subspan(at, 4'096);
      return name == "STORE"          ? decode_superblock(header).has_value()
             : name.ends_with(".vls") ? decode_segment_header(header).has_value()
             : name.ends_with(".vlj") ? decode_journal_header(header).has_value()
                                      : decode_manifest_header(header).has_value();
    };
    for (std::uint64_t at = 0; at < (name == "STORE" ? 8'192U : 4'096U); at += 4'096) {
      ASSERT_TRUE(decodes(at)) << name;
      for (std::uint64_t bit = 0; bit < 4'096 * 8; ++bit, ++states) {
        const std::byte mask{static_cast<unsigned char>(1U << (bit % 8))};
        content[at + bit / 8] ^= mask;
        EXPECT_FALSE(decodes(at)) << name << " bit " << bit;
        content[at + bit / 8] ^= mask;
      }
    }
  }
  std::cout << states << " bits\n";
}

TEST_F(FlipSweep, OfTheSuperblock) {
  sweep("STORE", [](std::uint64_t offset) { return offset % 8 == 0; });
}

TEST_F(FlipSweep, OfTheManifest) {
  sweep("MANIFEST-0", [](std::uint64_t) { return true; });
}

TEST_F(FlipSweep, OfTheJournals) {
  for (const auto& name : names())
    if (name.ends_with(".vlj")) sweep(name, [](std::uint64_t) { return true; });
}

TEST_F(FlipSweep, OfRecordSegments) {
  for (const auto& name : segments(SegmentKind::kRecord)) sweep(name, [](std::uint64_t) { return true; });
}

/// Meta rows, headers and footers of vector segments are read after every fourth flip, vectors after every
/// 16th.
class FlipSweepOfVectors : public FlipSweep, public ::testing::WithParamInterface<std::size_t> {};

TEST_P(FlipSweepOfVectors, ServesNoWrongOne) {
  const auto all = segments(SegmentKind::kVector);
  if (GetParam() >= all.size()) GTEST_SKIP() << "only " << all.size() << " segments";
  const std::string& name = all[GetParam()];
  const auto header = *decode_segment_header(bytes(name));
  sweep(name, [&](std::uint64_t offset) {
    const bool is_vector = offset >= header.matrix_offset && offset < header.footer_offset;
    return offset % (is_vector ? 16 : 4) == 0;
  });
}

INSTANTIATE_TEST_SUITE_P(Segments, FlipSweepOfVectors, ::testing::Range(std::size_t{0}, std::size_t{4}));

/// Changes a copy of a file's bytes, looks, and puts the old ones back.
class DamageSweep : public FlipSweep {
 protected:
  void damaged(const std::string& name, const std::function<void(std::vector<std::byte>&)>& damage,
               const std::string& what, bool is_told = true) {
    const auto whole = store_->files.at(name);
    auto changed = std::make_shared<std::vector<std::byte>>(*whole);
    damage(*changed);
    if (*changed == *whole) return;
    store_->files[name] = changed;
    const FsckReport report = check();
    EXPECT_FALSE(is_told && report.findings.empty()) << name << ", " << what << ": fsck is silent";
    look(answers_);
    store_->files[name] = whole;
    ++states_;
  }
  void TearDown() override {
    EXPECT_EQ(answers_.wrong, 0U);
    EXPECT_GT(states_, 0U);
    std::cout << states_ << " states: " << answers_.opened << " opened, " << answers_.refused << " refused, "
              << answers_.right << " right, " << answers_.errors << " errors, " << answers_.misses
              << " misses, " << answers_.stale << " stale, " << answers_.revived << " revived, "
              << answers_.wrong << " wrong\n";
  }
  /// The sectors of `name` that hold anything.
  static std::vector<std::uint64_t> used_sectors(const std::string& name) {
    std::vector<std::uint64_t> used;
    const auto& content = bytes(name);
    for (std::uint64_t at = 0; at + kSectorBytes <= content.size(); at += kSectorBytes) {
      const auto sector = std::span(content).subspan(at, kSectorBytes);
      if (std::ranges::any_of(sector, [](std::byte b) { return b != std::byte{0}; })) used.push_back(at);
    }
    return used;
  }

  Answers answers_;
  std::uint64_t states_ = 0;
};

TEST_F(DamageSweep, OfSectorsZeroedSwappedAndDuplicated) {
  for (const auto& name : names()) {
    const auto used = used_sectors(name);
    for (std::size_t i = 0; i < used.size(); ++i) {
      const auto at = [&](std::vector<std::byte>& content, std::size_t sector) {
        return content.begin() + static_cast<std::ptrdiff_t>(used[sector]);
      };
      // A last frame that is zeros was never committed, as far as anybody can tell.
      const bool is_told = name != "MANIFEST-0" || used[i] + kSectorBytes <= last_frame_;
      damaged(
          name, [&](auto& content) { std::fill_n(at(content, i), kSectorBytes, std::byte{0}); }, "zeroed",
          is_told);
      if (i + 1 == used.size()) continue;
      damaged(
          name,
          [&](auto& content) {
            std::swap_ranges(at(content, i), at(content, i) + kSectorBytes, at(content, i + 1));
          },
          "swapped");
      damaged(
          name, [&](auto& content) { std::copy_n(at(content, i), kSectorBytes, at(content, i + 1)); },
          "duplicated", name != "MANIFEST-0" || used[i + 1] + kSectorBytes <= last_frame_);
    }
  }
}

TEST_F(DamageSweep, OfFilesCutShort) {
  for (const auto& name : names()) {
    const std::uint64_t size = bytes(name).size();
    std::set<std::uint64_t> lengths = {0, size - 1};
    for (const std::uint64_t at : used_sectors(name)) lengths.insert({at, at + 1, at + 511});
    for (std::uint64_t at = 0; at < size; at += size > 262'144 ? 65'536 : 512) lengths.insert(at);
    if (name == "STORE") {
      for (std::uint64_t at = 0; at < size; at += 64) lengths.insert(at);
    }
    // An unused manifest file may have any length.
    for (const std::uint64_t length : lengths)
      if (length < size)
        damaged(
            name, [&](auto& content) { content.resize(length); }, "cut to " + std::to_string(length),
            name != "MANIFEST-1");
  }
}

TEST_F(DamageSweep, OfFilesExchangedWithAnotherStore) {
  const auto other = make_store(1'000);
  for (const auto& name : names()) {
    if (!other->files.contains(name)) continue;
    damaged(name, [&](auto& content) { content = *other->files.at(name); }, "of another store");
  }
  // And between files of one store.
  for (const auto& name : names()) {
    for (const auto& from : names()) {
      if (from != name && bytes(from).size() > 0 &&
          from.substr(from.size() - 2) == name.substr(name.size() - 2))
        damaged(name, [&](auto& content) { content = bytes(from); }, "a copy of " + from);
    }
  }
}

TEST_F(DamageSweep, OfFilesThatAreMissing) {
  for (const auto& name : names()) {
    if (name == "LOCK") continue;
    const auto whole = store_->files.at(name);
    store_->files.erase(name);
    EXPECT_FALSE(check().clean()) << name;
    look(answers_);
    store_->files[name] = whole;
    ++states_;
  }
}

}  // namespace
}  // namespace vectolith::testing
