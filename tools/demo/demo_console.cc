/// @file
/// Plain lines that read well in a terminal, in a log and in tmux.
#include "demo/demo_console.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include <unistd.h>

namespace vectolith::demo {
namespace {

constexpr std::string_view kBold = "1";
constexpr std::string_view kGreen = "32";
constexpr std::string_view kRed = "31";

void print(const std::string& line) {
  std::fwrite(line.data(), 1, line.size(), stdout);
  // Progress goes to standard error: without this, the two mix in the wrong order.
  std::fflush(stdout);
}

}  // namespace

Console::Console() : colours_(::isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr) {}

std::string Console::painted(std::string_view text, std::string_view colour) const {
  if (!colours_) return std::string(text);
  return "\033[" + std::string(colour) + "m" + std::string(text) + "\033[0m";
}

void Console::step(std::string_view title) {
  print("\n" + painted(std::to_string(++steps_) + "  " + std::string(title), kBold) + "\n");
}

void Console::fact(std::string_view name, std::string_view value) {
  std::string padded(name);
  padded.resize(std::max<std::size_t>(padded.size() + 1, 16), ' ');
  print("   " + padded + std::string(value) + "\n");
}

void Console::line(std::string_view text) { print("   " + std::string(text) + "\n"); }

bool Console::check(bool passed, std::string_view text) {
  failed_ = failed_ || !passed;
  print("   " + (passed ? painted("ok", kGreen) : painted("FAILED", kRed)) + "  " + std::string(text) + "\n");
  return passed;
}

}  // namespace vectolith::demo
