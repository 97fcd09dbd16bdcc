/// @file
/// The verb `salvage`: copies what can be read of a broken store into a new one.
#include <string>
#include <vector>

#include <vectolith/verify.h>

#include "command.h"
#include "output.h"
#include "repair_output.h"

namespace vectolith::tools {

namespace {

struct SalvageArguments {
  CommonOptions common;
  std::string target;
  std::vector<std::string> family_names;
};

Json salvage_json(const SalvageReport& report) {
  return {{"complete", report.is_complete()},
          {"families", report.families},
          {"rows", report.rows},
          {"rows_older", report.rows_older},
          {"rows_erased", report.rows_erased},
          {"rows_damaged", report.rows_damaged},
          {"rows_unfinished", report.rows_unfinished},
          {"rows_refused", report.rows_refused},
          {"bytes_unread", report.bytes_unread},
          {"remarks", report.remarks}};
}

void print_salvage(const SalvageReport& report) {
  for (const auto& text : report.remarks) print_line("remark: " + text);
  print_line(std::string(report.is_complete() ? "complete: " : "INCOMPLETE: ") + with_commas(report.rows) +
             " rows of " + with_commas(report.families) + " families saved; left out " +
             with_commas(report.rows_older) + " older, " + with_commas(report.rows_erased) + " erased, " +
             with_commas(report.rows_unfinished) + " unfinished; lost " + with_commas(report.rows_damaged) +
             " damaged, " + with_commas(report.rows_refused) + " refused; " +
             human_bytes(report.bytes_unread) + " not readable");
}

Result<int> run_salvage(const SalvageArguments& arguments) {
  SalvageOptions options;
  VECTOLITH_TRY_ASSIGN(options.family_names, parse_family_names(arguments.family_names));
  VECTOLITH_TRY_ASSIGN(const auto report, salvage(arguments.common.directory, arguments.target, options));
  if (arguments.common.json) {
    print_json(salvage_json(report));
  } else {
    print_salvage(report);
  }
  return report.is_complete() ? kExitOk : kExitCorruption;
}

}  // namespace

void add_salvage(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<SalvageArguments>();
  CLI::App* verb = add_verb(
      app, "salvage", "Copies what can be read of a broken store into a new one; exits 3 if anything is lost",
      "vectolith salvage /data/broken /data/saved");
  add_directory(*verb, arguments->common);
  verb->add_option("NEW", arguments->target, "Directory of the new store, missing or empty")->required();
  verb->add_option("--name", arguments->family_names, "ID=NAME: a name for a family that lost its own");
  add_json(*verb, arguments->common, "Print one JSON object");
  on_run<SalvageArguments>(verb, session, arguments, run_salvage);
}

}  // namespace vectolith::tools
