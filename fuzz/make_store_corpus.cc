/// @file
/// Writes the corpus of fuzz_store: `make_store_corpus OUT` makes tiny stores, `... OUT NAME DIRECTORY` packs
/// one.
#include <cstdio>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <vectolith/store.h>

#include "engine/verify/tiny_store.h"
#include "store_pack.h"
#include "support/store_builder.h"
#include "support/temp_directory.h"

namespace vectolith::fuzz {
namespace {

using namespace testing;

constexpr std::uint32_t kRows = 5;

void write_pack(const std::string& out, const std::string& name, const std::string& directory) {
  std::vector<PackedEntry> entries;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (!entry.is_regular_file()) continue;
    entries.push_back({entry.path().filename(), EntryKind::kFile, read_file(entry.path())});
  }
  std::ranges::sort(entries, {}, &PackedEntry::name);
  write_file(out + "/" + name, pack(entries));
}

/// A store made byte by byte.
void build(const std::string& out, const std::string& name,
           const std::function<void(StoreBuilder&, const Basics&)>& fill) {
  const TempDirectory directory;
  StoreBuilder builder;
  const Basics basics = add_basics(builder);
  fill(builder, basics);
  builder.write(directory.path());
  write_pack(out, name, directory.path());
}

void build_phases(const std::string& out) {
  build(out, "empty", [](StoreBuilder&, const Basics&) {});
  build(out, "active", [](StoreBuilder& builder, const Basics& basics) {
    builder.add(vectors(builder, basics.vectors, 1, kRows), {});
    std::uint32_t units = 0;
    builder.add(records(builder, basics.records, 20, units), {});
  });
  build(out, "suspended", [](StoreBuilder& builder, const Basics& basics) {
    auto segment = vectors(builder, basics.vectors, 1, kRows);
    builder.add(segment, {format::SuspendSegment{segment.header.segment_id, kRows}});
    std::uint32_t units = 0;
    auto text = records(builder, basics.records, 20, units);
    builder.add(text, {format::SuspendSegment{text.header.segment_id, units}});
    builder.edit(format::CleanClose{Sequence(50), 0});
  });
  build(out, "sealed", [](StoreBuilder& builder, const Basics& basics) {
    auto segment = vectors(builder, basics.vectors, 1, kRows);
    segment.seal(kRows, {}, interned(true));
    builder.add(segment, {segment.seal_edit()});
    std::uint32_t units = 0;
    auto text = records(builder, basics.records, 20, units);
    text.seal(units, {}, interned(false));
    builder.add(text, {text.seal_edit()});
  });
  build(out, "frozen", [](StoreBuilder& builder, const Basics& basics) {
    auto segment = vectors(builder, basics.vectors, 1, kRows);
    segment.bytes[segment.vector_offset(2)] ^= std::byte{1};
    builder.add(segment, {format::FreezeSegment{segment.header.segment_id, kRows, 1, {{2, 2}}}});
  });
  build(out, "journal", [](StoreBuilder& builder, const Basics& basics) {
    auto segment = vectors(builder, basics.vectors, 1, kRows);
    const Key first{
        .digest = Digest::from_number(1ULL << 32 | 1), .scope = ScopeId(1), .chunker = ChunkerId(1)};
    builder.add(segment, {});
    builder.add_journal(
        {format::JournalRow::erase(first, basics.vectors, Sequence(40), ManifestVersion(2)),
         format::JournalRow::watermark(segment.header.segment_id, 3, Sequence(41), ManifestVersion(2))});
  });
  build(out, "batch", [](StoreBuilder& builder, const Basics& basics) {
    auto segment = builder.make_segment(basics.vectors);
    using namespace format;
    segment.put_row(0, {.sequence = Sequence(1)});
    segment.put_row(1,
                    {.sequence = Sequence(2), .flags = kRowBatchBegin | kRowBatchMember, .lag_or_count = 3});
    segment.put_row(2, {.sequence = Sequence(3), .flags = kRowBatchMember});
    segment.put_row(3, {.sequence = Sequence(4), .flags = kRowBatchMember | kRowBatchEnd});
    builder.add(segment, {});
  });
}

Result<void> fill(Store& store) {
  ModelSpec spec;
  spec.model = "m";
  spec.dim = 4;
  VECTOLITH_TRY_ASSIGN(const auto scope, store.intern_scope("tenant"));
  VECTOLITH_TRY_ASSIGN(auto family, store.family("v", spec));
  VECTOLITH_TRY_ASSIGN(auto text, store.record_family("r"));
  WriteOptions durable;
  durable.durability = Durability::kDurable;
  for (std::uint64_t number = 1; number <= kRows; ++number) {
    const Key key{.digest = Digest::from_number(number), .scope = scope, .chunker = {}};
    const std::vector<float> vector(4, static_cast<float>(number));
    VECTOLITH_TRY(family.put(key, std::span<const float>(vector), durable));
    VECTOLITH_TRY(text.put(key, std::string(40 * number, 't'), durable));
  }
  VECTOLITH_TRY(family.erase({.digest = Digest::from_number(2), .scope = scope, .chunker = {}}));
  return {};
}

/// What the engine itself leaves, in use and closed.
Result<void> write_real(const std::string& out) {
  const TempDirectory directory;
  Options options;
  options.create_if_missing = true;
  options.segment_bytes_initial = options.segment_bytes_target = 65'536;
  options.io = IoChoice::kSync;
  VECTOLITH_TRY_ASSIGN(auto store, Store::open(directory.path(), options));
  VECTOLITH_TRY(fill(*store));
  const TempDirectory killed;
  copy_files(directory.path(), killed.path());
  write_pack(out, "killed", killed.path());
  VECTOLITH_TRY(store->close());
  write_pack(out, "closed", directory.path());
  return {};
}

}  // namespace
}  // namespace vectolith::fuzz

int main(int argc, char** argv) {
  using namespace vectolith::fuzz;
  if (argc != 2 && argc != 4) return 2;
  if (argc == 4) {
    write_pack(argv[1], argv[2], argv[3]);
    return 0;
  }
  build_phases(argv[1]);
  if (const auto written = write_real(argv[1]); !written.has_value()) {
    std::fprintf(stderr, "%s\n", written.error().to_string().c_str());
    return 1;
  }
  return 0;
}
