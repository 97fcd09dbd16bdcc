/// @file
/// What a person sees: numbered steps, aligned facts, checks that pass or fail.
#pragma once

#include <string>
#include <string_view>

namespace vectolith::demo {

/// Prints to standard output; colours only on a terminal. Remembers whether a check failed.
class Console {
 public:
  Console();
  void step(std::string_view title);
  void fact(std::string_view name, std::string_view value);
  void line(std::string_view text);
  /// Prints `text` with its verdict; returns `passed`.
  bool check(bool passed, std::string_view text);
  [[nodiscard]] bool failed() const noexcept { return failed_; }

 private:
  [[nodiscard]] std::string painted(std::string_view text, std::string_view colour) const;

  bool colours_;
  bool failed_ = false;
  int steps_ = 0;
};

}  // namespace vectolith::demo
