/// @file
/// The vectolith command line tool: one verb a call, exit codes as in docs/tool.md.
#include <exception>

#include <CLI/CLI.hpp>

#include <vectolith/format/features.h>

#include "command.h"
#include "output.h"

namespace vectolith::tools {
namespace {

constexpr const char* kFooter =
    "Exit codes: 0 ok, 1 usage, 2 not found, 3 corruption, 4 I/O error, 5 locked,\n"
    "6 unsupported version or feature.\n\n"
    "Example:\n"
    "  vectolith create /data/store\n"
    "  vectolith family create /data/store docs --dim 768 --dtype f32\n"
    "  vectolith import /data/store docs vectors.npy";

void add_verbs(CLI::App& app, Session& session) {
  add_create(app, session);
  add_family(app, session);
  add_import(app, session);
  add_export(app, session);
  add_get(app, session);
  add_put(app, session);
  add_erase(app, session);
  add_scan(app, session);
  add_stats(app, session);
  add_sync(app, session);
  add_inspect(app, session);
  add_fsck(app, session);
  add_scrub(app, session);
  add_salvage(app, session);
  add_verify(app, session);
  add_stress(app, session);
  add_bench(app, session);
}

int run(int argument_count, char** arguments) {
  Session session;
  CLI::App app("Vectolith: an embedded store for embedding vectors", "vectolith");
  app.footer(kFooter);
  app.require_subcommand(1);
  app.set_version_flag("--version", "vectolith, format " + std::to_string(format::kVersionMajor) + "." +
                                        std::to_string(format::kVersionMinor));
  add_verbs(app, session);
  try {
    app.parse(argument_count, arguments);
  } catch (const CLI::ParseError& error) {
    // CLI11 ends --help and --version by an exception with code 0; its own codes are not ours.
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  if (const auto flushed = finish_output(); !flushed.has_value() && session.exit_code == kExitOk) {
    return report_error(flushed.error());
  }
  return session.exit_code;
}

}  // namespace
}  // namespace vectolith::tools

int main(int argument_count, char** arguments) {
  try {
    return vectolith::tools::run(argument_count, arguments);
  } catch (const std::exception& exception) {
    return vectolith::tools::report_error(
        vectolith::Error(vectolith::ErrorCode::kInternal, exception.what()));
  }
}
