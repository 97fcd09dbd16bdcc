/// @file
/// SIGINT and SIGTERM as a wish to end soon.
#pragma once

namespace vectolith::tools {

/// From now on the first of each signal only sets what `is_stop_wanted` tells; a second one ends the process.
void catch_stop_signals() noexcept;
bool is_stop_wanted() noexcept;

}  // namespace vectolith::tools
