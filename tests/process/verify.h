// The end of a run: do the members agree, and does what they hold explain all that clients saw?
// Called by the test programs, with all members running and no client any more.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "process/process_cluster.h"
#include "sim/check_linear.h"

namespace cairn::process {

// What is wrong, or nothing: all members answer the same HashKV at the same revision. Throws
// Failure when one does not serve.
std::optional<std::string> compare_states(const ProcessCluster& cluster);

// The same, and every acknowledged write is there, and the history is linearizable.
std::optional<std::string> verify(ProcessCluster& cluster, std::vector<sim::HistoryOp> history);

}  // namespace cairn::process
