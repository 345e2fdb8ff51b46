// The scripted cases: every field, option, target and error of the KV service, on purpose.
// Pure functions; any thread.
#pragma once

#include <vector>

#include "diff/step.h"

namespace cairn::diff {

std::vector<Case> range_cases();
std::vector<Case> write_cases();  // Put, DeleteRange, Compact, and all under an alarm
std::vector<Case> txn_cases();
std::vector<Case> wire_cases();  // bytes, frames and headers that no client library sends

// All of the above.
std::vector<Case> scripted_cases();

}  // namespace cairn::diff
