// Who decides in a configuration, counted in the plainest way.
// Pure functions.
// Shares nothing with raft/quorum.h, which is what it is held against.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "base/ids.h"
#include "raft/types.h"

namespace cairn::sim {

// More than half of `voters` are such that `counts(id)`.
template <class Counts>
bool is_majority(const std::vector<NodeId>& voters, const Counts& counts) {
    const auto counted = std::count_if(voters.begin(), voters.end(), counts);
    return static_cast<std::size_t>(counted) > voters.size() / 2;
}

// The same of each half of a joint configuration.
template <class Counts>
bool is_quorum(const raft::ConfState& conf, const Counts& counts) {
    return is_majority(conf.voters, counts) &&
           (conf.voters_outgoing.empty() || is_majority(conf.voters_outgoing, counts));
}

}  // namespace cairn::sim
