/// @file
/// The rules by which manifest edits follow one another.
#include "manifest/manifest_state.h"

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "support/manifest_edits.h"
#include "support/random_seed.h"

namespace vectolith::engine {
namespace {

using namespace format;
using testing::random_edit;
using testing::test_uuid;

const std::vector<std::byte>& spec_bytes() {
  static const auto bytes = [] {
    ModelSpec spec;
    spec.model = "m";
    spec.dim = 8;
    return encode_model_spec(spec);
  }();
  return bytes;
}

CreateFamily vector_family(std::uint32_t id, const std::string& name) {
  return {FamilyId(id), SegmentKind::kVector, name, spec_bytes(), 1 << 20};
}

AddSegment segment(std::uint64_t id, std::uint32_t family = 1) {
  return {SegmentId(id), FamilyId(family), test_uuid(id), kSegmentFileBytesMin};
}

/// A state with family 1, 1,000 reserved sequences and segment 1 in the given phase (20 rows).
ManifestState state_with(SegmentPhase phase) {
  ManifestState state;
  std::vector<Edit> edits = {ReserveSequences{Sequence(1'000)}, vector_family(1, "f"), segment(1)};
  if (phase == SegmentPhase::kSuspended) edits.emplace_back(SuspendSegment{SegmentId(1), 20});
  if (phase == SegmentPhase::kFrozen) edits.emplace_back(FreezeSegment{SegmentId(1), 20, 5, {{6, 7}}});
  if (phase == SegmentPhase::kSealed)
    edits.emplace_back(SealSegment{SegmentId(1), 20, Sequence(1), Sequence(9), {}});
  for (const Edit& edit : edits) EXPECT_TRUE(state.apply(edit).has_value());
  return state;
}

/// Expects that the edit is refused as kCorruption and changes nothing.
void expect_refused(const ManifestState& before, const Edit& edit) {
  ManifestState state = before;
  const auto applied = state.apply(edit);
  ASSERT_FALSE(applied.has_value());
  EXPECT_EQ(applied.error().code(), ErrorCode::kCorruption);
  EXPECT_FALSE(applied.error().message().empty());
  EXPECT_EQ(state, before);
}

TEST(ManifestState, AllowsExactlyTheDocumentedPhases) {
  using enum SegmentPhase;
  struct Step {
    Edit edit;
    SegmentPhase to;
    std::vector<SegmentPhase> from;
  };
  const std::vector<Step> steps = {
      {SuspendSegment{SegmentId(1), 20}, kSuspended, {kActive, kSuspended}},
      {FreezeSegment{SegmentId(1), 20, 5, {{6, 7}}}, kFrozen, {kActive, kSuspended, kFrozen}},
      {SealSegment{SegmentId(1), 20, Sequence(1), Sequence(9), {{6, 7}}},
       kSealed,
       {kActive, kSuspended, kFrozen}},
  };
  for (const Step& step : steps) {
    for (const SegmentPhase from : {kActive, kSuspended, kFrozen, kSealed}) {
      ManifestState state = state_with(from);
      if (std::ranges::find(step.from, from) == step.from.end()) {
        expect_refused(state, step.edit);
        continue;
      }
      ASSERT_TRUE(state.apply(step.edit).has_value()) << to_string(from) << " -> " << to_string(step.to);
      EXPECT_EQ(state.segments().at(SegmentId(1)).phase, step.to);
      EXPECT_EQ(state.segments().at(SegmentId(1)).row_count, 20U);
    }
  }
}

TEST(ManifestState, LetsAFrozenSegmentLoseRowsAndNeverGain) {
  ManifestState state = state_with(SegmentPhase::kFrozen);
  const auto rows = state.segments().at(SegmentId(1)).row_count;
  expect_refused(state, FreezeSegment{SegmentId(1), rows + 1, 0, {}});
  ASSERT_TRUE(state.apply(FreezeSegment{SegmentId(1), rows, 0, {{1, 3}}}).has_value());
  EXPECT_EQ(state.segments().at(SegmentId(1)).invalid.size(), 1U);
}

TEST(ManifestState, RemovesASegmentInEveryPhase) {
  for (const auto phase :
       {SegmentPhase::kActive, SegmentPhase::kSuspended, SegmentPhase::kFrozen, SegmentPhase::kSealed}) {
    ManifestState state = state_with(phase);
    ASSERT_TRUE(state.apply(RemoveSegment{SegmentId(1)}).has_value());
    EXPECT_TRUE(state.segments().empty());
  }
}

TEST(ManifestState, TurnsSuspendedSegmentsActiveWhenTheNextWriterReserves) {
  ManifestState state = state_with(SegmentPhase::kSuspended);
  ASSERT_TRUE(state.apply(CleanClose{Sequence(50), 3}).has_value());
  ASSERT_TRUE(state.clean_close().has_value());
  EXPECT_EQ(state.clean_close()->journal_rows, 3U);
  EXPECT_EQ(state.segments().at(SegmentId(1)).phase, SegmentPhase::kSuspended);
  ASSERT_TRUE(state.apply(ReserveSequences{Sequence(2'000)}).has_value());
  EXPECT_FALSE(state.clean_close().has_value());
  EXPECT_EQ(state.segments().at(SegmentId(1)).phase, SegmentPhase::kActive);
}

TEST(ManifestState, DropsTheCleanMarkWithAnyOtherEdit) {
  const std::vector<Edit> edits = {
      ReserveSequences{Sequence(1'001)},
      DefineInterned{{InternedEntry::Table::kScope, 1, 0, "tenant"}},
      vector_family(2, "g"),
      segment(2),
      SuspendSegment{SegmentId(1), 20},
      FreezeSegment{SegmentId(1), 20, 5, {}},
      SealSegment{SegmentId(1), 20, Sequence(1), Sequence(9), {}},
      RemoveSegment{SegmentId(1)},
      AddJournal{JournalId(1), test_uuid(9), 65'536},
      NextIds{SegmentId(9), FamilyId(9), JournalId(9)},
  };
  for (const Edit& edit : edits) {
    ManifestState state = state_with(SegmentPhase::kActive);
    ASSERT_TRUE(state.apply(CleanClose{Sequence(50), 0}).has_value());
    ASSERT_TRUE(state.apply(edit).has_value()) << edit.index();
    EXPECT_FALSE(state.clean_close().has_value()) << edit.index();
  }
}

TEST(ManifestState, RefusesUnknownAndRepeatedIds) {
  const ManifestState state = state_with(SegmentPhase::kActive);
  for (const Edit& edit : std::vector<Edit>{
           vector_family(1, "other"), vector_family(2, "f"), vector_family(0, "zero"),
           vector_family(0xFFFFFFFF, "max"), segment(1), segment(0), segment(~std::uint64_t{0}),
           segment(2, 7), SuspendSegment{SegmentId(2), 1}, FreezeSegment{SegmentId(2), 1, 0, {}},
           SealSegment{SegmentId(2), 1, Sequence(1), Sequence(1), {}}, RemoveSegment{SegmentId(2)},
           DropFamily{FamilyId(2)}, AddJournal{JournalId(0), {}, 0}, RemoveJournal{JournalId(1)}}) {
    SCOPED_TRACE(edit.index());
    expect_refused(state, edit);
  }
}

TEST(ManifestState, RefusesRowsRangesAndSequencesOutOfBounds) {
  const ManifestState state = state_with(SegmentPhase::kActive);
  const SegmentId id(1);
  for (const Edit& edit : std::vector<Edit>{
           SuspendSegment{id, kSegmentRowsMax + 1}, FreezeSegment{id, 10, 11, {}},
           FreezeSegment{id, 10, 0, {{10, 10}}}, FreezeSegment{id, 10, 0, {{3, 2}}},
           FreezeSegment{id, 10, 0, {{3, 4}, {4, 5}}}, FreezeSegment{id, 10, 0, {{5, 6}, {1, 2}}},
           SealSegment{id, 10, Sequence(5), Sequence(4), {}},
           SealSegment{id, 10, Sequence(5), Sequence(1'000), {}}, ReserveSequences{Sequence(999)},
           ReserveSequences{Sequence(kSequenceMax + 2)}, CleanClose{Sequence(1'001), 0},
           CleanClose{Sequence(0), 0}}) {
    SCOPED_TRACE(edit.index());
    expect_refused(state, edit);
  }
}

TEST(ManifestState, KeepsTheRowsOfAFrozenSegmentWhenItIsSealed) {
  const ManifestState state = state_with(SegmentPhase::kFrozen);  // 20 rows, 6..7 invalid
  const SegmentId id(1);
  expect_refused(state, SealSegment{id, 21, Sequence(1), Sequence(9), {{6, 7}}});
  expect_refused(state, SealSegment{id, 20, Sequence(1), Sequence(9), {{6, 6}}});
  expect_refused(state, SealSegment{id, 20, Sequence(1), Sequence(9), {}});
  ManifestState wider = state;
  EXPECT_TRUE(wider.apply(SealSegment{id, 20, Sequence(1), Sequence(9), {{6, 6}, {7, 9}}}).has_value());
}

TEST(ManifestState, RefusesIllegalFamilies) {
  const ManifestState state;
  for (const std::string& name :
       {std::string(), std::string(256, 'x'), std::string("a/b"), std::string("a\nb"), std::string("\x7F")}) {
    expect_refused(state, vector_family(1, name));
  }
  expect_refused(state, CreateFamily{FamilyId(1), SegmentKind::kVector, "no spec", {}, 0});
  expect_refused(state, CreateFamily{FamilyId(1), SegmentKind::kRecord, "with spec", spec_bytes(), 0});
  expect_refused(state, CreateFamily{FamilyId(1), SegmentKind{}, "no kind", {}, 0});
  ManifestState named = state;
  EXPECT_TRUE(named.apply(vector_family(1, std::string(255, 'x'))).has_value());
}

TEST(ManifestState, DropsAFamilyOnlyAfterItsSegments) {
  ManifestState state = state_with(SegmentPhase::kSealed);
  expect_refused(state, DropFamily{FamilyId(1)});
  ASSERT_TRUE(state.apply(RemoveSegment{SegmentId(1)}).has_value());
  ASSERT_TRUE(state.apply(DropFamily{FamilyId(1)}).has_value());
  EXPECT_EQ(state.find_family("f"), nullptr);
  EXPECT_TRUE(state.apply(vector_family(2, "f")).has_value()) << "the name is free again";
}

TEST(ManifestState, GivesAnInternedIdOneMeaning) {
  using Table = InternedEntry::Table;
  ManifestState state;
  ASSERT_TRUE(state.apply(DefineInterned{{Table::kChunker, 1, 3, "words"}}).has_value());
  ASSERT_TRUE(state.apply(DefineInterned{{Table::kChunker, 2, 4, "words"}}).has_value()) << "another version";
  ASSERT_TRUE(state.apply(DefineInterned{{Table::kBuild, 1, 0, "words"}}).has_value()) << "another table";
  EXPECT_TRUE(state.is_interned(Table::kChunker, 2));
  EXPECT_TRUE(state.is_interned(Table::kScope, 0)) << "0 needs no definition";
  EXPECT_FALSE(state.is_interned(Table::kScope, 1));
  expect_refused(state, DefineInterned{{Table::kChunker, 1, 9, "new"}});
  expect_refused(state, DefineInterned{{Table::kChunker, 3, 3, "words"}});
  expect_refused(state, DefineInterned{{Table::kScope, 0, 0, "zero"}});
  expect_refused(state, DefineInterned{{Table::kScope, 1, 1, "version"}});
  expect_refused(state, DefineInterned{{Table::kBuild, 65'536, 0, "wide"}});
  expect_refused(state, DefineInterned{{Table{4}, 1, 0, "table"}});
}

TEST(ManifestState, NeverTakesBackAnId) {
  ManifestState state = state_with(SegmentPhase::kActive);
  EXPECT_EQ(state.next_ids(), (NextIds{SegmentId(2), FamilyId(2), JournalId(1)}));
  ASSERT_TRUE(state.apply(RemoveSegment{SegmentId(1)}).has_value());
  EXPECT_EQ(state.next_ids().segment, SegmentId(2));
  ASSERT_TRUE(state.apply(NextIds{SegmentId(7), FamilyId(1), JournalId(3)}).has_value());
  EXPECT_EQ(state.next_ids(), (NextIds{SegmentId(7), FamilyId(2), JournalId(3)}));
}

TEST(ManifestState, RebuildsItselfFromItsSnapshot) {
  std::mt19937_64 random(testing::random_seed());
  ManifestState state;
  for (int round = 0; round < 2'000; ++round) {
    const Edit edit = random_edit(state, random);
    ASSERT_TRUE(state.apply(edit).has_value()) << round << ": kind " << static_cast<int>(kind_of(edit));
    if (round % 20 != 0 && !std::holds_alternative<CleanClose>(edit)) continue;
    ManifestState rebuilt;
    for (const Edit& step : state.snapshot()) ASSERT_TRUE(rebuilt.apply(step).has_value());
    ASSERT_EQ(rebuilt, state) << "after " << round << " edits";
  }
}

}  // namespace
}  // namespace vectolith::engine
