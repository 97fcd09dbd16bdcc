/// @file
/// The recovery table, entry by entry, against the one of docs/durability.md.
#include "segment/recovery_table.h"

#include <fstream>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

namespace vectolith::engine {
namespace {

using format::RowState;

constexpr RowState kStates[] = {RowState::kValid, RowState::kZero, RowState::kStale, RowState::kInvalid};
constexpr PayloadState kPayloads[] = {PayloadState::kUnread, PayloadState::kHolds, PayloadState::kFails};
constexpr BatchState kBatches[] = {BatchState::kNone, BatchState::kWhole, BatchState::kBroken};

TEST(RecoveryTable, BelowTheWatermarkKeepsValidRowsAndCallsAllOthersDamage) {
  for (const auto payload : kPayloads) {
    for (const auto batch : kBatches) {
      for (const auto state : kStates) {
        const auto expected = state == RowState::kValid ? RowVerdict::kKeep : RowVerdict::kDamaged;
        EXPECT_EQ(decide(state, true, payload, batch), expected);
      }
    }
  }
}

TEST(RecoveryTable, AboveTheWatermarkNothingIsEverDamage) {
  for (const auto payload : kPayloads) {
    for (const auto batch : kBatches) {
      for (const auto state : kStates) EXPECT_NE(decide(state, false, payload, batch), RowVerdict::kDamaged);
    }
  }
}

TEST(RecoveryTable, AboveTheWatermarkKeepsOnlyWholeRowsOfWholeBatches) {
  for (const auto payload : kPayloads) {
    for (const auto batch : kBatches) {
      for (const auto state : kStates) {
        const bool whole =
            state == RowState::kValid && payload == PayloadState::kHolds && batch != BatchState::kBroken;
        EXPECT_EQ(decide(state, false, payload, batch) == RowVerdict::kKeep, whole);
        const bool untouched = state == RowState::kZero || state == RowState::kStale;
        EXPECT_EQ(decide(state, false, payload, batch) == RowVerdict::kNeverWritten, untouched);
      }
    }
  }
}

/// The rows of the table that follows `| row`, without blanks at the ends.
std::string table_of(const std::string& path, const std::string& line_start) {
  std::ifstream file(path);
  std::string line;
  std::string table;
  bool inside = false;
  while (std::getline(file, line)) {
    if (line.starts_with(line_start)) line.erase(0, line_start.size());
    const bool is_row = line.starts_with("|");
    if (line.starts_with("| row ")) inside = true;
    if (inside && !is_row) break;
    if (inside) table += line + "\n";
  }
  return table;
}

TEST(RecoveryTable, StandsInTheDocumentationAsInTheCode) {
  const std::string root = VECTOLITH_SOURCE_DIR;
  const auto code = table_of(root + "/engine/src/segment/recovery_table.h", "/// ");
  const auto docs = table_of(root + "/docs/durability.md", "");
  EXPECT_FALSE(code.empty());
  EXPECT_EQ(code, docs);
}

}  // namespace
}  // namespace vectolith::engine
