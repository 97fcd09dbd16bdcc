/// @file
/// Finds out whether io_uring may be used here, and says in words why not.
#pragma once

#include <optional>
#include <string>

namespace vectolith::engine {

/// What the kernel refused.
struct UringRefusal {
  int system_errno = 0;
  std::string call;  ///< The system call or the opcode.
};

/// Sets up a small ring, asks for the opcodes that the queue needs and sends one request through it (a
/// profile may allow the setup and forbid io_uring_enter). Nothing if all of it works.
std::optional<UringRefusal> probe_uring();

/// For a person: what failed, the likely cause on this machine, and what to do about it.
std::string explain(const UringRefusal& refusal);

}  // namespace vectolith::engine
