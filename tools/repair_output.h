/// @file
/// How findings of fsck and actions of a repair are printed, and names of families read.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <vectolith/verify.h>

#include "output.h"

namespace vectolith::tools {

void print_finding(const Finding& finding);
Json report_json(const FsckReport& report);
void print_report(const FsckReport& report);

/// One line for each action.
void print_actions(const RepairReport& report);
Json repair_json(const RepairReport& report);

/// "3=docs" is a name for family 3. Errors: kInvalidArgument.
Result<std::map<FamilyId, std::string>> parse_family_names(const std::vector<std::string>& texts);

}  // namespace vectolith::tools
