/// @file
/// The verb `fsck`: checks a store without writing to it.
#include <optional>

#include <vectolith/control.h>
#include <vectolith/verify.h>

#include "command.h"
#include "output.h"
#include "progress.h"

namespace vectolith::tools {

namespace {

struct FsckArguments {
  CommonOptions common;
  bool online = false;
};

std::string_view severity_name(Finding::Severity severity) noexcept {
  switch (severity) {
    case Finding::Severity::kInfo: return "info";
    case Finding::Severity::kWarning: return "warning";
    case Finding::Severity::kDamage: return "damage";
  }
  return "unknown";
}

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

void print_finding(const Finding& finding) {
  std::string text(severity_name(finding.severity));
  text.append(": ").append(finding.what).append("; file ").append(finding.file);
  text.append(", offset ").append(std::to_string(finding.offset));
  if (!finding.expected.empty()) text.append(", expected ").append(finding.expected);
  if (!finding.found.empty()) text.append(", found ").append(finding.found);
  print_line(text);
}

Json report_json(const FsckReport& report) {
  Json findings = Json::array();
  for (const auto& finding : report.findings) {
    findings.push_back({{"severity", severity_name(finding.severity)},
                        {"file", finding.file},
                        {"offset", finding.offset},
                        {"what", finding.what},
                        {"expected", finding.expected},
                        {"found", finding.found}});
  }
  return {{"clean", report.clean()},     {"files", report.files},          {"segments", report.segments},
          {"rows", report.rows},         {"bytes", report.bytes},          {"damage", report.damage},
          {"warnings", report.warnings}, {"findings", std::move(findings)}};
}

void print_report(const FsckReport& report) {
  for (const auto& finding : report.findings) print_finding(finding);
  std::string text = report.clean() ? "clean: " : "DAMAGED: ";
  text += with_commas(report.rows) + " rows hold in " + with_commas(report.segments) + " segments; " +
          with_commas(report.files) + " files, " + human_bytes(report.bytes) + " read; " +
          with_commas(report.damage) + " damages, " + with_commas(report.warnings) + " warnings";
  print_line(text);
}

Result<int> run_fsck(const FsckArguments& arguments) {
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
      add_verb(app, "fsck", "Checks every sum of a store without writing to it; exits 3 on damage",
               "vectolith fsck /data/store");
  add_directory(*verb, arguments->common);
  verb->add_flag("--online", arguments->online, "Let the process that has the store open check it");
  add_json(*verb, arguments->common, "Print one JSON object");
  on_run<FsckArguments>(verb, session, arguments, run_fsck);
}

}  // namespace vectolith::tools
