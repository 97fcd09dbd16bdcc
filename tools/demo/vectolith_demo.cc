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

/// Returns an empty path if there is none to be had.
std::filesystem::path make_directory(const std::string& wanted) {
  std::error_code error;
  if (!wanted.empty()) {
    std::filesystem::create_directories(wanted, error);
    return error ? std::filesystem::path() : std::filesystem::path(wanted);
  }
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
      "Example: vectolith_demo --dir /tmp/glosses --keep");
  std::string wanted;
  std::string wordnet = "/usr/share/wordnet";
  bool keep = false;
  app.add_option("--dir", wanted,
                 "where to make the stores; a second run there embeds nothing (default: a new one in /tmp)");
  app.add_option("--wordnet", wordnet, "folder of data.noun and its like")->capture_default_str();
  app.add_flag("--keep", keep, "leave the stores there");
  CLI11_PARSE(app, argc, argv);

  const auto directory = demo::make_directory(wanted);
  if (directory.empty()) {
    vectolith::tools::note("cannot make the directory " + wanted);
    return EXIT_FAILURE;
  }
  demo::Console console;
  const auto result = demo::run_demo(console, directory, wordnet);
  if (keep) {
    console.line("kept: vectolith stats " + (directory / "store").string());
  } else {
    std::error_code ignored;
    for (const char* name : {"store", "killed"}) std::filesystem::remove_all(directory / name, ignored);
    std::filesystem::remove(directory, ignored);  // Only if it holds nothing of anybody else's.
  }
  if (!result.has_value()) return vectolith::tools::report_error(result.error());
  return console.failed() ? EXIT_FAILURE : EXIT_SUCCESS;
}
