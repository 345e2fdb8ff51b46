// What the nodes, the clients and the misfortunes of a world share.
// References into the world, which outlives them all; one thread.
#pragma once

#include "base/ids.h"
#include "sim/basics.h"
#include "sim/check_safety.h"
#include "sim/counters.h"
#include "sim/event_queue.h"
#include "sim/options.h"
#include "sim/sim_lanes.h"
#include "sim/sim_net.h"

namespace cairn::sim {

// Of the cluster of every world.
inline constexpr ClusterId kClusterId{0xc1a5'7e12'0000'0001U};

struct WorldParts {
    const Options& options;
    EventQueue& queue;
    SimNet& net;
    SimLanes& lanes;
    SafetyChecker& safety;
    Verdict& verdict;
    TraceHash& trace;
    Counters& counters;
    bool verbose = false;
};

}  // namespace cairn::sim
