/// @file
/// The verb `scrub`: checks a store slowly, in pieces, open or not.
#include <charconv>
#include <optional>
#include <string>
#include <string_view>

#include <vectolith/control.h>
#include <vectolith/verify.h>

#include "command.h"
#include "output.h"
#include "progress.h"
#include "repair_output.h"
#include "stop_signal.h"

namespace vectolith::tools {

namespace {

struct ScrubArguments {
  CommonOptions common;
  std::uint64_t bytes_per_s = 0;
  std::uint64_t bytes_max = 0;
  std::string from;
};

std::string position_text(const ScrubPosition& position) {
  return std::to_string(position.segment.value) + ":" + std::to_string(position.row);
}

bool read_number(std::string_view text, auto& number) {
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  return parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
}

Result<ScrubPosition> parse_position(std::string_view text) {
  ScrubPosition position;
  if (text.empty()) return position;
  const auto colon = text.find(':');
  if (colon != std::string_view::npos && read_number(text.substr(0, colon), position.segment.value) &&
      read_number(text.substr(colon + 1), position.row)) {
    return position;
  }
  return std::unexpected(Error(ErrorCode::kInvalidArgument, "a position is given as SEGMENT:ROW")
                             .with_expected("what a scrub printed, for example 3:1024")
                             .with_found(std::string(text)));
}

Result<ScrubReport> scrub_wherever(const std::string& directory, ScrubOptions options) {
  auto client = ControlClient::connect(directory);
  if (client.has_value()) return client->scrub(options);
  // Nobody serves the socket: either nobody has the store open, or its owner serves none and LOCK is held.
  if (client.error().code() != ErrorCode::kNotFound) return std::unexpected(std::move(client).error());
  std::optional<Progress> progress;
  options.on_progress = [&](std::uint64_t done, std::uint64_t total) {
    if (!progress.has_value()) progress.emplace("scrub", "bytes", total);
    progress->update(done, done);
  };
  auto report = scrub(directory, options);
  if (progress.has_value()) progress->finish();
  return report;
}

Result<int> run_scrub(const ScrubArguments& arguments) {
  ScrubOptions options;
  VECTOLITH_TRY_ASSIGN(options.from, parse_position(arguments.from));
  options.bytes_per_s = arguments.bytes_per_s;
  options.bytes_max = arguments.bytes_max;
  options.should_stop = is_stop_wanted;
  catch_stop_signals();
  VECTOLITH_TRY_ASSIGN(const auto report, scrub_wherever(arguments.common.directory, options));
  if (arguments.common.json) {
    Json json = report_json(report.found);
    json["complete"] = report.is_complete;
    json["next"] = position_text(report.next);
    print_json(json);
  } else {
    print_report(report.found);
    print_line(report.is_complete ? "complete" : "stopped: go on with --from " + position_text(report.next));
  }
  return report.found.clean() ? kExitOk : kExitCorruption;
}

}  // namespace

void add_scrub(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<ScrubArguments>();
  CLI::App* verb =
      add_verb(app, "scrub", "Checks every sum of a store slowly, in pieces, also while it is open elsewhere",
               "vectolith scrub /data/store --bytes-per-s 20000000");
  add_directory(*verb, arguments->common);
  verb->add_option("--bytes-per-s", arguments->bytes_per_s, "Read no faster than this (0: no limit)");
  verb->add_option("--bytes-max", arguments->bytes_max, "Stop after this much (0: do not), and say where");
  verb->add_option("--from", arguments->from, "SEGMENT:ROW: go on where an earlier scrub stopped");
  add_json(*verb, arguments->common, "Print one JSON object");
  on_run<ScrubArguments>(verb, session, arguments, run_scrub);
}

}  // namespace vectolith::tools
