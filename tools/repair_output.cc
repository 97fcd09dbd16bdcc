/// @file
/// Findings and actions in words and as JSON.
#include "repair_output.h"

#include <algorithm>
#include <charconv>
#include <string>

namespace vectolith::tools {

namespace {

std::string_view severity_name(Finding::Severity severity) noexcept {
  switch (severity) {
    case Finding::Severity::kInfo: return "info";
    case Finding::Severity::kWarning: return "warning";
    case Finding::Severity::kDamage: return "damage";
  }
  return "unknown";
}

std::string_view kind_name(Finding::Kind kind) noexcept {
  using enum Finding::Kind;
  switch (kind) {
    case kOther: return "other";
    case kAcknowledgedDamage: return "acknowledged-damage";
    case kUnacknowledgedTail: return "unacknowledged-tail";
    case kStaleEpoch: return "stale-epoch";
    case kContradiction: return "contradiction";
    case kMissing: return "missing";
    case kUnreadable: return "unreadable";
    case kStrayBytes: return "stray-bytes";
    case kForeignFile: return "foreign-file";
    case kSetAside: return "set-aside";
    case kOrphan: return "orphan";
  }
  return "unknown";
}

std::string_view action_name(RepairAction::Kind kind) noexcept {
  using enum RepairAction::Kind;
  switch (kind) {
    case kRewriteSuperblock: return "superblock";
    case kResizeFile: return "resize";
    case kRewriteHeader: return "header";
    case kWriteJournal: return "journal";
    case kSetAside: return "set aside";
    case kForgetFile: return "forget";
    case kName: return "name";
    case kQuarantineRows: return "quarantine";
    case kWriteManifest: return "manifest";
    case kRenewManifestFile: return "manifest file";
  }
  return "unknown";
}

}  // namespace

void print_finding(const Finding& finding) {
  std::string text(severity_name(finding.severity));
  text.append(": ").append(finding.what).append("; kind ").append(kind_name(finding.kind));
  text.append(", file ").append(finding.file);
  text.append(", offset ").append(std::to_string(finding.offset));
  if (!finding.expected.empty()) text.append(", expected ").append(finding.expected);
  if (!finding.found.empty()) text.append(", found ").append(finding.found);
  print_line(text);
}

Json report_json(const FsckReport& report) {
  Json findings = Json::array();
  for (const auto& finding : report.findings) {
    findings.push_back({{"severity", severity_name(finding.severity)},
                        {"kind", kind_name(finding.kind)},
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

void print_actions(const RepairReport& report) {
  for (const auto& action : report.actions) {
    std::string text(action_name(action.kind));
    if (!action.file.empty()) text.append(" ").append(action.file);
    print_line(text + ": " + action.what);
  }
}

Json repair_json(const RepairReport& report) {
  Json actions = Json::array();
  for (const auto& action : report.actions)
    actions.push_back({{"action", action_name(action.kind)}, {"file", action.file}, {"what", action.what}});
  Json json = {{"applied", report.applied},
               {"actions", std::move(actions)},
               {"rows_quarantined", report.rows_quarantined},
               {"rows_of_unknown_key", report.rows_of_unknown_key},
               {"files_lost", report.files_lost},
               {"before", report_json(report.before)}};
  if (report.after.has_value()) json["after"] = report_json(*report.after);
  return json;
}

Result<std::map<FamilyId, std::string>> parse_family_names(const std::vector<std::string>& texts) {
  std::map<FamilyId, std::string> names;
  for (const std::string& text : texts) {
    FamilyId id;
    const auto end = text.find('=');
    const char* stop = text.data() + std::min(end, text.size());
    const auto parsed = std::from_chars(text.data(), stop, id.value);
    if (end == std::string::npos || parsed.ec != std::errc() || parsed.ptr != stop) {
      return std::unexpected(Error(ErrorCode::kInvalidArgument, "a family's name is given as ID=NAME")
                                 .with_expected("for example 3=docs")
                                 .with_found(text));
    }
    names[id] = text.substr(end + 1);
  }
  return names;
}

}  // namespace vectolith::tools
