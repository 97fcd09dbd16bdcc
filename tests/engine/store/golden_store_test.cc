/// @file
/// Whole stores written by version 1.0 open and hold every row that was put into them, for ever.
#include "support/golden_store.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <string_view>

#include <vectolith/verify.h>

#include "engine/store/store_fixture.h"

namespace vectolith::testing {
namespace {

/// The bytes of every file in a directory.
std::map<std::string, std::vector<std::byte>> files_of(const std::string& directory) {
  std::map<std::string, std::vector<std::byte>> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    files[entry.path().filename().string()] = read_file(entry.path().string());
  return files;
}

bool contains(std::span<const std::byte> bytes, std::string_view text) {
  const auto wanted = std::as_bytes(std::span(text));
  return !std::ranges::search(bytes, wanted).empty();
}

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

/// A copy of one golden store on the backend under test. The parameter names the store.
class GoldenStore : public StoreTest, public ::testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    const auto unpacked = std::filesystem::path(VECTOLITH_GOLDEN_STORES) / "v1" / GetParam();
    ASSERT_TRUE(std::filesystem::exists(unpacked / "STORE")) << unpacked;
    copy_files(unpacked.string(), directory_.path());
  }

  void open_golden(bool read_only) {
    Options with = options();
    with.create_if_missing = false;
    with.read_only = read_only;
    open(with);
    if (store_ != nullptr) find_ids();
  }

  /// The number of an interned name; 0 if the store does not know it.
  [[nodiscard]] std::uint32_t interned(format::InternedEntry::Table table, std::string_view name,
                                       std::uint32_t version) const {
    const auto entries = store_->interned();
    const auto found = std::ranges::find_if(entries, [&](const format::InternedEntry& entry) {
      return entry.table == table && entry.name == name && entry.version == version;
    });
    return found == entries.end() ? 0 : found->id;
  }

  void find_ids() {
    using Table = format::InternedEntry::Table;
    scope_ = ScopeId(interned(Table::kScope, kGoldenScope, 0));
    chunker_ = ChunkerId(interned(Table::kChunker, kGoldenChunker, kGoldenChunkerVersion));
    build_ = BuildId(static_cast<std::uint16_t>(interned(Table::kBuild, kGoldenBuild, 0)));
    EXPECT_TRUE(scope_.value != 0 && chunker_.value != 0 && build_.value != 0);
  }

  [[nodiscard]] Key golden_key(std::uint64_t number) const {
    Key key{.digest = Digest::from_number(number)};
    if (golden_has_scope(number)) {
      key.scope = scope_;
      key.chunker = chunker_;
    }
    return key;
  }

  void expect_row(const GoldenFamily& golden, const Family& family, std::uint64_t number,
                  const GoldenRow& row) {
    const auto got = family.get(golden_key(number));
    ASSERT_TRUE(got.has_value()) << got.error().to_string();
    ASSERT_TRUE(got->has_value()) << golden.name << " lost " << number;
    const VectorView& view = ***got;
    EXPECT_TRUE(std::ranges::equal(view.bytes(), golden_vector(golden, number, row.version)))
        << golden.name << " " << number;
    EXPECT_EQ(view.key(), golden_key(number));
    EXPECT_EQ(view.created_at_s(), row.created_at_s);
    EXPECT_EQ(view.build(), build_);
  }

  void expect_family(const GoldenFamily& golden) {
    const auto family = store_->family(golden.name);
    ASSERT_TRUE(family.has_value()) << family.error().to_string();
    EXPECT_EQ(family->spec(), golden.spec());
    const auto state = golden_state(golden_steps(golden.rows));
    EXPECT_EQ(family->size(), state.size()) << golden.name;
    for (std::uint64_t number = 0; number <= golden.rows + kGoldenBatchRows + 1; ++number) {
      const auto present = state.find(number);
      if (present != state.end()) {
        expect_row(golden, *family, number, present->second);
      } else {
        EXPECT_FALSE(family->contains(golden_key(number)).value()) << golden.name << " " << number;
      }
    }
    std::size_t rows = 0;
    const auto visited = family->for_each([&](const VectorView&) {
      ++rows;
      return true;
    });
    ASSERT_TRUE(visited.has_value()) << visited.error().to_string();
    EXPECT_EQ(rows, state.size()) << golden.name;
  }

  void expect_records() {
    const auto family = store_->existing_record_family(kGoldenRecords);
    ASSERT_TRUE(family.has_value()) << family.error().to_string();
    const auto state = golden_state(golden_record_steps());
    EXPECT_EQ(family->size(), state.size());
    for (std::uint64_t number = 0; number <= kGoldenRecordCount + 1; ++number) {
      const auto got = family->get(golden_key(number));
      ASSERT_TRUE(got.has_value()) << got.error().to_string();
      const auto present = state.find(number);
      ASSERT_EQ(got->has_value(), present != state.end()) << "record " << number;
      if (!got->has_value()) continue;
      const auto text = golden_text(number, present->second.version);
      EXPECT_TRUE(std::ranges::equal((*got)->payload, bytes_of(text))) << "record " << number;
      EXPECT_EQ((*got)->created_at_ms, present->second.created_at_s * 1'000);
    }
  }

  void expect_contents() {
    for (const auto& family : golden_families()) expect_family(family);
    expect_records();
    const auto dropped = store_->family(kGoldenDropped);
    ASSERT_FALSE(dropped.has_value());
    EXPECT_EQ(dropped.error().code(), ErrorCode::kNotFound);
    EXPECT_EQ(store_->families().size(), golden_families().size() + 1);
    EXPECT_EQ(store_->stats().damaged_rows, 0U);
    EXPECT_EQ(store_->stats().corruptions, 0U);
  }

  void expect_fsck_clean() {
    const auto report = fsck(directory_.path(), {.environment = environment_});
    ASSERT_TRUE(report.has_value()) << report.error().to_string();
    EXPECT_TRUE(report->clean());
    for (const auto& finding : report->findings) {
      EXPECT_NE(finding.severity, Finding::Severity::kDamage) << finding.file << ": " << finding.what;
    }
  }

  [[nodiscard]] bool was_killed() const { return std::string_view(GetParam()) == "killed"; }

  ScopeId scope_;
  ChunkerId chunker_;
  BuildId build_;
};

TEST_P(GoldenStore, HasEveryKindOfFileAndRecord) {
  // What the other tests prove is worth as much as what the stores contain.
  bool footer = false;
  bool zstd = false;
  std::size_t segments = 0;
  const auto files = files_of(directory_.path());
  for (const auto& [name, bytes] : files) {
    if (!name.ends_with(".vls")) continue;
    ++segments;
    footer = footer || contains(bytes, "VLITHFTR");
    zstd = zstd || contains(bytes, "\x28\xB5\x2F\xFD");
  }
  EXPECT_TRUE(footer) << "no segment is sealed";
  EXPECT_TRUE(zstd) << "no record is compressed";
  // One for each vector family and the records, and the sealed one beside its successor.
  EXPECT_GE(segments, golden_families().size() + 2);
  EXPECT_TRUE(files.contains("STORE") && files.contains("MANIFEST-0") && files.contains("LOCK"));
  EXPECT_TRUE(std::ranges::any_of(files, [](const auto& file) { return file.first.ends_with(".vlj"); }));
}

TEST_P(GoldenStore, ReadsAsItWasWrittenAndReadingChangesNoByte) {
  const auto before = files_of(directory_.path());
  expect_fsck_clean();
  open_golden(true);
  expect_contents();
  close();
  EXPECT_TRUE(files_of(directory_.path()) == before);
}

TEST_P(GoldenStore, OpensForWritingAndTakesNewRows) {
  open_golden(false);
  expect_contents();
  const bool recovered =
      std::ranges::any_of(events_, [](const Event& event) { return event.kind == Event::Kind::kRecovered; });
  EXPECT_EQ(recovered, was_killed());
  EXPECT_EQ(store_->stats().recovered_rows > 0, was_killed());
  close();
  expect_fsck_clean();

  // What opening made of it reads the same, and goes on.
  open_golden(false);
  expect_contents();
  const auto& golden = golden_families().front();
  auto family = store_->family(golden.name).value();
  const auto vector = golden_vector(golden, 5'000, 0);
  ASSERT_TRUE(family.put(Key{.digest = Digest::from_number(5'000)}, vector).value().stored);
  ASSERT_TRUE(family.erase(Key{.digest = Digest::from_number(5'000)}).value().existed);
  EXPECT_EQ(store_->intern_scope(kGoldenScope).value(), scope_);
  close();
  open_golden(true);
  expect_contents();
  close();
  expect_fsck_clean();
}

INSTANTIATE_TEST_SUITE_P(V1, GoldenStore, ::testing::Values("clean", "killed"),
                         [](const auto& parameter) { return std::string(parameter.param); });

}  // namespace
}  // namespace vectolith::testing
