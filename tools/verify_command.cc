/// @file
/// The verb `verify`: searches a store's files for what should be gone.
#include <string>
#include <utility>
#include <vector>

#include <vectolith/verify.h>

#include "command.h"
#include "input_file.h"
#include "output.h"

namespace vectolith::tools {

namespace {

constexpr std::uint64_t kVectorBytesMax = std::uint64_t{1} << 20;

struct VerifyArguments {
  CommonOptions common;
  std::string digest_hex;
  std::string vector_file;
};

std::string_view place_name(Trace::Place place) noexcept {
  switch (place) {
    case Trace::Place::kLiveRow: return "live row";
    case Trace::Place::kDeadRow: return "dead row";
    case Trace::Place::kJournalRow: return "journal row";
    case Trace::Place::kSlack: return "slack";
  }
  return "unknown";
}

Json trace_json(const TraceReport& report) {
  Json traces = Json::array();
  for (const auto& trace : report.traces) {
    traces.push_back({{"place", place_name(trace.place)},
                      {"what", trace.is_vector ? "vector" : "digest"},
                      {"file", trace.file},
                      {"offset", trace.offset}});
  }
  return {{"found", report.found},
          {"files", report.files},
          {"bytes", report.bytes},
          {"bytes_unread", report.bytes_unread},
          {"traces", std::move(traces)}};
}

void print_traces(const TraceReport& report) {
  for (const auto& trace : report.traces) {
    print_line(std::string(trace.is_vector ? "vector" : "digest") + " in a " +
               std::string(place_name(trace.place)) + ": file " + trace.file + ", offset " +
               std::to_string(trace.offset));
  }
  print_line((report.found == 0 ? "gone: " : "STILL THERE: ") + with_commas(report.found) + " places in " +
             with_commas(report.files) + " files, " + human_bytes(report.bytes) + " searched, " +
             human_bytes(report.bytes_unread) + " not readable");
}

Result<int> run_verify(const VerifyArguments& arguments) {
  VECTOLITH_TRY_ASSIGN(const auto key, KeyArguments{.digest_hex = arguments.digest_hex}.key());
  TraceOptions options;
  if (!arguments.vector_file.empty()) {
    VECTOLITH_TRY_ASSIGN(const auto file, InputFile::open(arguments.vector_file));
    VECTOLITH_TRY_ASSIGN(options.vector, file.read_all(kVectorBytesMax));
  }
  VECTOLITH_TRY_ASSIGN(const auto report, find_traces(arguments.common.directory, key.digest, options));
  if (arguments.common.json) {
    print_json(trace_json(report));
  } else {
    print_traces(report);
  }
  return report.found == 0 && report.bytes_unread == 0 ? kExitOk : kExitCorruption;
}

}  // namespace

void add_verify(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<VerifyArguments>();
  CLI::App* verb = add_verb(
      app, "verify", "Searches every byte of a store for a key that was erased; exits 3 if it is found",
      "vectolith verify /data/store --erased HEXDIGEST --vector vector.bin");
  add_directory(*verb, arguments->common);
  verb->add_option("--erased", arguments->digest_hex, "The key's digest, 64 hexadecimal digits")->required();
  verb->add_option("--vector", arguments->vector_file,
                   "File with the vector's raw bytes, to be searched for too");
  add_json(*verb, arguments->common, "Print one JSON object");
  on_run<VerifyArguments>(verb, session, arguments, run_verify);
}

}  // namespace vectolith::tools
