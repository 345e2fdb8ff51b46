// The end of a run: do the members agree, and does what they hold explain all that clients saw?
// Called by the test programs, with all members running and no client any more.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "process/process_cluster.h"
#include "sim/check_linear.h"

namespace cairn::process {

// What is wrong, or nothing: all members answer the same HashKV at the same revision. Throws
// Failure when one does not serve.
std::optional<std::string> compare_states(const ProcessCluster& cluster);

// The same, and every acknowledged write is there, and the history is linearizable. When something
// is wrong the cluster's folder gets the history, and the order of all writes as far as it is
// known.
std::optional<std::string> verify(ProcessCluster& cluster, std::vector<sim::HistoryOp> history);

// A line for each call; into the folder's history.txt.
void write_history(const std::string& folder, std::span<const sim::HistoryOp> history);

}  // namespace cairn::process
