/// @file
/// The one error idiom of vectolith: stable codes, an error that says where, and a must-use result.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace vectolith {

/// What went wrong. The numbers are stable and never reused.
enum class ErrorCode : std::uint16_t {
  kInvalidArgument = 1,  ///< The caller passed something the contract forbids.
  kNotFound = 2,       ///< A named thing (store, family, file) does not exist. A key that misses is a value.
  kCorruption = 3,     ///< Bytes on disk fail their checksum or break the format.
  kIo = 4,             ///< The operating system refused an operation; see `system_errno`.
  kLocked = 5,         ///< Another process owns the store or one of its files.
  kUnsupported = 6,    ///< A newer format version or an unknown incompatible feature.
  kNoSpace = 7,        ///< The disk, a budget or a reserve is full. Nothing was changed.
  kLimit = 8,          ///< A documented limit of the format is exhausted.
  kExists = 9,         ///< The thing to create is already there.
  kReadOnly = 10,      ///< The store was opened read-only, or turned read-only after a failure.
  kClosed = 11,        ///< The store is closed.
  kBusy = 12,          ///< A bounded queue is full; try again.
  kRejected = 13,      ///< A vector failed validation; the message names the reason.
  kWrongFamily = 14,   ///< A handle or name refers to a family of another kind or a dropped one.
  kInternal = 15,      ///< An invariant of the engine does not hold. A bug: please report it.
  kSpecMismatch = 16,  ///< A family exists under this name with another model spec.
  kNotAStore = 17,     ///< The directory holds no vectolith store.
  kNoMemory = 18,      ///< Memory or a thread was refused. Nothing was changed: try again later.
  kCancelled = 19,     ///< The caller took an asynchronous operation back.
  kDeadlineExceeded = 20,  ///< An operation was not through at the time its caller set.
};

/// The code's name as written in the source, for example "kCorruption".
std::string_view to_string(ErrorCode code) noexcept;

/// An operating error: what happened, where, what was expected and what was found.
///
/// Cheap to move and to copy (details are shared and immutable once built). An error is worth more than its
/// details: those for which there is no memory are left out, code and errno never are.
class Error {
 public:
  explicit Error(ErrorCode code, std::string_view message = {}) noexcept;

  /// Each `with_` returns the error extended by one detail, for chaining at the place of the fault.
  Error&& with_errno(int system_errno) && noexcept;
  Error&& with_file(std::string_view file) && noexcept;
  Error&& with_offset(std::uint64_t offset) && noexcept;
  Error&& with_expected(std::string_view expected) && noexcept;
  Error&& with_found(std::string_view found) && noexcept;

  [[nodiscard]] ErrorCode code() const noexcept { return code_; }
  /// The errno of the failed system call, or 0.
  [[nodiscard]] int system_errno() const noexcept { return system_errno_; }
  [[nodiscard]] const std::string& message() const noexcept;
  /// The file concerned, or empty.
  [[nodiscard]] const std::string& file() const noexcept;
  /// The byte offset in the file, if one is known.
  [[nodiscard]] std::optional<std::uint64_t> offset() const noexcept;
  [[nodiscard]] const std::string& expected() const noexcept;
  [[nodiscard]] const std::string& found() const noexcept;
  /// One line for a person: message, file, offset, expected, found, errno text.
  [[nodiscard]] std::string to_string() const;

 private:
  struct Detail;
  template <class Change>
  Error&& amend(const Change& change) noexcept;

  ErrorCode code_;
  int system_errno_ = 0;
  std::shared_ptr<Detail> detail_;  ///< Not shared while it is being built; immutable afterwards.
};

/// A value or an Error. Unlike a plain std::expected, dropping one is a compiler warning.
template <class T>
class [[nodiscard]] Result : public std::expected<T, Error> {
 public:
  using std::expected<T, Error>::expected;
};

/// Shorthand for `std::unexpected(Error(code, message))`.
[[nodiscard]] inline std::unexpected<Error> fail(ErrorCode code, std::string_view message) noexcept {
  return std::unexpected(Error(code, message));
}

}  // namespace vectolith

#define VECTOLITH_CONCAT_INNER(a, b) a##b
#define VECTOLITH_CONCAT(a, b) VECTOLITH_CONCAT_INNER(a, b)

/// Returns the error of `expression` from the enclosing function, if it has one.
#define VECTOLITH_TRY(expression)                                                           \
  do {                                                                                      \
    if (auto vectolith_result = (expression); !vectolith_result.has_value()) [[unlikely]] { \
      return std::unexpected(std::move(vectolith_result).error());                          \
    }                                                                                       \
  } while (false)

/// `VECTOLITH_TRY_ASSIGN(auto x, f())`: declares x from f()'s value, or returns f()'s error.
#define VECTOLITH_TRY_ASSIGN(declaration, expression) \
  VECTOLITH_TRY_ASSIGN_INNER(declaration, expression, VECTOLITH_CONCAT(vectolith_result_, __LINE__))
#define VECTOLITH_TRY_ASSIGN_INNER(declaration, expression, result) \
  auto result = (expression);                                       \
  if (!result.has_value()) [[unlikely]] {                           \
    return std::unexpected(std::move(result).error());              \
  }                                                                 \
  declaration = *std::move(result)
