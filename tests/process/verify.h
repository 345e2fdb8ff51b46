// The end of a run: do the nodes agree, and does what they hold explain all that clients saw?
// Called by the test programs, with all nodes running and no client any more.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "process/process_cluster.h"
#include "sim/check_linear.h"

namespace cairn::process {

// What is wrong, or nothing: all nodes answer the same HashKV at the same revision, every
// acknowledged write is there, and the history is linearizable. Throws Failure when a node does
// not serve.
std::optional<std::string> verify(ProcessCluster& cluster, std::vector<sim::HistoryOp> history);

}  // namespace cairn::process
