/// @file
/// Error details and their one-line rendering.
#include <vectolith/format/result.h>

#include <new>
#include <string>
#include <system_error>
#include <utility>

namespace vectolith {

struct Error::Detail {
  std::string message;
  std::string file;
  std::string expected;
  std::string found;
  std::optional<std::uint64_t> offset;
};

namespace {

// Short enough for a string that allocates nothing.
const std::string kEmpty;
const std::string kOutOfMemory = "out of memory";

}  // namespace

std::string_view to_string(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::kInvalidArgument: return "kInvalidArgument";
    case ErrorCode::kNotFound: return "kNotFound";
    case ErrorCode::kCorruption: return "kCorruption";
    case ErrorCode::kIo: return "kIo";
    case ErrorCode::kLocked: return "kLocked";
    case ErrorCode::kUnsupported: return "kUnsupported";
    case ErrorCode::kNoSpace: return "kNoSpace";
    case ErrorCode::kLimit: return "kLimit";
    case ErrorCode::kExists: return "kExists";
    case ErrorCode::kReadOnly: return "kReadOnly";
    case ErrorCode::kClosed: return "kClosed";
    case ErrorCode::kBusy: return "kBusy";
    case ErrorCode::kRejected: return "kRejected";
    case ErrorCode::kWrongFamily: return "kWrongFamily";
    case ErrorCode::kInternal: return "kInternal";
    case ErrorCode::kSpecMismatch: return "kSpecMismatch";
    case ErrorCode::kNotAStore: return "kNotAStore";
    case ErrorCode::kNoMemory: return "kNoMemory";
    case ErrorCode::kCancelled: return "kCancelled";
    case ErrorCode::kDeadlineExceeded: return "kDeadlineExceeded";
  }
  return "kUnknown";
}

/// Changes the detail, of this error alone: a copy is made first if somebody else holds it.
template <class Change>
Error&& Error::amend(const Change& change) noexcept {
  try {
    if (detail_ == nullptr) {
      detail_ = std::make_shared<Detail>();
    } else if (detail_.use_count() > 1) {
      detail_ = std::make_shared<Detail>(*detail_);
    }
    change(*detail_);
  } catch (const std::bad_alloc&) {  // NOLINT(bugprone-empty-catch): the error goes without this detail.
  }
  return std::move(*this);
}

Error::Error(ErrorCode code, std::string_view message) noexcept : code_(code) {
  if (!message.empty()) amend([&](Detail& detail) { detail.message = message; });
}

Error&& Error::with_errno(int system_errno) && noexcept {
  system_errno_ = system_errno;
  return std::move(*this);
}

Error&& Error::with_file(std::string_view file) && noexcept {
  return amend([&](Detail& detail) { detail.file = file; });
}

Error&& Error::with_offset(std::uint64_t offset) && noexcept {
  return amend([&](Detail& detail) { detail.offset = offset; });
}

Error&& Error::with_expected(std::string_view expected) && noexcept {
  return amend([&](Detail& detail) { detail.expected = expected; });
}

Error&& Error::with_found(std::string_view found) && noexcept {
  return amend([&](Detail& detail) { detail.found = found; });
}

const std::string& Error::message() const noexcept {
  if (detail_ != nullptr && !detail_->message.empty()) return detail_->message;
  return code_ == ErrorCode::kNoMemory ? kOutOfMemory : kEmpty;
}

const std::string& Error::file() const noexcept { return detail_ ? detail_->file : kEmpty; }

std::optional<std::uint64_t> Error::offset() const noexcept {
  return detail_ ? detail_->offset : std::nullopt;
}

const std::string& Error::expected() const noexcept { return detail_ ? detail_->expected : kEmpty; }

const std::string& Error::found() const noexcept { return detail_ ? detail_->found : kEmpty; }

std::string Error::to_string() const {
  std::string line(vectolith::to_string(code_));
  if (!message().empty()) line.append(": ").append(message());
  if (!file().empty()) line.append(", file ").append(file());
  if (const auto at = offset()) line.append(", offset ").append(std::to_string(*at));
  if (!expected().empty()) line.append(", expected ").append(expected());
  if (!found().empty()) line.append(", found ").append(found());
  if (system_errno() != 0) {
    line.append(", errno ").append(std::to_string(system_errno()));
    line.append(" (").append(std::generic_category().message(system_errno())).append(")");
  }
  return line;
}

}  // namespace vectolith
