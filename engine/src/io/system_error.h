/// @file
/// Turns an errno into the one error idiom, with the file and the offset.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include <vectolith/format/result.h>

namespace vectolith::engine {

/// kNoSpace for ENOSPC and EDQUOT, kNoMemory for ENOMEM, kIo for everything else.
[[nodiscard]] ErrorCode code_of_errno(int system_errno) noexcept;

/// An error of a system call: "<action> failed", the file, the offset and the errno.
[[nodiscard]] std::unexpected<Error> fail_errno(int system_errno, std::string_view action,
                                                std::string_view file,
                                                std::optional<std::uint64_t> offset = std::nullopt) noexcept;

/// The same with a code that the caller knows better than `code_of_errno`.
[[nodiscard]] std::unexpected<Error> fail_errno_as(ErrorCode code, int system_errno, std::string_view message,
                                                   std::string_view file) noexcept;

/// The text of an errno; unlike strerror it may be called from any thread.
[[nodiscard]] std::string errno_text(int system_errno);

/// True for results that say "try again": EINTR, EAGAIN, EBUSY.
[[nodiscard]] bool is_transient(int system_errno) noexcept;

/// How often an operation that makes no progress is repeated before its error counts.
inline constexpr unsigned kTransientRetriesMax = 1000;

/// Waits a little before retry number `retry`: not at all at first, at most a millisecond later.
/// The pause lets a kernel that is short of memory recover; signals that interrupt need none.
void pause_before_retry(unsigned retry) noexcept;

}  // namespace vectolith::engine
