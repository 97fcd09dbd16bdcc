/// @file
/// How findings of fsck and actions of a repair are printed.
#pragma once

#include <vectolith/verify.h>

#include "output.h"

namespace vectolith::tools {

void print_finding(const Finding& finding);
Json report_json(const FsckReport& report);
void print_report(const FsckReport& report);

/// One line for each action.
void print_actions(const RepairReport& report);
Json repair_json(const RepairReport& report);

}  // namespace vectolith::tools
