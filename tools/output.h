/// @file
/// What the tool says: errors with their exit code and advice, numbers for people, base64 and hex.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include <vectolith/format/ids.h>
#include <vectolith/format/result.h>
#include <vectolith/options.h>

namespace vectolith::tools {

/// JSON whose keys keep the order in which they were written.
using Json = nlohmann::ordered_json;

/// Exit codes of the tool. Fixed: scripts rely on them.
enum ExitCode : int {
  kExitOk = 0,
  kExitUsage = 1,
  kExitNotFound = 2,
  kExitCorruption = 3,
  kExitIo = 4,
  kExitLocked = 5,
  kExitUnsupported = 6,
};

/// The exit code for an error of the engine.
ExitCode exit_code_of(ErrorCode code) noexcept;
/// What a person can do about an error of this code; may be empty.
std::string_view advice_for(ErrorCode code) noexcept;
/// Says on standard error what happened, where, and what to do. Returns the exit code.
int report_error(const Error& error);
/// Says an event of the store on standard error.
void report_event(const Event& event);
/// One remark on standard error.
void note(std::string_view text);

/// Writes `line` and a newline to standard output.
void print_line(std::string_view line);
/// Writes `json` on one line of standard output.
void print_json(const Json& json);
/// Flushes standard output. Errors: kIo if something that was printed could not be written.
Result<void> finish_output();

/// "117,659".
std::string with_commas(std::uint64_t number);
/// "1.5 MiB".
std::string human_bytes(std::uint64_t bytes);
/// `value` with `decimals` digits after the point.
std::string fixed(double value, int decimals);
/// `digits` lower-case hexadecimal digits.
std::string hex(std::uint64_t value, int digits = 16);
std::string hex_bytes(std::span<const std::byte> bytes);
/// RFC 4648, with padding.
std::string base64(std::span<const std::byte> bytes);

}  // namespace vectolith::tools
