/// @file
/// Edits: every kind reads back, keeps its number, and refuses values out of range.
#include <cstring>
#include <functional>
#include <random>
#include <set>

#include <gtest/gtest.h>

#include <vectolith/format/checksum.h>
#include <vectolith/format/manifest.h>

#include "format/format_samples.h"
#include "support/random_seed.h"

namespace vectolith::format {
namespace {

const Uuid kLife = samples::uuid(0x50);
constexpr std::uint64_t kOffset = 8'192;
constexpr std::size_t kPayloadOffset = 32 + 8;

std::vector<std::byte> frame_of(const Edit& edit) {
  return encode_frame(std::span(&edit, 1), ManifestVersion(43), kLife, kOffset);
}
ErrorCode refusal(std::vector<std::byte> frame) {
  const std::uint64_t sum = checksum64(std::span(frame).subspan(8), position_seed(kLife, kOffset));
  std::memcpy(frame.data(), &sum, sizeof(sum));
  const auto decoded = decode_frame(frame, kLife, kOffset);
  return decoded.has_value() ? ErrorCode{} : decoded.error().code();
}
ErrorCode refusal(const Edit& edit) { return refusal(frame_of(edit)); }

/// The sample of one alternative, changed.
template <class Alternative, class Function>
Edit changed(Function change) {
  for (const auto& edit : samples::edits()) {
    if (auto* alternative = std::get_if<Alternative>(&edit)) {
      auto copy = *alternative;
      change(copy);
      return copy;
    }
  }
  ADD_FAILURE() << "no sample";
  return {};
}

/// Legal edits with random fields.
class EditGenerator {
 public:
  explicit EditGenerator(std::uint64_t seed) : random_(seed) {}

  Edit next() {
    switch (1 + random_() % 13) {
      case 1: return ReserveSequences{sequence()};
      case 2: return DefineInterned{interned()};
      case 3: return create_family();
      case 4: return DropFamily{family()};
      case 5: return AddSegment{segment(), family(), uuid(), random_() % kSegmentFileBytesMax};
      case 6: return SuspendSegment{segment(), rows(kSegmentRowsMax)};
      case 7: return freeze();
      case 8: return seal();
      case 9: return RemoveSegment{segment()};
      case 10: return AddJournal{JournalId(random_()), uuid(), random_() % kSegmentFileBytesMax};
      case 11: return RemoveJournal{JournalId(random_())};
      case 12: return CleanClose{sequence(), static_cast<std::uint32_t>(random_())};
      default:
        return NextIds{segment(), FamilyId(static_cast<std::uint32_t>(random_())), JournalId(random_())};
    }
  }
  std::uint64_t number() { return random_(); }

 private:
  Sequence sequence() { return Sequence(random_() & kSequenceMax); }
  SegmentId segment() { return SegmentId(random_()); }
  FamilyId family() { return FamilyId(1 + static_cast<std::uint32_t>(random_() % 0xFFFF'FFFF)); }
  std::uint32_t rows(std::uint32_t max) {
    return static_cast<std::uint32_t>(random_() % (std::uint64_t{max} + 1));
  }
  Uuid uuid() {
    Uuid uuid;
    for (auto& byte : uuid.bytes) byte = static_cast<std::byte>(random_());
    return uuid;
  }
  std::string name() {
    std::string name(1 + random_() % kFamilyNameBytesMax, ' ');
    for (char& c : name) c = static_cast<char>('a' + random_() % 26);
    return name;
  }
  InternedEntry interned() {
    const auto table = static_cast<InternedEntry::Table>(1 + random_() % 3);
    const bool build = table == InternedEntry::Table::kBuild;
    const auto id = static_cast<std::uint32_t>(build ? random_() % 65'536 : random_());
    const bool chunker = table == InternedEntry::Table::kChunker;
    return {table, id, chunker ? static_cast<std::uint32_t>(random_()) : 0, name()};
  }
  Edit create_family() {
    CreateFamily edit;
    edit.family = family();
    edit.name = name();
    edit.segment_bytes_target = random_() % kSegmentFileBytesMax;
    edit.kind = random_() % 2 == 0 ? SegmentKind::kVector : SegmentKind::kRecord;
    if (edit.kind == SegmentKind::kVector) edit.spec = encode_model_spec(samples::spec());
    return edit;
  }
  std::vector<RowRange> ranges(std::uint32_t row_count) {
    std::vector<RowRange> ranges;
    for (std::uint64_t row = random_() % 100; row + 10 < row_count && ranges.size() < 30;
         row += 11 + random_() % 99) {
      ranges.push_back({static_cast<std::uint32_t>(row), static_cast<std::uint32_t>(row + random_() % 10)});
    }
    return ranges;
  }
  Edit freeze() {
    const auto row_count = rows(kSegmentRowsMax);
    return FreezeSegment{segment(), row_count, rows(row_count), ranges(row_count)};
  }
  Edit seal() {
    const auto row_count = rows(kSegmentRowsMax);
    const auto first = sequence();
    const auto last = Sequence(first.value + random_() % (kSequenceMax - first.value + 1));
    return SealSegment{segment(), row_count, first, last, ranges(row_count)};
  }

  std::mt19937_64 random_;
};

TEST(Edit, EachKindReadsBackWithEveryField) {
  for (const auto& edit : samples::edits()) {
    const auto frame = decode_frame(frame_of(edit), kLife, kOffset);
    ASSERT_TRUE(frame.has_value()) << frame.error().to_string();
    ASSERT_EQ(frame->edits.size(), 1U);
    EXPECT_EQ(frame->edits[0], edit) << static_cast<int>(kind_of(edit));
  }
}

TEST(Edit, RandomFramesOfRandomEditsReadBack) {
  EditGenerator generator(vectolith::testing::random_seed());
  for (int round = 0; round < 500; ++round) {
    std::vector<Edit> edits(generator.number() % 20);
    for (auto& edit : edits) edit = generator.next();
    const std::uint64_t offset = generator.number() % (1U << 30);
    const auto frame = encode_frame(edits, ManifestVersion(generator.number()), kLife, offset);
    const auto decoded = decode_frame(frame, kLife, offset);
    ASSERT_TRUE(decoded.has_value()) << decoded.error().to_string();
    ASSERT_EQ(decoded->edits, edits);
  }
}

TEST(EditKind, NumbersArePersistent) {
  // They stand on disk: one more kind may follow, none may move.
  const auto edits = samples::edits();
  ASSERT_EQ(edits.size(), 13U);
  for (std::size_t i = 0; i < edits.size(); ++i) {
    EXPECT_EQ(static_cast<std::size_t>(kind_of(edits[i])), i + 1);
    EXPECT_EQ(static_cast<std::size_t>(frame_of(edits[i])[32]), i + 1) << "as it is on disk";
  }
  EXPECT_EQ(std::variant_size_v<Edit>, 13U) << "a new kind needs a sample";
}

TEST(Edit, UnknownKindsAndReservedBitsAreCorruption) {
  for (const int kind : {0, 14, 255}) {
    auto frame = frame_of(ReserveSequences{Sequence(1)});
    frame[32] = static_cast<std::byte>(kind);
    EXPECT_EQ(refusal(frame), ErrorCode::kCorruption) << kind;
  }
  auto frame = frame_of(ReserveSequences{Sequence(1)});
  frame[34] = std::byte{1};
  EXPECT_EQ(refusal(frame), ErrorCode::kCorruption);
}

TEST(Edit, APayloadLongerOrShorterThanItsFieldsIsCorruption) {
  for (const auto& edit : samples::edits()) {
    const auto frame = frame_of(edit);
    for (const int delta : {-1, 1}) {
      auto bent = frame;
      // Both lengths move together, so that only the edit itself can notice.
      for (const std::size_t length_offset : {std::size_t{16}, std::size_t{36}}) {
        bent[length_offset] = static_cast<std::byte>(static_cast<int>(bent[length_offset]) + delta);
      }
      EXPECT_EQ(refusal(bent), ErrorCode::kCorruption) << static_cast<int>(kind_of(edit)) << ", " << delta;
    }
  }
}

TEST(Edit, CountsThatOverflowAreCorruption) {
  auto freeze = frame_of(changed<FreezeSegment>([](auto&) {}));
  // segment u64, row_count u32, rows_durable u32, then the count of ranges.
  for (const std::uint32_t count : {0xFFFF'FFFFU, 0x2000'0000U, 0x2000'0002U, 3U, 1U}) {
    std::memcpy(freeze.data() + kPayloadOffset + 16, &count, sizeof(count));
    EXPECT_EQ(refusal(freeze), ErrorCode::kCorruption) << count;
  }
}

TEST(Edit, FamilyNamesAreOneTo255BytesWithoutSlashOrControlCharacters) {
  const auto named = [](const std::string& name) {
    return changed<CreateFamily>([&](auto& edit) { edit.name = name; });
  };
  for (const std::string& legal :
       {std::string("a"), std::string(255, 'n'), std::string("Fam\xC3\xADlia 1.0")}) {
    EXPECT_EQ(refusal(named(legal)), ErrorCode{}) << legal;
  }
  for (const std::string& illegal : {std::string(), std::string(256, 'n'), std::string("a/b"),
                                     std::string("a\nb"), std::string("a\0b", 3), std::string("\x7F")}) {
    EXPECT_EQ(refusal(named(illegal)), ErrorCode::kCorruption) << illegal;
  }
}

TEST(Edit, ValuesOutOfRangeAreCorruption) {
  const Edit illegal[] = {
      ReserveSequences{Sequence(kSequenceMax + 1)},
      DropFamily{FamilyId(0)},
      DefineInterned{{InternedEntry::Table{}, 1, 0, "x"}},
      DefineInterned{{InternedEntry::Table::kScope, 1, 7, "x"}},
      changed<CreateFamily>([](auto& e) { e.family = FamilyId(0); }),
      changed<CreateFamily>([](auto& e) { e.kind = SegmentKind{}; }),
      changed<CreateFamily>([](auto& e) { e.kind = SegmentKind::kRecord; }),
      changed<CreateFamily>([](auto& e) { e.spec.clear(); }),
      changed<CreateFamily>([](auto& e) { e.spec.pop_back(); }),
      changed<CreateFamily>([](auto& e) { e.segment_bytes_target = kSegmentFileBytesMax + 1; }),
      changed<AddSegment>([](auto& e) { e.family = FamilyId(0); }),
      changed<AddSegment>([](auto& e) { e.file_bytes = kSegmentFileBytesMax + 1; }),
      changed<SuspendSegment>([](auto& e) { e.row_count = kSegmentRowsMax + 1; }),
      changed<FreezeSegment>([](auto& e) { e.rows_durable = e.row_count + 1; }),
      changed<FreezeSegment>([](auto& e) { e.invalid = {{0, e.row_count}}; }),
      changed<FreezeSegment>([](auto& e) { e.invalid = {{2, 3}, {3, 4}}; }),
      changed<SealSegment>([](auto& e) { e.invalid = {{2, 1}}; }),
      changed<SealSegment>([](auto& e) { e.first_sequence = Sequence(e.last_sequence.value + 1); }),
      changed<SealSegment>([](auto& e) { e.last_sequence = Sequence(kSequenceMax + 1); }),
      changed<CleanClose>([](auto& e) { e.next_sequence = Sequence(kSequenceMax + 1); }),
  };
  for (std::size_t i = 0; i < std::size(illegal); ++i) {
    EXPECT_EQ(refusal(illegal[i]), ErrorCode::kCorruption) << "edit " << i;
  }
}

}  // namespace
}  // namespace vectolith::format
