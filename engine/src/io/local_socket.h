/// @file
/// Unix stream sockets beneath a directory, between processes of one user.
#pragma once

#include <memory>
#include <string_view>

#include "io/environment.h"

namespace vectolith::engine {

/// Listens at `name` beneath `directory` with mode 0600. A socket that a dead process left is replaced.
/// Errors: kLocked when a live process listens there; kIo; kInvalidArgument for a name with '/' or a
/// directory of another environment.
Result<std::unique_ptr<Listener>> listen_local(Directory& directory, std::string_view name);

/// Connects to `name` beneath `directory`.
/// Errors: kNotFound when nobody listens there; kIo, also when the listener runs as another user.
Result<std::unique_ptr<Connection>> connect_local(Directory& directory, std::string_view name);

}  // namespace vectolith::engine
