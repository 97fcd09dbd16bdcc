/// @file
/// Draws progress on standard error.
#include "progress.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include <unistd.h>

#include "output.h"

namespace vectolith::tools {

namespace {

constexpr std::chrono::milliseconds kTerminalPause{100};
constexpr std::chrono::seconds kLogPause{10};
constexpr std::size_t kBarCells = 24;

}  // namespace

Progress::Progress(std::string label, std::string unit, std::uint64_t total)
    : label_(std::move(label)),
      unit_(std::move(unit)),
      total_(total),
      terminal_(::isatty(STDERR_FILENO) == 1),
      started_(Clock::now()),
      next_(started_ + (terminal_ ? Clock::duration(kTerminalPause) : Clock::duration(kLogPause))) {}

Progress::~Progress() {
  if (drawn_ && terminal_) (void)std::fputs("\n", stderr);
}

double Progress::seconds() const { return std::chrono::duration<double>(Clock::now() - started_).count(); }

void Progress::update(std::uint64_t done, std::uint64_t rows) {
  const auto now = Clock::now();
  if (now < next_) return;
  next_ = now + (terminal_ ? Clock::duration(kTerminalPause) : Clock::duration(kLogPause));
  draw(done, rows, std::chrono::duration<double>(now - started_).count());
}

void Progress::finish() {
  if (drawn_ && terminal_) (void)std::fputs("\r\x1b[K", stderr);
  drawn_ = false;
}

void Progress::draw(std::uint64_t done, std::uint64_t rows, double elapsed_s) {
  const std::string text = progress_text(label_, unit_, done, total_, rows, elapsed_s, terminal_);
  const std::string line = terminal_ ? "\r" + text + "\x1b[K" : text + "\n";
  (void)std::fputs(line.c_str(), stderr);
  (void)std::fflush(stderr);
  drawn_ = true;
}

std::string clock_text(double seconds) {
  const auto total = static_cast<std::uint64_t>(std::llround(std::max(0.0, seconds)));
  const auto two = [](std::uint64_t number) { return (number < 10 ? "0" : "") + std::to_string(number); };
  if (total < 3'600) return std::to_string(total / 60) + ":" + two(total % 60);
  return std::to_string(total / 3'600) + ":" + two(total / 60 % 60) + ":" + two(total % 60);
}

std::string progress_text(const std::string& label, const std::string& unit, std::uint64_t done,
                          std::uint64_t total, std::uint64_t rows, double elapsed_s, bool with_bar) {
  const double share =
      total == 0 ? 1.0 : std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
  const double rate = elapsed_s > 0 ? static_cast<double>(rows) / elapsed_s : 0;
  std::string text = label + " ";
  if (with_bar) {
    const auto full = static_cast<std::size_t>(share * static_cast<double>(kBarCells));
    text.append("[").append(std::string(full, '#')).append(std::string(kBarCells - full, '.')).append("] ");
  }
  text += fixed(100 * share, 0) + " %  " + with_commas(rows) + " " + unit + "  ";
  text += with_commas(static_cast<std::uint64_t>(rate)) + " " + unit + "/s";
  if (share > 0 && share < 1) text += "  ETA " + clock_text(elapsed_s * (1 - share) / share);
  return text;
}

}  // namespace vectolith::tools
