/// @file
/// docs/format.md says what the code does: tables of structs, enumerations, limits.
#include <array>
#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include <vectolith/format/describe.h>
#include <vectolith/format/journal.h>
#include <vectolith/format/manifest.h>
#include <vectolith/format/segment.h>
#include <vectolith/format/superblock.h>

namespace vectolith::format {
namespace {

using Row = std::vector<std::string>;
/// Tables by the heading they stand under, header row first.
using Tables = std::map<std::string, std::vector<std::vector<Row>>>;

std::string source_directory() {
#ifdef VECTOLITH_SOURCE_DIR
  return VECTOLITH_SOURCE_DIR;
#else
  const char* directory = std::getenv("VECTOLITH_SOURCE_DIR");
  return directory == nullptr ? "." : directory;
#endif
}

std::string read_document() {
  std::ifstream file(source_directory() + "/docs/format.md");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// A cell without spaces and backticks around it.
std::string trimmed(std::string_view cell) {
  const auto is_edge = [](char c) { return c == ' ' || c == '`'; };
  while (!cell.empty() && is_edge(cell.front())) cell.remove_prefix(1);
  while (!cell.empty() && is_edge(cell.back())) cell.remove_suffix(1);
  return std::string(cell);
}

Row cells(const std::string& line) {
  Row row;
  std::istringstream stream(line.substr(1));
  for (std::string cell; std::getline(stream, cell, '|');) row.push_back(trimmed(cell));
  return row;
}

Tables parse_tables(const std::string& document) {
  Tables tables;
  std::string heading;
  bool in_table = false;
  std::istringstream stream(document);
  for (std::string line; std::getline(stream, line);) {
    if (line.starts_with('#')) heading = line.substr(line.find_first_not_of("# "));
    if (!line.starts_with('|')) {
      in_table = false;
      continue;
    }
    if (!in_table) tables[heading].emplace_back();
    in_table = true;
    if (!line.starts_with("|---")) tables[heading].back().push_back(cells(line));
  }
  return tables;
}

const Tables& document_tables() {
  static const Tables kTables = parse_tables(read_document());
  return kTables;
}

const std::vector<Row>& table_of(const std::string& heading, std::size_t index = 0) {
  static const std::vector<Row> kNone;
  const auto found = document_tables().find(heading);
  if (found == document_tables().end() || found->second.size() <= index) {
    ADD_FAILURE() << "no table " << index << " under the heading " << heading;
    return kNone;
  }
  return found->second[index];
}

/// Whether a table has the columns of a struct.
bool is_struct_table(const std::vector<Row>& table) { return !table.empty() && table[0][0] == "Offset"; }

TEST(FormatDocument, HasATableForEveryStructThatMatchesItsFields) {
  for (const auto& info : struct_table()) {
    const auto& table = table_of(std::string(info.name));
    ASSERT_TRUE(is_struct_table(table)) << info.name;
    ASSERT_EQ(table.size(), info.fields.size() + 1) << info.name;
    for (std::size_t i = 0; i < info.fields.size(); ++i) {
      const auto& field = info.fields[i];
      const Row expected = {std::to_string(field.offset), std::to_string(field.bytes),
                            std::string(field.type), std::string(field.name)};
      const Row& row = table[i + 1];
      ASSERT_EQ(row.size(), 5U) << info.name << ", row " << i;
      EXPECT_EQ(Row(row.begin(), row.begin() + 4), expected) << info.name;
      EXPECT_FALSE(row[4].empty()) << info.name << "::" << field.name << " has no meaning";
    }
  }
}

TEST(FormatDocument, DescribesNoStructThatDoesNotExist) {
  std::set<std::string> known;
  for (const auto& info : struct_table()) known.insert(std::string(info.name));
  for (const auto& [heading, tables] : document_tables()) {
    for (const auto& table : tables) {
      EXPECT_TRUE(!is_struct_table(table) || known.contains(heading)) << heading;
    }
  }
}

TEST(FormatDocument, NamesEveryMagic) {
  const std::pair<const char*, std::array<char, 8>> magics[] = {{"Superblock", kSuperblockMagic},
                                                                {"SegmentHeader", kSegmentMagic},
                                                                {"FooterHead", kFooterMagic},
                                                                {"JournalHeader", kJournalMagic},
                                                                {"ManifestHeader", kManifestMagic}};
  for (const auto& [heading, magic] : magics) {
    const auto& table = table_of(heading);
    ASSERT_GT(table.size(), 1U) << heading;
    EXPECT_EQ(table[1][4], std::string(magic.begin(), magic.end())) << heading;
  }
}

TEST(FormatDocument, NumbersDtypesMetricsAndRolesAsTheCodeDoes) {
  const auto check = [](const char* heading, std::size_t count, auto name_of) {
    const auto& table = table_of(heading);
    ASSERT_EQ(table.size(), count + 1) << heading;
    for (std::size_t value = 1; value <= count; ++value) {
      EXPECT_EQ(table[value][0], std::to_string(value)) << heading;
      EXPECT_EQ(table[value][1], std::string(name_of(value))) << heading;
    }
  };
  check("Dtypes", 6, [](std::size_t value) { return to_string(static_cast<Dtype>(value)); });
  check("Metrics", 3, [](std::size_t value) { return to_string(static_cast<Metric>(value)); });
  check("Roles", 2, [](std::size_t value) { return to_string(static_cast<Role>(value)); });
}

TEST(FormatDocument, NumbersTheEditKindsAsTheCodeDoes) {
  const std::pair<EditKind, const char*> kinds[] = {{EditKind::kReserveSequences, "ReserveSequences"},
                                                    {EditKind::kDefineInterned, "DefineInterned"},
                                                    {EditKind::kCreateFamily, "CreateFamily"},
                                                    {EditKind::kDropFamily, "DropFamily"},
                                                    {EditKind::kAddSegment, "AddSegment"},
                                                    {EditKind::kSuspendSegment, "SuspendSegment"},
                                                    {EditKind::kFreezeSegment, "FreezeSegment"},
                                                    {EditKind::kSealSegment, "SealSegment"},
                                                    {EditKind::kRemoveSegment, "RemoveSegment"},
                                                    {EditKind::kAddJournal, "AddJournal"},
                                                    {EditKind::kRemoveJournal, "RemoveJournal"},
                                                    {EditKind::kCleanClose, "CleanClose"},
                                                    {EditKind::kNextIds, "NextIds"}};
  const auto& table = table_of("Edit kinds");
  ASSERT_EQ(table.size(), std::size(kinds) + 1);
  ASSERT_EQ(std::variant_size_v<Edit>, std::size(kinds));
  for (std::size_t i = 0; i < std::size(kinds); ++i) {
    EXPECT_EQ(table[i + 1][0], std::to_string(static_cast<int>(kinds[i].first)));
    EXPECT_EQ(table[i + 1][1], kinds[i].second);
  }
}

TEST(FormatDocument, ListsEveryRowFlag) {
  const auto& table = table_of("Row flags");
  std::uint16_t documented = 0;
  for (std::size_t i = 1; i < table.size(); ++i) {
    documented = static_cast<std::uint16_t>(documented | (1U << std::stoul(table[i][0])));
  }
  EXPECT_EQ(documented, kRowFlagsKnown);
}

TEST(FormatDocument, IsAboutThisVersion) {
  const std::string version = std::to_string(kVersionMajor) + "." + std::to_string(kVersionMinor);
  EXPECT_TRUE(read_document().starts_with("# On-disk format, version " + version + "\n"));
  const auto& history = table_of("Version history");
  ASSERT_FALSE(history.empty());
  EXPECT_EQ(history.back()[0], version);
}

}  // namespace
}  // namespace vectolith::format
