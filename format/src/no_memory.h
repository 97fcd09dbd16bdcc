/// @file
/// Where std::bad_alloc becomes an error (docs/decisions/0006-out-of-memory.md).
#pragma once

#include <algorithm>
#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

#include <vectolith/format/result.h>

namespace vectolith {

/// Calls `body`, which returns a Result; kNoMemory if memory is refused inside it.
template <class Body>
auto catch_no_memory(Body&& body) -> std::invoke_result_t<Body> {
  try {
    return std::forward<Body>(body)();
  } catch (const std::bad_alloc&) {
    return std::unexpected(Error(ErrorCode::kNoMemory));
  }
}

/// Makes room for `count` more elements, by doubling, so that adding them needs no memory.
template <class Vector>
void reserve_more(Vector& vector, std::size_t count) {
  const std::size_t needed = vector.size() + count;
  if (vector.capacity() < needed) vector.reserve(std::max(needed, 2 * vector.capacity()));
}

}  // namespace vectolith
