/// @file
/// What `inspect` found in a file: sections that print as text or as one JSON object.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <vectolith/format/result.h>

#include "input_file.h"
#include "output.h"

namespace vectolith::tools {

/// Collects what a file holds. The first error decides the exit code; what was read before is shown.
class Inspection {
 public:
  Inspection(const std::string& file, std::string_view kind);
  /// A fixed-size struct of the format, by its name in docs/format.md, at `offset` of the file.
  void add_struct(const std::string& title, std::string_view struct_name, std::uint64_t offset,
                  std::span<const std::byte> bytes);
  /// An object of plain values.
  void add_facts(const std::string& title, Json facts);
  /// An array of objects, a line each.
  void add_list(const std::string& title, Json list);
  void add_error(const Error& error);

  /// Prints everything; returns the exit code.
  [[nodiscard]] int print(bool as_json) const;

 private:
  Json json_;
  std::string text_;
  std::optional<Error> error_;
};

/// Each reads what its kind of file holds; `rows_max` bounds the rows that are listed one by one.
/// Errors: kIo. What fails a sum is part of the inspection.
Result<Inspection> inspect_superblock(const InputFile& file);
Result<Inspection> inspect_manifest(const InputFile& file);
Result<Inspection> inspect_segment(const InputFile& file, std::uint64_t rows_max);
Result<Inspection> inspect_journal(const InputFile& file, std::uint64_t rows_max);

}  // namespace vectolith::tools
