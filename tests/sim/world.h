// A whole cluster with its clients, its network, its disks and its misfortunes, in virtual time.
// One thread; everything follows from the seed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sim/basics.h"
#include "sim/counters.h"
#include "sim/nemesis.h"
#include "sim/options.h"

namespace cairn::sim {

struct RunResult {
    bool failed = false;
    std::string invariant;  // the first one violated
    std::string detail;
    std::uint64_t trace_hash{};
    std::uint64_t final_draw{};
    Counters counters{};
    std::uint64_t ops{};
    std::uint64_t ops_done{};
    std::uint64_t entries{};  // of the log, applied
    Time virtual_time{};
    bool lost_quorum = false;  // rot went further than a cluster survives: no liveness claimed
    // Within the bound of its time, of what makes it worth its name, or as much as there can be.
    bool was_enough = false;
    std::uint64_t calls{};  // of clients and the administrator, by number
    std::vector<Strike> strikes{};
    std::string last_events;  // of every node, when failed
};

// Phases: faults and load; all healed, what is pending ends; one leader, equal states; a write and
// a read through every node; all of them lose their power and start again, with the same states;
// a write and a read again; the history is checked.
RunResult run_world(const Options& options, bool verbose = false);

}  // namespace cairn::sim
