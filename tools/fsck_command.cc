/// @file
/// The verb `fsck`: checks a store, and repairs it if it is told to.
#include <optional>
#include <string>
#include <vector>

#include <vectolith/control.h>
#include <vectolith/verify.h>

#include "command.h"
#include "output.h"
#include "progress.h"
#include "repair_output.h"

namespace vectolith::tools {

namespace {

struct FsckArguments {
  CommonOptions common;
  bool online = false;
  bool repair = false;
  bool yes = false;
  std::vector<std::string> family_names;
};

Result<FsckReport> check_here(const FsckArguments& arguments) {
  std::optional<Progress> progress;
  FsckOptions options;
  options.on_progress = [&](std::uint64_t done, std::uint64_t total) {
    if (!progress.has_value()) progress.emplace("fsck", "bytes", total);
    progress->update(done, done);
  };
  auto report = fsck(arguments.common.directory, options);
  if (progress.has_value()) progress->finish();
  return report;
}

Result<FsckReport> check(const FsckArguments& arguments) {
  if (arguments.online) {
    auto client = ControlClient::connect(arguments.common.directory);
    if (client.has_value()) return client->fsck();
    // Nobody serves the socket: either nobody has the store open, or its owner serves none and LOCK is held.
    if (client.error().code() != ErrorCode::kNotFound) return std::unexpected(std::move(client).error());
  }
  return check_here(arguments);
}

std::string summary(const RepairReport& report) {
  if (report.actions.empty())
    return report.before.clean() ? "clean: nothing to repair" : "nothing can be repaired";
  const std::string losses = with_commas(report.rows_quarantined) + " rows lost, " +
                             with_commas(report.rows_of_unknown_key) + " of unknown key, " +
                             with_commas(report.files_lost) + " files lost";
  const std::string what = with_commas(report.actions.size()) + " changes; " + losses;
  if (!report.applied) return "PENDING: " + what;
  return (report.after->clean() ? "repaired: " : "STILL DAMAGED: ") + what;
}

Result<int> run_repair(const FsckArguments& arguments) {
  RepairOptions options;
  options.apply = arguments.yes;
  VECTOLITH_TRY_ASSIGN(options.family_names, parse_family_names(arguments.family_names));
  VECTOLITH_TRY_ASSIGN(const auto report, repair(arguments.common.directory, options));
  if (arguments.common.json) {
    print_json(repair_json(report));
  } else {
    for (const auto& finding : report.before.findings) print_finding(finding);
    print_actions(report);
    print_line(summary(report));
  }
  if (report.actions.empty()) return report.before.clean() ? kExitOk : kExitCorruption;
  if (report.applied) return report.after->clean() ? kExitOk : kExitCorruption;
  note("nothing was written; keep a copy of the directory, then run it again with --yes");
  return kExitCorruption;
}

Result<int> run_fsck(const FsckArguments& arguments) {
  if (arguments.repair) return run_repair(arguments);
  VECTOLITH_TRY_ASSIGN(const auto report, check(arguments));
  if (arguments.common.json) {
    print_json(report_json(report));
  } else {
    print_report(report);
  }
  if (report.clean()) return kExitOk;
  note(
      "the store is damaged: what fails its sum is never served; keep a copy of the directory before you go "
      "on");
  return kExitCorruption;
}

}  // namespace

void add_fsck(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<FsckArguments>();
  CLI::App* verb =
      add_verb(app, "fsck", "Checks every sum of a store, and plans or makes its repair; exits 3 on damage",
               "vectolith fsck /data/store");
  add_directory(*verb, arguments->common);
  auto* online =
      verb->add_flag("--online", arguments->online, "Let the process that has the store open check it");
  auto* repair = verb->add_flag("--repair", arguments->repair, "Plan a repair and print it");
  repair->excludes(online);
  verb->add_flag("--yes", arguments->yes, "Make the repair")->needs(repair);
  verb->add_option("--name", arguments->family_names, "ID=NAME: a name for a family that lost its own")
      ->needs(repair);
  add_json(*verb, arguments->common, "Print one JSON object");
  on_run<FsckArguments>(verb, session, arguments, run_fsck);
}

}  // namespace vectolith::tools
