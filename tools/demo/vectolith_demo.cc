/// @file
/// The demo: real texts in, the same vectors out, through a reopen, a second run, a kill and fsck.
#include <cstdlib>
#include <filesystem>
#include <string>

#include <CLI/CLI.hpp>

#include "demo/demo_console.h"
#include "demo/demo_steps.h"
#include "output.h"

namespace vectolith::demo {
namespace {

/// A new directory beneath the system's temporary one; empty if there is none to be had.
std::filesystem::path make_scratch() {
  std::error_code error;
  const auto parent = std::filesystem::temp_directory_path(error);
  std::string name = ((error ? "/tmp" : parent) / "vectolith-demo-XXXXXX").string();
  return ::mkdtemp(name.data()) == nullptr ? std::filesystem::path() : std::filesystem::path(name);
}

}  // namespace
}  // namespace vectolith::demo

int main(int argc, char** argv) {
  namespace demo = vectolith::demo;
  CLI::App app(
      "Embeds the glosses of WordNet, stores them, and shows that they come back.\n"
      "Example: vectolith_demo --dir /var/tmp/glosses");
  std::string directory;
  std::string wordnet = "/usr/share/wordnet";
  bool keep = false;
  app.add_option("--dir", directory, "where the store is made and stays; a second run there embeds nothing");
  app.add_option("--wordnet", wordnet, "folder of data.noun and its like")->capture_default_str();
  app.add_flag("--keep", keep, "leave what is in the temporary directory, too");
  CLI11_PARSE(app, argc, argv);

  const auto scratch = demo::make_scratch();
  if (scratch.empty()) {
    vectolith::tools::note("cannot make a temporary directory");
    return vectolith::tools::kExitIo;
  }
  const auto store = directory.empty() ? scratch / "store" : std::filesystem::path(directory);
  demo::Console console;
  const auto result = demo::run_demo(console, {.store = store, .scratch = scratch, .wordnet = wordnet});
  if (keep || !directory.empty()) console.line("kept: vectolith stats " + store.string());
  std::error_code ignored;
  // Only what this run made: a directory that somebody named is theirs.
  if (!keep) std::filesystem::remove_all(scratch, ignored);
  if (!result.has_value()) return vectolith::tools::report_error(result.error());
  return console.failed() ? EXIT_FAILURE : EXIT_SUCCESS;
}
