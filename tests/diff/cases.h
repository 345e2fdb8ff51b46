// The scripted cases: every field, option, target and error of the KV service, on purpose.
// Pure functions; any thread.
#pragma once

#include <vector>

#include "diff/step.h"

namespace cairn::diff {

std::vector<Case> range_cases();
std::vector<Case> write_cases();  // Put, DeleteRange, Compact, and what every service refuses
std::vector<Case> txn_cases();

// All of the above.
std::vector<Case> scripted_cases();

}  // namespace cairn::diff
