/// @file
/// How far a long verb has come: a bar with rate and ETA on a terminal, a line now and then otherwise.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace vectolith::tools {

/// Progress of one job on standard error. One thread.
class Progress {
 public:
  using Clock = std::chrono::steady_clock;

  /// `total` and `done` count work of any unit; `rows` is what the rate is given in.
  Progress(std::string label, std::string unit, std::uint64_t total);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  /// Ends the bar's line if `finish` was not called.
  ~Progress();

  void update(std::uint64_t done, std::uint64_t rows);
  /// Removes the bar; on a log nothing is said here.
  void finish();
  [[nodiscard]] double seconds() const;

 private:
  void draw(std::uint64_t done, std::uint64_t rows, double elapsed_s);

  std::string label_;
  std::string unit_;
  std::uint64_t total_;
  bool terminal_;
  bool drawn_ = false;
  Clock::time_point started_;
  Clock::time_point next_;
};

/// "0:07", "12:05", "3:00:00".
std::string clock_text(double seconds);
/// One line: label, bar, percent, count, rate, ETA. Pure, for tests.
std::string progress_text(const std::string& label, const std::string& unit, std::uint64_t done,
                          std::uint64_t total, std::uint64_t rows, double elapsed_s, bool with_bar);

}  // namespace vectolith::tools
