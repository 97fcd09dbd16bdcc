/// @file
/// Printing for people and scripts, and the one table from error codes to exit codes.
#include "output.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>

namespace vectolith::tools {

namespace {

struct CodeEntry {
  ErrorCode code;
  ExitCode exit_code;
  std::string_view advice;
};

constexpr CodeEntry kCodes[] = {
    {ErrorCode::kInvalidArgument, kExitUsage, "correct the argument or the input; --help shows the form"},
    {ErrorCode::kNotFound, kExitNotFound,
     "check the path and the name; 'family list DIR' lists the families"},
    {ErrorCode::kCorruption, kExitCorruption,
     "if the file belongs to a store, run 'vectolith fsck DIR'; if it is an input, make it again"},
    {ErrorCode::kIo, kExitIo, "check the disk, its mount options and the permissions, then run it again"},
    {ErrorCode::kLocked, kExitLocked,
     "wait for that process or stop it; or let it open the store with Options::control = true: then stats, "
     "get, put, erase, scan, sync and 'fsck --online' reach it through the socket in the store's directory"},
    {ErrorCode::kUnsupported, kExitUnsupported,
     "if a file is too new, use the version of vectolith that wrote it, or a newer one; if it is io_uring, "
     "leave "
     "out '--io uring'"},
    {ErrorCode::kNoSpace, kExitIo, "free space on the disk and run it again; nothing stored was lost"},
    {ErrorCode::kLimit, kExitUsage, "docs/format.md lists the limits"},
    {ErrorCode::kExists, kExitUsage, "choose another name or directory"},
    {ErrorCode::kReadOnly, kExitIo, "the store accepts no writes; see the cause above"},
    {ErrorCode::kClosed, kExitIo, ""},
    {ErrorCode::kBusy, kExitLocked, "run it again"},
    {ErrorCode::kRejected, kExitUsage, "correct the vector; the family's rules are in 'family list DIR'"},
    {ErrorCode::kWrongFamily, kExitUsage, "'family list DIR' shows what each family holds"},
    {ErrorCode::kInternal, kExitIo, "this is a bug of vectolith: please report it with the command line"},
    {ErrorCode::kSpecMismatch, kExitUsage, "use another family name, or the stored spec"},
    {ErrorCode::kNotAStore, kExitNotFound,
     "check the directory, or make a store with 'vectolith create DIR'"},
    {ErrorCode::kNoMemory, kExitIo, "free memory and run it again; nothing stored was lost"},
};

const CodeEntry* find_code(ErrorCode code) noexcept {
  const auto* entry = std::ranges::find(kCodes, code, &CodeEntry::code);
  return entry == std::end(kCodes) ? nullptr : entry;
}

void write_text(std::FILE* stream, std::string_view text) {
  // A failure is seen by finish_output through the stream's error flag.
  (void)std::fwrite(text.data(), 1, text.size(), stream);
}

}  // namespace

ExitCode exit_code_of(ErrorCode code) noexcept {
  const auto* entry = find_code(code);
  return entry != nullptr ? entry->exit_code : kExitIo;
}

std::string_view advice_for(ErrorCode code) noexcept {
  const auto* entry = find_code(code);
  return entry != nullptr ? entry->advice : std::string_view();
}

int report_error(const Error& error) {
  std::string text = "vectolith: " + error.to_string() + "\n";
  if (const auto advice = advice_for(error.code()); !advice.empty()) {
    text.append("  what to do: ").append(advice).append("\n");
  }
  // What was printed before the error comes first, also when both streams go to one file.
  (void)std::fflush(stdout);
  write_text(stderr, text);
  return exit_code_of(error.code());
}

void report_event(const Event& event) {
  std::string text = event.message;
  if (event.error.has_value()) text.append(": ").append(event.error->to_string());
  note(text);
}

void note(std::string_view text) {
  (void)std::fflush(stdout);
  write_text(stderr, std::string("vectolith: note: ").append(text).append("\n"));
}

void print_line(std::string_view line) {
  write_text(stdout, line);
  write_text(stdout, "\n");
}

void print_json(const Json& json) {
  // Names from a damaged file may be no UTF-8: they are shown with replacement characters.
  print_line(json.dump(-1, ' ', false, Json::error_handler_t::replace));
}

Result<void> finish_output() {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return {};
  return std::unexpected(Error(ErrorCode::kIo, "cannot write standard output").with_errno(errno));
}

std::string with_commas(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (std::size_t at = text.size(); at > 3;) {
    at -= 3;
    text.insert(at, ",");
  }
  return text;
}

std::string human_bytes(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return fixed(value, unit == 0 ? 0 : 1).append(" ").append(kUnits[unit]);
}

std::string fixed(double value, int decimals) {
  std::array<char, 64> text{};
  const int length = std::snprintf(text.data(), text.size(), "%.*f", decimals, value);
  return {text.data(), static_cast<std::size_t>(std::clamp<int>(length, 0, text.size() - 1))};
}

std::string hex(std::uint64_t value, int digits) {
  std::string text(static_cast<std::size_t>(digits), '0');
  for (std::size_t at = text.size(); at-- > 0; value >>= 4) text[at] = "0123456789abcdef"[value & 15];
  return text;
}

std::string hex_bytes(std::span<const std::byte> bytes) {
  std::string text;
  text.reserve(2 * bytes.size());
  for (const auto byte : bytes) text += hex(std::to_integer<std::uint8_t>(byte), 2);
  return text;
}

std::string base64(std::span<const std::byte> bytes) {
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const std::size_t taken = std::min<std::size_t>(3, bytes.size() - at);
    std::uint32_t group = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      group = group << 8 | (i < taken ? std::to_integer<std::uint32_t>(bytes[at + i]) : 0U);
    }
    for (std::size_t i = 0; i < 4; ++i) {
      text += i <= taken ? kAlphabet[group >> (18 - 6 * i) & 63] : '=';
    }
  }
  return text;
}

}  // namespace vectolith::tools
