/// @file
/// Turns an errno into the one error idiom, with the file and the offset.
#include "io/system_error.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <new>
#include <system_error>
#include <thread>

namespace vectolith::engine {
namespace {

Error failure_of(std::string_view action, ErrorCode code) noexcept {
  try {
    return Error(code, std::string(action) + " failed");
  } catch (const std::bad_alloc&) {
    return Error(code);
  }
}

}  // namespace

ErrorCode code_of_errno(int system_errno) noexcept {
  if (system_errno == ENOMEM) return ErrorCode::kNoMemory;
  return system_errno == ENOSPC || system_errno == EDQUOT ? ErrorCode::kNoSpace : ErrorCode::kIo;
}

std::unexpected<Error> fail_errno(int system_errno, std::string_view action, std::string_view file,
                                  std::optional<std::uint64_t> offset) noexcept {
  Error error = failure_of(action, code_of_errno(system_errno));
  error = std::move(error).with_errno(system_errno).with_file(file);
  if (offset) error = std::move(error).with_offset(*offset);
  return std::unexpected(std::move(error));
}

std::unexpected<Error> fail_errno_as(ErrorCode code, int system_errno, std::string_view message,
                                     std::string_view file) noexcept {
  return std::unexpected(Error(code, message).with_errno(system_errno).with_file(file));
}

std::string errno_text(int system_errno) { return std::generic_category().message(system_errno); }

bool is_transient(int system_errno) noexcept {
  return system_errno == EINTR || system_errno == EAGAIN || system_errno == EBUSY;
}

void pause_before_retry(unsigned retry) noexcept {
  constexpr unsigned kRetriesWithoutPause = 16;
  if (retry < kRetriesWithoutPause) return;
  std::this_thread::sleep_for(std::chrono::microseconds(std::min(retry, 1000U)));
}

}  // namespace vectolith::engine
