/// @file
/// The one thing the store asks of a higher layer: to serve its control socket. Defined in control/.
#pragma once

#include <memory>

#include <vectolith/store.h>

#include "io/environment.h"

namespace vectolith::engine {

/// Serves the control socket of `store` until the returned object is destroyed.
/// Errors: kLocked when a live process serves it already, kIo.
Result<std::shared_ptr<void>> start_control_service(Store& store, Environment& environment,
                                                    Directory& directory);

}  // namespace vectolith::engine
