/// @file
/// Tells the sanitizers what the kernel does behind their backs on an io_uring, and what is no leak; nothing
/// in other builds.
///
/// TSan does not know that a submission happens before its completion. ASan does not see the kernel
/// touch a freed or too small buffer, so buffers are checked when they are handed over and taken back.
#pragma once

#include <cstddef>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define VECTOLITH_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define VECTOLITH_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define VECTOLITH_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define VECTOLITH_TSAN 1
#endif

#if defined(VECTOLITH_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/lsan_interface.h>
#endif
#if defined(VECTOLITH_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

namespace vectolith::engine::sanitizer {

/// Everything this thread did so far happens before a `take_back` of the same object.
inline void hand_over([[maybe_unused]] void* object) noexcept {
#if defined(VECTOLITH_TSAN)
  __tsan_release(object);
#endif
}

inline void take_back([[maybe_unused]] void* object) noexcept {
#if defined(VECTOLITH_TSAN)
  __tsan_acquire(object);
#endif
}

/// Raises the ordinary ASan report if the kernel could not touch the whole region legally.
inline void check_region([[maybe_unused]] void* data, [[maybe_unused]] std::size_t bytes) noexcept {
#if defined(VECTOLITH_ASAN)
  if (void* bad = __asan_region_is_poisoned(data, bytes); bad != nullptr) {
    static_cast<void>(*static_cast<volatile char*>(bad));  // The load is instrumented and reports the place.
  }
#endif
}

/// An object that is left alone on purpose, with all that it owns, is no leak.
inline void leave_behind([[maybe_unused]] const void* object) noexcept {
#if defined(VECTOLITH_ASAN)
  __lsan_ignore_object(object);
#endif
}

}  // namespace vectolith::engine::sanitizer
