/// @file
/// A small store of the engine with a model of what it holds, to be damaged, repaired and salvaged.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <vectolith/format/file_name.h>
#include <vectolith/store.h>
#include <vectolith/verify.h>

#include "engine/store/store_fixture.h"
#include "engine/verify/tiny_store.h"
#include "support/temp_directory.h"

namespace vectolith::testing {

/// What a look into a store found of the model.
struct Contents {
  std::uint64_t present = 0;
  std::uint64_t missing = 0;  ///< Also where a get says kCorruption.
  std::uint64_t stale = 0;    ///< An older version than the last acknowledged one answered.
  std::uint64_t foreign = 0;  ///< Bytes that were never put under the key.
  std::uint64_t revived = 0;  ///< An erased key answered.
};

/// Keys [0, kKeys) of two vector families and one of records: some replaced, some erased.
class RepairableStore : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kKeys = 240;
  static constexpr std::uint32_t kSmallDim = 16;

  Options options() const {
    Options options;
    options.create_if_missing = true;
    options.segment_bytes_initial = options.segment_bytes_target = 64 << 10;
    options.environment = environment_;
    return options;
  }
  static std::uint64_t last_version(std::uint64_t key) { return key % 7 == 3 ? 1 : 0; }
  static bool is_erased(std::uint64_t key) { return key % 11 == 5; }
  static std::string text_of(std::uint64_t key, std::uint64_t version) {
    return "record " + std::to_string(key) + " version " + std::to_string(version) +
           std::string(key % 90, '.');
  }
  /// Ends in no zeros: those stand everywhere, behind any byte that happens to be `key`.
  static Digest digest_of(std::uint64_t key) {
    Digest digest = Digest::from_number(key);
    digest.bytes.back() = std::byte{0xFF};
    return digest;
  }
  static Key scoped(std::uint64_t key, ScopeId scope) { return {digest_of(key), scope, ChunkerId(0)}; }

  static Result<void> fill(Store& store) {
    VECTOLITH_TRY_ASSIGN(const ScopeId scope, store.intern_scope("tenant"));
    VECTOLITH_TRY_ASSIGN(auto first, store.family("first", small_spec(kSmallDim)));
    VECTOLITH_TRY_ASSIGN(auto second, store.family("second", small_spec(kSmallDim * 2)));
    VECTOLITH_TRY_ASSIGN(auto records, store.record_family("records"));
    for (std::uint64_t version = 0; version < 2; ++version) {
      for (std::uint64_t key = 0; key < kKeys; ++key) {
        if (version > last_version(key)) continue;
        const WriteOptions with{.replace = true};
        for (Family* family : {&first, &second}) {
          const auto vector = vector_of(key, version, family->spec().dim);
          VECTOLITH_TRY(family->put(scoped(key, scope), std::span<const float>(vector), with));
        }
        VECTOLITH_TRY(records.put(scoped(key, scope), text_of(key, version), with));
      }
    }
    for (std::uint64_t key = 0; key < kKeys; ++key) {
      if (!is_erased(key)) continue;
      VECTOLITH_TRY(first.erase(scoped(key, scope)));
      VECTOLITH_TRY(second.erase(scoped(key, scope)));
      VECTOLITH_TRY(records.erase(scoped(key, scope)));
    }
    return store.sync();
  }

  void SetUp() override {
    auto store = Store::open(temp_.path(), options());
    ASSERT_TRUE(store.has_value()) << store.error().to_string();
    const auto filled = fill(**store);
    ASSERT_TRUE(filled.has_value()) << filled.error().to_string();
    copy_files(temp_.path(), killed_.path());
    ASSERT_TRUE((*store)->close().has_value());
  }

  /// Looks at every key of one family; the name may have been lost.
  static void look(Store& store, const FamilyInfo& info, Contents& contents) {
    for (std::uint64_t key = 0; key < kKeys; ++key) {
      std::optional<std::vector<std::byte>> bytes;
      const Key wanted = scoped(key, ScopeId(1));
      if (info.kind == format::SegmentKind::kVector) {
        const auto got = store.family(info.name)->get(wanted);
        if (got && *got) bytes.emplace((**got)->bytes().begin(), (**got)->bytes().end());
      } else {
        const auto got = store.existing_record_family(info.name)->get(wanted);
        if (got && *got) bytes = (*got)->payload;
      }
      judge(info, key, bytes, contents);
    }
  }
  static std::vector<std::byte> expected(const FamilyInfo& info, std::uint64_t key, std::uint64_t version) {
    if (info.kind == format::SegmentKind::kVector) {
      const auto vector = vector_of(key, version, info.spec.dim);
      const auto bytes = std::as_bytes(std::span(vector));
      return {bytes.begin(), bytes.end()};
    }
    const std::string text = text_of(key, version);
    const auto bytes = std::as_bytes(std::span(text));
    return {bytes.begin(), bytes.end()};
  }
  static void judge(const FamilyInfo& info, std::uint64_t key,
                    const std::optional<std::vector<std::byte>>& bytes, Contents& contents) {
    if (!bytes) {
      contents.missing += is_erased(key) ? 0 : 1;
    } else if (is_erased(key)) {
      ++contents.revived;
    } else if (*bytes == expected(info, key, last_version(key))) {
      ++contents.present;
    } else if (last_version(key) == 1 && *bytes == expected(info, key, 0)) {
      ++contents.stale;
    } else {
      ++contents.foreign;
    }
  }
  static Contents look(Store& store) {
    Contents contents;
    for (const FamilyInfo& info : store.families()) look(store, info, contents);
    return contents;
  }
  /// Opens the store in `path`, looks at everything, and closes it.
  Contents open_and_look(const std::string& path, bool read_only = false) const {
    Options with = options();
    with.read_only = read_only;
    auto store = Store::open(path, with);
    EXPECT_TRUE(store.has_value()) << store.error().to_string();
    if (!store) return {};
    const Contents contents = look(**store);
    EXPECT_TRUE((*store)->close().has_value());
    return contents;
  }
  static std::uint64_t live_keys() {
    std::uint64_t live = 0;
    for (std::uint64_t key = 0; key < kKeys; ++key) live += is_erased(key) ? 0 : 1;
    return 3 * live;
  }

  FsckReport check(const std::string& path) const {
    auto report = fsck(path, {.on_progress = {}, .environment = environment_, .online = false});
    EXPECT_TRUE(report.has_value()) << report.error().to_string();
    return report ? *std::move(report) : FsckReport{};
  }
  RepairReport mend(const std::string& path, bool apply = true,
                    std::map<FamilyId, std::string> names = {}) const {
    auto report =
        repair(path, {.apply = apply, .family_names = std::move(names), .environment = environment_});
    EXPECT_TRUE(report.has_value()) << report.error().to_string();
    return report ? *std::move(report) : RepairReport{};
  }
  static void flip(const std::string& path, std::uint64_t offset, std::byte mask = std::byte{1}) {
    auto bytes = read_file(path);
    ASSERT_LT(offset, bytes.size()) << path;
    bytes[offset] ^= mask;
    write_file(path, bytes);
  }
  /// Names in `path` that end with `suffix`, sorted.
  static std::vector<std::string> names(const std::string& path, const std::string& suffix) {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
      const std::string name = entry.path().filename();
      if (format::parse_name(name) && name.ends_with(suffix)) found.push_back(name);
    }
    std::ranges::sort(found);
    return found;
  }
  static format::SegmentHeader header_of(const std::string& file) {
    return *format::decode_segment_header(read_file(file));
  }

  std::shared_ptr<engine::Environment> environment_ = test_environment();
  TempDirectory temp_;    ///< The store, cleanly closed.
  TempDirectory killed_;  ///< The store as a kill -9 leaves it.
};

/// The actions of a repair, a line each, for failure messages.
inline std::string to_text(const RepairReport& report) {
  std::string text = std::to_string(report.actions.size()) + " actions\n";
  for (const RepairAction& action : report.actions)
    text += std::to_string(static_cast<int>(action.kind)) + " " + action.file + ": " + action.what + "\n";
  return text;
}

}  // namespace vectolith::testing
