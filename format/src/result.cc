/// @file
/// Error details and their one-line rendering.
#include <vectolith/format/result.h>

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
  int system_errno = 0;
};

namespace {

/// The detail behind `detail`, for this error alone: a copy is made first if somebody else holds it.
template <class Detail>
Detail& unshared(std::shared_ptr<Detail>& detail) {
  if (detail == nullptr) {
    detail = std::make_shared<Detail>();
  } else if (detail.use_count() > 1) {
    detail = std::make_shared<Detail>(*detail);
  }
  return *detail;
}

const std::string& empty_string() noexcept {
  static const std::string kEmpty;
  return kEmpty;
}

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
    case ErrorCode::kCancelled: return "kCancelled";
    case ErrorCode::kDeadlineExceeded: return "kDeadlineExceeded";
  }
  return "kUnknown";
}

Error::Error(ErrorCode code, std::string message) : code_(code), detail_(std::make_shared<Detail>()) {
  detail_->message = std::move(message);
}

Error&& Error::with_errno(int system_errno) && {
  unshared(detail_).system_errno = system_errno;
  return std::move(*this);
}

Error&& Error::with_file(std::string_view file) && {
  unshared(detail_).file = file;
  return std::move(*this);
}

Error&& Error::with_offset(std::uint64_t offset) && {
  unshared(detail_).offset = offset;
  return std::move(*this);
}

Error&& Error::with_expected(std::string expected) && {
  unshared(detail_).expected = std::move(expected);
  return std::move(*this);
}

Error&& Error::with_found(std::string found) && {
  unshared(detail_).found = std::move(found);
  return std::move(*this);
}

int Error::system_errno() const noexcept { return detail_ ? detail_->system_errno : 0; }

const std::string& Error::message() const noexcept { return detail_ ? detail_->message : empty_string(); }

const std::string& Error::file() const noexcept { return detail_ ? detail_->file : empty_string(); }

std::optional<std::uint64_t> Error::offset() const noexcept {
  return detail_ ? detail_->offset : std::nullopt;
}

const std::string& Error::expected() const noexcept { return detail_ ? detail_->expected : empty_string(); }

const std::string& Error::found() const noexcept { return detail_ ? detail_->found : empty_string(); }

std::string Error::to_string() const {
  std::string line(vectolith::to_string(code_));
  line.append(": ").append(message());
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
